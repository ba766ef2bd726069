# What the package lends to the others. What is public, __all__ names.
from ._array_shapes import Brief as Brief, require_arrays as require_arrays
from ._binomial import (
    binomial_interval as binomial_interval,
    binomial_tail as binomial_tail,
    clopper_pearson as clopper_pearson,
    risk_bound as risk_bound,
)
from ._blocks import BLOCK_ROWS as BLOCK_ROWS, blocks as blocks, read_rows as read_rows
from ._formulas import (
    Array as Array,
    clipped as clipped,
    constant as constant,
    float32 as float32,
    float64 as float64,
    highest as highest,
    highest_places as highest_places,
    log_softmax as log_softmax,
    logsumexp as logsumexp,
    namespace_of as namespace_of,
    quiet as quiet,
    replaced as replaced,
    taken as taken,
)
from ._linear import (
    Softmax as Softmax,
    fit_calibration as fit_calibration,
    fit_softmax as fit_softmax,
    fit_standardised_softmax as fit_standardised_softmax,
    principal_components as principal_components,
    scale_of_columns as scale_of_columns,
    standardised as standardised,
)
from ._log_space import (
    in_classes_of as in_classes_of,
    is_class as is_class,
    log_complements as log_complements,
    log_entropy as log_entropy,
    log_odds_of as log_odds_of,
    softplus as softplus,
    top_log_odds as top_log_odds,
    without as without,
)
from ._neighbors import (
    LARGEST as LARGEST,
    SAME as SAME,
    SPARE as SPARE,
    Index as Index,
    distances_from_squares as distances_from_squares,
    nearest_rows as nearest_rows,
    neighbors_searched_by as neighbors_searched_by,
    require_width as require_width,
    rows_as_they_are as rows_as_they_are,
    unit_rows as unit_rows,
)
from ._opinion_pool import (
    AgreementPool as AgreementPool,
    LinearPool as LinearPool,
    OpinionPool as OpinionPool,
    fit_agreement_pool as fit_agreement_pool,
    fit_opinion_pool as fit_opinion_pool,
    fit_shrunken_regression as fit_shrunken_regression,
)
from ._small_net import (
    NAMES as NAMES,
    cosine_rate as cosine_rate,
    fit_small_net as fit_small_net,
    small_net_logits as small_net_logits,
    warm_cosine_rate as warm_cosine_rate,
)
from ._threads import side_by_side as side_by_side, single_thread as single_thread
from ._trees import SHAPES as SHAPES, fit_trees as fit_trees, tree_log_odds as tree_log_odds
from ._types import (
    ArrayDict as ArrayDict,
    Arrays as Arrays,
    Bools as Bools,
    Counts as Counts,
    Floats as Floats,
    Singles as Singles,
    Values as Values,
)
