# What the package lends to the others. What is public, __all__ names.
from ._fit_set import FitSet as FitSet, joined_outputs as joined_outputs, origin_of_copies as origin_of_copies
from ._fitting import (
    BLOCK_ROWS as BLOCK_ROWS,
    columns_of_fit_set as columns_of_fit_set,
    evidence_of_all_rows as evidence_of_all_rows,
    flattened_states as flattened_states,
    grouped_states as grouped_states,
    load_states as load_states,
    require_other_rows as require_other_rows,
)
from ._registry import (
    EVIDENCE as EVIDENCE,
    SIGNALS as SIGNALS,
    arrays_of_evidence as arrays_of_evidence,
    arrays_of_stack as arrays_of_stack,
    is_of_signals as is_of_signals,
    is_stack as is_stack,
    kind_of_evidence as kind_of_evidence,
    learning_of_inputs as learning_of_inputs,
    signals_name as signals_name,
    stack_name as stack_name,
)
from ._row_augmentation import augmented_rows as augmented_rows
from ._signals import knots_among as knots_among, ranks_among as ranks_among
from ._stack import (
    MOST_WEIGHTS as MOST_WEIGHTS,
    fit_stack as fit_stack,
    stack_opinions as stack_opinions,
    stacked_arrays as stacked_arrays,
    stacked_columns as stacked_columns,
)
from ._states import (
    FOLDS as FOLDS,
    NO_STATE as NO_STATE,
    Evidence as Evidence,
    State as State,
    references as references,
)
from ._values import (
    CANDIDATES as CANDIDATES,
    columns_by_input as columns_by_input,
    columns_of_input as columns_of_input,
    evidence_columns as evidence_columns,
    evidence_opinions as evidence_opinions,
    opinions_of_input as opinions_of_input,
)
