"""The table of a search has a line a trial, and marks what each step chose."""

from __future__ import annotations

import math

from steepslope.oracle.search import Search, Trial
from steepslope.paper.tables import SEARCH_NOTE, search_grid
from steepslope.report.grid import markdown


def test_every_trial_has_a_line_and_each_step_a_choice() -> None:
    """The criterion's column has its scale and direction; what is undefined is a dash."""
    worse, better = (Trial(1, slope, value, 0.25, 0.9, math.nan, 0.8) for slope, value in ((1, 0.2), (0.5, 0.1)))
    last = Trial(2, 0.5, 0.3, 1.5, 1, 0, 0.75)
    assert markdown(search_grid(Search("aurc", (worse, better), (last, better)))) == "\n".join(
        [
            "| search for | α⁺ | α⁻ | by AURC ×1000 ↓ | loss | TPR | TNR | AUC |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            "| α⁻ | 1 | 1 | 200.0 | 0.250 | 90.0 | – | 80.0 |",
            "| α⁻ ◄ chosen | 1 | 0.5 | 100.0 | 0.250 | 90.0 | – | 80.0 |",
            "| α⁺ | 2 | 0.5 | 300.0 | 1.500 | 100.0 | 0.0 | 75.0 |",
            "| α⁺ ◄ chosen | 1 | 0.5 | 100.0 | 0.250 | 90.0 | – | 80.0 |",
            "",
            SEARCH_NOTE,
        ]
    )
