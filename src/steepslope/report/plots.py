"""The figures of a report, drawn from arrays as SVG text."""

from collections.abc import Sequence
from io import StringIO

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steepslope.evaluation.rows import Row
from steepslope.evaluation.score import Scored

CORRECT, WRONG = "#2a6f97", "#c1121f"


def histograms(scored: Sequence[Scored], is_correct: NDArray[np.bool_]) -> str:
    """Draw the confidences of correct and wrong predictions, one panel a score (paper, Fig. 3), as SVG.

    Each side is scaled to its own total, since correct predictions outnumber errors.
    """
    columns = min(3, len(scored))
    lines = -(-len(scored) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.6 * lines), layout="constrained")
    for index, one in enumerate(scored):
        _histogram(figure.add_subplot(lines, columns, index + 1), one, is_correct)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), frameon=False, ncols=2, loc="outside lower center")
    return _svg(figure, "histograms")


def _histogram(axes: Axes, one: Scored, is_correct: NDArray[np.bool_]) -> None:
    confidence = one.unit_confidence
    bins = np.linspace(0, 1, 26).tolist()
    for chosen, color, label in ((is_correct, CORRECT, "correct"), (~is_correct, WRONG, "wrong")):
        if chosen.any():
            weights = np.full(int(chosen.sum()), 100 / chosen.sum())
            axes.hist(confidence[chosen], bins, weights=weights, color=color, alpha=0.55, label=label)
    if not np.isnan(one.cut()):
        axes.axvline(0.5, color="0.4", linewidth=0.8, linestyle=":")
    axes.set(title=_plain(one.name), xlabel="confidence", ylabel="% of its side", xlim=(0, 1))


def risk_coverage(rows: Sequence[Row]) -> str:
    """Draw the selective risk at each coverage, one line a score (paper, Fig. 4a), as SVG."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    for row in rows:
        axes.plot(100 * row.curve.coverage, 100 * row.curve.risk, label=_plain(row.name), linewidth=1.3)
    overall = 100 * float(rows[0].curve.risk[-1])
    axes.axhline(overall, color="0.6", linewidth=0.8, linestyle=":")
    axes.set(xlabel="coverage (%)", ylabel="selective risk (%)", xlim=(0, 100), ylim=(0, max(1.6 * overall, 1)))
    figure.legend(frameon=False, loc="outside right upper")
    return _svg(figure, "risk-coverage")


def _plain(name: str) -> str:
    """Return the name so that matplotlib finds no formula in it."""
    return name.replace("$", r"\$")


def _svg(figure: Figure, name: str) -> str:
    buffer = StringIO()
    # A salt and no date make the same arrays give the same bytes; a salt for each keeps their ids apart on one page.
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
