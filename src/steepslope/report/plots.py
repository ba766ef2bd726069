"""The figures of a report, drawn from arrays as SVG text."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steepslope.evaluation.rows import Row
from steepslope.evaluation.score import Scored
from steepslope.report.style import CORRECT, GREY, WRONG, lines, styled, svg


@styled()
def histograms(scored: Sequence[Scored], is_correct: NDArray[np.bool_]) -> str:
    """Draw the confidences of correct and wrong predictions, one panel a score (paper, Fig. 3), as SVG.

    Each side is scaled to its own total, since correct predictions outnumber errors.
    """
    columns = min(3, len(scored))
    rows = -(-len(scored) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.6 * rows), layout="constrained")
    for index, one in enumerate(scored):
        _histogram(figure.add_subplot(rows, columns, index + 1), one, is_correct)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), ncols=2, loc="outside lower center")
    return _inline(figure, "histograms")


def _histogram(axes: Axes, one: Scored, is_correct: NDArray[np.bool_]) -> None:
    confidence = one.unit_confidence
    bins = np.linspace(0, 1, 26).tolist()
    for chosen, color, label in ((is_correct, CORRECT, "correct"), (~is_correct, WRONG, "wrong")):
        if chosen.any():
            weights = np.full(int(chosen.sum()), 100 / chosen.sum())
            axes.hist(confidence[chosen], bins, weights=weights, color=color, alpha=0.55, label=label)
    if not np.isnan(one.cut()):
        axes.axvline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(title=one.name, xlabel="confidence", ylabel="% of its side", xlim=(0, 1))


@styled()
def risk_coverage(rows: Sequence[Row]) -> str:
    """Draw the selective risk at each coverage, one line a score (paper, Fig. 4a), as SVG."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    looks = lines(row.name for row in rows)
    for row in rows:
        look = looks[row.name]
        axes.plot(100 * row.curve.coverage, 100 * row.curve.risk, color=look.color, ls=look.dashes, label=row.name)
    overall = 100 * float(rows[0].curve.risk[-1])
    axes.axhline(overall, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(xlabel="coverage (%)", ylabel="selective risk (%)", xlim=(0, 100), ylim=(0, max(1.6 * overall, 1)))
    figure.legend(loc="outside right upper")
    return _inline(figure, "risk-coverage")


def _inline(figure: Figure, name: str) -> str:
    """Return the SVG of a figure without the lines before it, to stand in a page."""
    text = svg(figure, name)
    return text[text.index("<svg") :]
