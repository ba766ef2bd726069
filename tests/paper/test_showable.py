"""What an experiment cannot show is refused before any work."""

from __future__ import annotations

from typing import Any

import pytest

from steepslope.errors import SteepslopeError
from steepslope.paper.experiment import Experiment
from steepslope.paper.methods import METHODS
from steepslope.paper.preset import read_preset
from steepslope.paper.views import require_possible

DIGITS = read_preset("digits")


def lines(*names: str) -> dict[str, Any]:
    return {name: METHODS[name] for name in names}


MATRIX = Experiment(name="own", title="T", views=("matrix",), pairs="first", where=("corrupt:fog:5",),
                    columns=("auc",), beside=lines("MCP"))  # fmt: skip
GATES = Experiment(
    name="own", title="T", views=("gates",), pairs="first", where=("test",), beside=lines("MCP", "fused, free")
)
SWEEP = Experiment(name="own", title="T", views=("sweep",), pairs="first")
LOSSES = Experiment(name="own", title="T", views=("losses",))
HISTOGRAMS = Experiment(name="own", title="T", views=("histograms",), pairs="first", paper=lines("CE", "SS"))


@pytest.mark.parametrize(
    ("experiment", "changes", "message"),
    [
        (MATRIX, {"pairs": "first-two"},
         "pairs: first-two: expected one pair for the view matrix, found ⟨late, late⟩, ⟨late, early⟩"),
        (GATES, {"pairs": "first-two"}, "pairs: first-two: expected one pair for the view gates, found ⟨late, late⟩"),
        (SWEEP, {"pairs": "all"}, "pairs: all: expected one pair for the view sweep, found ⟨late, late⟩, ⟨late"),
        (GATES, {"where": ("stylized",)}, "where: expected test among the sets of images for the view gates"),
        (GATES, {"paper": lines("SS")},
         "SS: expected a line of kind score, best, fused for the view gates, found images"),
        (GATES, {"paper": lines("CE at the cut of SS")},
         "CE at the cut of SS: expected a line of kind score, best, fused for the view gates, found cut"),
        (LOSSES, {"settings": {"gama": 1}}, "unknown setting of the view losses: 'gama': did you mean 'gamma'?"),
        (LOSSES, {"settings": {"gamma": -1}}, "gamma: expected a number from 0 to 100, found -1"),
        (LOSSES, {"settings": {"gamma": "two"}}, "gamma: expected a number from 0 to 100, found 'two'"),
        (LOSSES, {"settings": {"alphas": [1, 3]}},
         "alphas: expected a list of pairs, each a number from 1e-06 to 80, found [1, 3]"),
        (LOSSES, {"settings": {"alphas": [[1, 3], [2]]}}, "alphas: expected a list of pairs"),
        (LOSSES, {"settings": {"alphas": [[0, 3]]}}, "alphas: expected a list of pairs"),
        (HISTOGRAMS, {"settings": {"lines": ["CS"]}}, "unknown line of the view histograms: 'CS': Known: CE, SS"),
        (HISTOGRAMS, {"settings": {"lines": "SS"}}, "lines: expected a list of at least one line, found 'SS'"),
        (HISTOGRAMS, {"settings": {"gamma": 1}}, "unknown setting of the view histograms: 'gamma'"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused(experiment: Experiment, changes: dict[str, Any], message: str) -> None:
    require_possible(experiment, DIGITS)
    with pytest.raises(SteepslopeError) as error:
        require_possible(Experiment(**{**vars(experiment), **changes}), DIGITS)
    assert str(error.value).startswith(f"own: {message}")


@pytest.mark.parametrize("name", ["negatives", "positives", "criterion"])
def test_a_sweep_needs_what_is_swept(name: str) -> None:
    preset = DIGITS.changed(sweep={key: value for key, value in DIGITS.sweep.items() if key != name})
    with pytest.raises(SteepslopeError, match=rf"^own: preset digits: sweep: expected {name} for the view sweep"):
        require_possible(SWEEP, preset)
    require_possible(SWEEP)  # not known without a preset


def test_settings_of_losses_may_be_what_they_are_drawn_from() -> None:
    require_possible(Experiment(**{**vars(LOSSES), "settings": {"alphas": [[1, 3], [2, 5.5]], "gamma": 0}}))
