# What the package lends to the others. What is public, __all__ names.
from ._adapting import gate_for_new_source as gate_for_new_source, split_to_adapt as split_to_adapt
from ._change import (
    ACCEPT_NOTHING as ACCEPT_NOTHING,
    CHANGE_UNKNOWN as CHANGE_UNKNOWN,
    GOING_ON as GOING_ON,
    NO_CHANGE as NO_CHANGE,
    OTHER_MIX as OTHER_MIX,
    Verdict as Verdict,
    judged_together as judged_together,
    verdict_on_batch as verdict_on_batch,
)
from ._confidence_source import (
    ORACLE as ORACLE,
    ConfidenceSource as ConfidenceSource,
    LoadOracle as LoadOracle,
    NetRecord as NetRecord,
    Origin as Origin,
)
from ._decisions import (
    ACCEPT as ACCEPT,
    DISTANCE as DISTANCE,
    GROUP as GROUP,
    LACKING as LACKING,
    NO_CLASS as NO_CLASS,
    PREDICTED as PREDICTED,
    REJECT as REJECT,
    REVIEW as REVIEW,
    STOPPED as STOPPED,
    Decisions as Decisions,
    likeliest_class as likeliest_class,
    most_probable_classes as most_probable_classes,
    names_of_classes as names_of_classes,
)
from ._gate import Gate as Gate
from ._storage import (
    CALIBRATION_ROWS as CALIBRATION_ROWS,
    CARD as CARD,
    GATE as GATE,
    SENTENCES as SENTENCES,
    digest_of_gate as digest_of_gate,
)
from ._switch import (
    reason_in_switches as reason_in_switches,
    reason_to_stop as reason_to_stop,
    start_gate as start_gate,
    stop_gate as stop_gate,
    stopped_sentence as stopped_sentence,
    switches_of_gate as switches_of_gate,
)
