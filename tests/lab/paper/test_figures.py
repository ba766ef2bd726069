"""The figures of a comparison show the arrays that they were given, alike in all panels, and can be read."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch

from steepslope.metrics._selective import RiskCoverage, risk_coverage_curve
from steepslope_lab.paper.figures import (
    EDGES,
    OutcomePanel,
    SweepPanel,
    loss_graphs,
    outcome_histograms,
    risk_coverage_grid,
    sweep_figure,
)
from tests.lab.paper.readable import assert_readable, texts


def curves(axes: Axes) -> list[Line2D]:
    """Return the lines of a panel that are no reference lines over the whole of it."""
    return [line for line in axes.lines if len(line.get_xydata()) > 2]  # type: ignore[arg-type]


def data(line: Line2D) -> tuple[list[float], list[float]]:
    """Return where a line goes."""
    x, y = line.get_data()
    return np.asarray(x).tolist(), np.asarray(y).tolist()


def looks(line: Line2D) -> tuple[str, str]:
    return str(line.get_color()), str(line._dash_pattern)  # type: ignore[attr-defined]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_losses_have_their_closed_forms() -> None:
    figure = loss_graphs([(1, 3)], gamma=2)
    assert_readable(figure)
    assert legend(figure) == ["cross entropy", "focal, γ = 2", "steep slope, α⁺ = 1, α⁻ = 3"]
    correct, wrong = figure.axes
    for axes, turn, alpha in ((correct, -1, 1), (wrong, 1, 3)):
        z = turn * np.asarray(axes.lines[0].get_xdata())
        entropy, focal, steep = (np.asarray(line.get_ydata()) for line in curves(axes))
        sigmoid = 1 / (1 + np.exp(-z))
        np.testing.assert_allclose(entropy, np.log1p(np.exp(z)), rtol=1e-9)
        np.testing.assert_allclose(focal, sigmoid**2 * np.log1p(np.exp(z)), rtol=1e-9)
        np.testing.assert_allclose(steep, np.exp(alpha * z / (1 + abs(z))) - math.exp(-alpha), rtol=1e-9, atol=1e-12)
        assert [data(line)[0] for line in axes.lines[3:]] == [[0, 0]]


def curve(seed: int, n: int = 3000, accuracy: float = 0.9) -> RiskCoverage:
    rng = np.random.default_rng(seed)
    is_correct = np.arange(n) < accuracy * n
    return risk_coverage_curve(rng.normal(is_correct * 1.5, 1), is_correct)


def test_the_curve_is_drawn_in_percent_from_end_to_end() -> None:
    shown = curve(0)
    (axes,) = risk_coverage_grid({"one": {"MCP": shown}}).axes
    x, y = (np.asarray(values) for values in curves(axes)[0].get_data())
    assert 400 <= len(x) <= 500
    assert (x[0], y[0]) == (100 * shown.coverage[0], 100 * shown.risk[0])
    assert (x[-1], y[-1]) == (100, pytest.approx(10))
    (overall,) = set(axes.lines) - set(curves(axes))
    assert data(overall)[1] == pytest.approx([10, 10])


def panel(title: str = "TPR and TNR", chosen: float = 3, names: Sequence[str] = ("TPR", "TNR")) -> SweepPanel:
    x = np.array([1.0, 2, 3, 4, 5])
    values = np.random.default_rng(0).uniform(0, 100, (len(names), 5))
    return SweepPanel(title, x, dict(zip(names, values, strict=True)), chosen, "α⁻ (α⁺ = 1)", "%")


def test_a_sweep_shows_its_values_and_the_choice() -> None:
    given = panel()
    figure = sweep_figure([given])
    (axes,) = figure.axes
    assert_readable(figure)
    for line, values in zip(curves(axes), given.series.values(), strict=True):
        np.testing.assert_allclose(np.asarray(line.get_ydata()), values)
        assert line.get_marker() in {"o", "s"}
    assert [data(line)[0] for line in set(axes.lines) - set(curves(axes))] == [[3, 3]]
    assert "chosen: 3" in [text.get_text() for text in texts(figure)]


def outcome(title: str = "SS", n: int = 2000, accuracy: float = 0.92) -> OutcomePanel:
    rng = np.random.default_rng(n)
    is_correct = np.arange(n) < accuracy * n
    confidence = 1 / (1 + np.exp(-rng.normal(np.where(is_correct, 3, 0), 2)))
    return OutcomePanel(title, confidence, is_correct)


def test_a_confidence_on_the_threshold_is_not_trusted() -> None:
    given = OutcomePanel("", np.array([0.5, 0.5, 0.6, 0.6]), np.array([True, False, True, False]))
    assert {name: rows.nonzero()[0].tolist() for name, rows in given.outcomes.items()} == {
        "TP": [2], "FN": [0], "TN": [1], "FP": [3],
    }  # fmt: skip


def test_heights_are_drawn_and_add_up_to_all_predictions() -> None:
    rows = [[outcome("a", 500), outcome("b", 2000, 0.99)], [outcome("c"), outcome("d")]]
    figure = outcome_histograms(rows)
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
        assert [float(np.asarray(line.get_xdata())[0]) for line in axes.lines] == [0.5]
