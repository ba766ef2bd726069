# What the package lends to the others. What is public, __all__ names.
from ._bets import (
    UNIT as UNIT,
    Bets as Bets,
    MeanBets as MeanBets,
    RunningMean as RunningMean,
    mean_interval_by_bets as mean_interval_by_bets,
)
from ._calibration import (
    CalibrationRows as CalibrationRows,
    Certificates as Certificates,
    ProbabilityMap as ProbabilityMap,
    calibrate_all as calibrate_all,
    caution_on_neglected_class as caution_on_neglected_class,
)
from ._certificate import (
    EXACT as EXACT,
    Certificate as Certificate,
    as_percent as as_percent,
    assumptions_of_promise as assumptions_of_promise,
    rows_needed as rows_needed,
    shares_in_words as shares_in_words,
)
from ._change import (
    CHANGED as CHANGED,
    DELTA as DELTA,
    EXIT_CODES as EXIT_CODES,
    HARMFUL as HARMFUL,
    HEALTHY as HEALTHY,
    SIGNALS as SIGNALS,
    Change as Change,
    begun_bets as begun_bets,
    change_of_batch as change_of_batch,
    level_of_signal as level_of_signal,
    signals_of as signals_of,
)
from ._class_mix import Weights as Weights
from ._costs import (
    Costs as Costs,
    cost_sentences as cost_sentences,
    require_classes_of_costs as require_classes_of_costs,
)
from ._draws import Way as Way, outcome_of_promise as outcome_of_promise, promised_threshold as promised_threshold
from ._objectives import (
    INSIDE as INSIDE,
    REVIEW_ALL as REVIEW_ALL,
    WHEN_CHANGED as WHEN_CHANGED,
    Objectives as Objectives,
    OtherObjectives as OtherObjectives,
    WhenChanged as WhenChanged,
)
from ._rows import (
    CROSS as CROSS,
    AnyGroups as AnyGroups,
    JudgedRows as JudgedRows,
    LabelledRows as LabelledRows,
    Names as Names,
    checked_groups as checked_groups,
    checked_numbers as checked_numbers,
    crossed_groups as crossed_groups,
    names_of_crossed as names_of_crossed,
    split_rows as split_rows,
)
from ._sequence import (
    Above as Above,
    StartThreshold as StartThreshold,
    checked_threshold_sequence as checked_threshold_sequence,
    find_start_thresholds as find_start_thresholds,
    find_start_thresholds_at as find_start_thresholds_at,
    rows_of_start_thresholds as rows_of_start_thresholds,
    threshold_sequence as threshold_sequence,
)
from ._target import Target as Target, last_passing_on_target as last_passing_on_target
