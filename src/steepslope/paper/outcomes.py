"""Histograms of the confidences by outcome: correct or wrong, trusted or not (paper, Fig. 3 and Appendix D)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.metrics.curves import checked
from steepslope.report.style import (
    BLACK,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    LINE_HEIGHT,
    PAGE_WIDTH,
    SMALL,
    TEXT,
    TRUE_NEGATIVE,
    TRUE_POSITIVE,
    Area,
    legend_below,
    styled,
    wrapped,
)

Floats = NDArray[np.float64]
BINS = 24  # even, so that ½ is an edge: no bin has trusted and other predictions
EDGES = np.linspace(0, 1, BINS + 1)
ROW_HEIGHT = 1.6  # inches of a panel without its title
HEADROOM = 0.2  # the part of a panel above 100 %, where its rates stand

# By the name of an outcome, how it is drawn and explained. Correct predictions come first: errors are drawn over them.
OUTCOMES: dict[str, tuple[Area, str]] = {
    "TP": (TRUE_POSITIVE, "TP: correct, trusted"),
    "FN": (FALSE_NEGATIVE, "FN: correct, not trusted"),
    "TN": (TRUE_NEGATIVE, "TN: wrong, not trusted"),
    "FP": (FALSE_POSITIVE, "FP: wrong, trusted"),
}


@dataclass(frozen=True, eq=False)
class OutcomePanel:
    """The confidences of one score on one classifier's predictions.

    Attributes
    ----------
    title
        Stands above the panel.
    confidence
        Float (n,) in [0, 1].
    is_correct
        Bool (n,).
    positive, negative
        Correct predictions with a confidence > ``positive`` are true positives, wrong ones with a confidence ≤
        ``negative`` true negatives.

    Raises
    ------
    SteepslopeError
        If the shapes differ, there are no rows, or a confidence is not in [0, 1].

    >>> panel = OutcomePanel("SS", np.array([0.9, 0.4, 0.2, 0.8]), np.array([True, True, False, False]))
    >>> {name: int(rows.sum()) for name, rows in panel.outcomes.items()}, panel.rates
    ({'TP': 1, 'FN': 1, 'TN': 1, 'FP': 1}, (0.5, 0.5))
    """

    title: str
    confidence: Floats
    is_correct: NDArray[np.bool_]
    positive: float = 0.5
    negative: float = 0.5

    def __post_init__(self) -> None:
        values, _ = checked(self.confidence, self.is_correct)
        if values.min() < 0 or values.max() > 1:
            raise SteepslopeError(f"confidence: expected numbers in [0, 1], found {values.min():g} to {values.max():g}")

    @property
    def outcomes(self) -> dict[str, NDArray[np.bool_]]:
        """Which rows are TP, FN, TN and FP, each bool (n,); every row is one of them."""
        trusted, distrusted = self.confidence > self.positive, self.confidence <= self.negative
        return {
            "TP": self.is_correct & trusted,
            "FN": self.is_correct & ~trusted,
            "TN": ~self.is_correct & distrusted,
            "FP": ~self.is_correct & ~distrusted,
        }

    @property
    def rates(self) -> tuple[float, float]:
        """The TPR and the TNR, in [0, 1]; NaN where no prediction is correct, or none is wrong."""
        size = {name: int(rows.sum()) for name, rows in self.outcomes.items()}
        positives, negatives = size["TP"] + size["FN"], size["TN"] + size["FP"]
        return size["TP"] / positives if positives else np.nan, size["TN"] / negatives if negatives else np.nan

    def heights(self, outcome: str) -> Floats:
        """Return how many of an outcome lie in each of the 24 bins, in percent of all predictions, (24,)."""
        counts, _ = np.histogram(self.confidence[self.outcomes[outcome]], EDGES)
        return 100 * counts / len(self.confidence)


@styled()
def outcomes(panels: Sequence[Sequence[OutcomePanel]]) -> Figure:
    """Draw a grid of histograms: a row for each ⟨oracle, classifier⟩, say, and a column for each loss.

    The vertical axis is logarithmic and begins at half a prediction, so that single errors are seen beside thousands
    of correct predictions. Correct predictions are filled, errors are hatched and drawn over them. The dashed line is
    the threshold; where wrong predictions have another, that is dotted.

    Raises
    ------
    SteepslopeError
        If there is no panel, or rows have unequal numbers of panels.
    """
    widths = {len(row) for row in panels}
    if len(widths) != 1 or 0 in widths:
        raise SteepslopeError(f"outcomes: expected rows of equally many panels, found {[len(row) for row in panels]}")
    (columns,) = widths
    room = (PAGE_WIDTH - 0.6) / columns - 0.2
    titles = [[wrapped(panel.title, room) for panel in row] for row in panels]
    deepest = [max(title.count("\n") + 1 for title in row) for row in titles]
    height = sum(ROW_HEIGHT + LINE_HEIGHT * count for count in deepest) + 0.7
    figure = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
    grid = figure.subplots(len(panels), columns, sharex=True, sharey=True, squeeze=False)
    handles: dict[str, Artist] = {}
    for axes, panel, title in zip(grid.flat, chain(*panels), chain(*titles), strict=True):
        handles |= _panel(axes, panel)
        axes.set_title(title)
    for axes in grid[-1]:
        axes.set_xlabel("confidence")
    _share_axes(grid[0, 0], min(50 / len(panel.confidence) for panel in chain(*panels)))
    figure.supylabel("% of all predictions (log scale)", fontsize=TEXT)
    legend_below(figure, handles)
    return figure


def _panel(axes: Axes, panel: OutcomePanel) -> dict[str, Artist]:
    """Draw a panel; return what stands for each outcome and threshold by its explanation."""
    handles: dict[str, Artist] = {}
    for name, (area, label) in OUTCOMES.items():
        look: dict[str, Any] = {"facecolor": area.fill, "edgecolor": area.color, "hatch": area.hatch, "linewidth": 0.8}
        handles[label] = axes.stairs(panel.heights(name), EDGES, fill=True, **look)
    handles["threshold"] = _threshold(axes, panel.positive, "--")
    if panel.negative != panel.positive:
        handles["threshold for errors"] = _threshold(axes, panel.negative, ":")
    rates = zip(("TPR", "TNR"), panel.rates, strict=True)
    text = "\n".join(f"{name} –" if np.isnan(rate) else f"{name} {100 * rate:.1f} %" for name, rate in rates)
    axes.text(0.03, 0.985, text, transform=axes.transAxes, va="top", fontsize=SMALL)
    return handles


def _threshold(axes: Axes, value: float, dashes: str) -> Artist:
    """Draw a line that ends below the rates."""
    return axes.axvline(value, ymax=1 - HEADROOM, color=BLACK, linewidth=0.9, linestyle=dashes)


def _share_axes(axes: Axes, floor: float) -> None:
    """Set the scales of all panels: from ``floor`` percent to 100, and room above."""
    axes.set_yscale("log")
    top = 100 * (100 / floor) ** (HEADROOM / (1 - HEADROOM))
    ticks = [tick for tick in (0.001, 0.01, 0.1, 1, 10, 100) if tick >= floor]
    axes.set(
        xlim=(0, 1), ylim=(floor, top), xticks=[0, 0.5, 1], yticks=ticks, yticklabels=[f"{tick:g}" for tick in ticks]
    )
    axes.minorticks_off()
