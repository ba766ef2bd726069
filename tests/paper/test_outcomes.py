"""Histograms by outcome: every prediction is in one of four, and single errors are seen beside thousands."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.patches import StepPatch

from steepslope.errors import SteepslopeError
from steepslope.paper.figures import EDGES, OUTCOMES, OutcomePanel, outcomes
from steepslope.report.style import PAGE_WIDTH
from tests.report.readable import LONG, assert_readable, texts


def panel(title: str = "SS", n: int = 2000, accuracy: float = 0.92, **thresholds: float) -> OutcomePanel:
    rng = np.random.default_rng(n)
    is_correct = np.arange(n) < accuracy * n
    confidence = 1 / (1 + np.exp(-rng.normal(np.where(is_correct, 3, 0), 2)))
    return OutcomePanel(title, confidence, is_correct, **thresholds)


def test_every_row_has_one_outcome() -> None:
    for given in (panel(), panel(negative=0.1), panel(positive=0.7, negative=0.3)):
        assert np.sum(list(given.outcomes.values()), axis=0).tolist() == [1] * 2000
        assert list(given.outcomes) == list(OUTCOMES)


def test_a_confidence_on_its_threshold_is_not_trusted() -> None:
    given = OutcomePanel("", np.array([0.5, 0.5, 0.1, 0.1]), np.array([True, False, True, False]), negative=0.1)
    rows = {name: found.tolist() for name, found in given.outcomes.items()}
    assert rows == {
        "TP": [False, False, False, False],
        "FN": [True, False, True, False],
        "TN": [False, False, False, True],
        "FP": [False, True, False, False],
    }
    assert given.rates == (0, 0.5)


def test_heights_are_drawn_and_add_up_to_all_predictions() -> None:
    rows = [[panel("a", 500), panel("b", 2000, 0.99)], [panel("c", negative=0.1), panel("d", positive=0.7)]]
    figure = outcomes(rows)
    for axes, given in zip(figure.axes, [*rows[0], *rows[1]], strict=True):
        patches = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
        heights = [np.asarray(patch.get_data()[0]) for patch in patches]
        assert [len(values) for values in heights] == [24] * 4
        assert sum(map(np.sum, heights)) == pytest.approx(100)
        for values, (name, chosen) in zip(heights, given.outcomes.items(), strict=True):
            assert values.sum() == pytest.approx(100 * chosen.mean()), name
            counts, _ = np.histogram(given.confidence[chosen], EDGES)
            np.testing.assert_allclose(values, 100 * counts / len(chosen))
        assert len({(str(patch.get_facecolor()), patch.get_hatch()) for patch in patches}) == 4
        thresholds = {float(np.asarray(line.get_xdata())[0]) for line in axes.lines}
        assert thresholds == {given.positive, given.negative}


def test_a_single_error_is_seen() -> None:
    confidence = np.full(10_000, 0.9)
    is_correct = np.arange(10_000) > 0
    (axes,) = outcomes([[OutcomePanel("", confidence, is_correct)]]).axes
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert low == pytest.approx(0.005)
    assert high > 100
    assert math.log(0.01 / low) / math.log(high / low) > 0.05  # of the height of the panel


def test_the_rates_stand_in_the_panel() -> None:
    given = panel(accuracy=0.5)
    correct, wrong = given.confidence[given.is_correct], given.confidence[~given.is_correct]
    expected = f"TPR {100 * (correct > 0.5).mean():.1f} %\nTNR {100 * (wrong <= 0.5).mean():.1f} %"
    only_correct = OutcomePanel("", np.array([0.9, 0.2]), np.array([True, True]))
    figure = outcomes([[given, only_correct]])
    assert [axes.texts[0].get_text() for axes in figure.axes] == [expected, "TPR 50.0 %\nTNR –"]


def test_the_legend_has_a_second_threshold_only_where_there_is_one() -> None:
    for given, count in ((panel(), 5), (panel(negative=0.1), 6)):
        labels = [text.get_text() for text in outcomes([[panel(), given]]).legends[0].get_texts()]
        assert len(labels) == count
        assert [label[:2] for label in labels[:4]] == list(OUTCOMES)


@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("columns", [1, 2, 4, 5])
def test_all_is_readable(rows: int, columns: int) -> None:
    losses = ["CE ⟨ViT, ViT⟩", LONG, "SS", "TCP " + LONG, "MCP"][:columns]
    figure = outcomes([[panel(loss, 200, negative=0.1) for loss in losses]] * rows)
    assert figure.get_figwidth() == PAGE_WIDTH
    assert_readable(figure)
    assert any("% of all predictions" in text.get_text() for text in texts(figure))


def test_bad_input_is_named() -> None:
    right = np.array([True, False])
    with pytest.raises(SteepslopeError, match=r"^confidence: expected numbers in \[0, 1\], found 0\.5 to 1\.5$"):
        OutcomePanel("", np.array([0.5, 1.5]), right)
    with pytest.raises(
        SteepslopeError, match=r"^confidence and is_correct: expected numbers and booleans of one shape"
    ):
        OutcomePanel("", np.array([0.5]), right)
    bad: list[list[list[OutcomePanel]]] = [[], [[]], [[panel()], [panel(), panel()]]]
    for rows in bad:
        with pytest.raises(SteepslopeError, match=r"^outcomes: expected rows of equally many panels, found \["):
            outcomes(rows)
