# What the package lends to the others. What is public, __all__ names.
from ._frozen import (
    FILE as FILE,
    About as About,
    FrozenPair as FrozenPair,
    load_frozen_pairs as load_frozen_pairs,
    save_frozen_pairs as save_frozen_pairs,
)
from ._measured import DIGITS as DIGITS, measured_lines as measured_lines
from ._standing import (
    FUSED as FUSED,
    MCP as MCP,
    PERCENT as PERCENT,
    SCORE as SCORE,
    THOUSAND as THOUSAND,
    Estimate as Estimate,
    benchmark as benchmark,
    checked_submission as checked_submission,
    difference_cell as difference_cell,
    score_by_name as score_by_name,
)
