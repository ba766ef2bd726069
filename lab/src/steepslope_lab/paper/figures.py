"""The paper's figures, drawn from plain arrays: losses, risk against coverage, sweeps, histograms by outcome.

Every figure is as wide as a page; ``style.save_figure`` writes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steepslope.losses import Loss, cross_entropy, focal, steep_slope
from steepslope.metrics import RiskCoverage
from steepslope_lab.paper.style import (
    BLACK,
    GREY,
    LINE_HEIGHT,
    PAGE_WIDTH,
    SKY,
    SMALL,
    TEXT,
    VERMILION,
    YELLOW,
    Line,
    figure_style,
    legend_below,
    line_looks,
    wrapped_text,
)

Floats = NDArray[np.float64]
SHOWN_LOGITS = np.linspace(-6, 6, 481)
HIGHEST_LOSS = 8.0
OUTCOME_OF_PANEL = {"correct prediction, o = 1": 1, "wrong prediction, o = 0": 0}
POINTS = 500  # of a risk-coverage curve: more than the picture has dots
FIRST_SHOWN = 0.1  # the coverage from which risks count for the axis
PANEL_HEIGHT = 2.4  # inches
WIDE = 2.2  # points, of an unbroken line: seen next to the dashes that cover it where two scores rank alike
BESIDE_AXES = 0.65  # inches that the label and the numbers of a vertical axis need


@figure_style()
def loss_graphs(alphas: Sequence[tuple[float, float]] = ((1, 3), (2, 5)), gamma: float = 2.0) -> Figure:
    """Draw the losses against the trust logit z, for correct and for wrong predictions (paper, Fig. 2b).

    Cross entropy, the focal loss and the steep slope loss, this once for each (α⁺, α⁻). The vertical axis ends at 8:
    above it the steep slope loss of wrong predictions goes on to its bound, exp(α⁻) − exp(−α⁻).

    Parameters
    ----------
    alphas
        Pairs of α⁺ and α⁻, each > 0.
    gamma
        The exponent of the focal loss, ≥ 0.

    Raises
    ------
    SteepslopeError
        If an α is not positive.
    """
    figure = Figure(figsize=(PAGE_WIDTH, 2.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    losses = _losses_at_logits(alphas, gamma)
    looks = line_looks(losses)
    handles: dict[str, Artist] = {}
    for axes, (title, outcome) in zip(panels, OUTCOME_OF_PANEL.items(), strict=True):
        for name, values in losses.items():
            look = looks[name]
            (handles[name],) = axes.plot(SHOWN_LOGITS, values[outcome], color=look.color, linestyle=look.dashes)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set(title=title, xlabel="trust logit z", xlim=(SHOWN_LOGITS[0], SHOWN_LOGITS[-1]), ylim=(0, HIGHEST_LOSS))
    panels[0].set_ylabel("loss")
    legend_below(figure, handles)
    return figure


def _losses_at_logits(alphas: Sequence[tuple[float, float]], gamma: float) -> dict[str, tuple[Floats, Floats]]:
    """Return by name the values of each loss at the shown logits, for wrong and for correct predictions."""
    z = torch.from_numpy(SHOWN_LOGITS)
    functions: dict[str, Loss] = {"cross entropy": cross_entropy, f"focal, γ = {gamma:g}": partial(focal, gamma=gamma)}
    for positive, negative in alphas:
        name = f"steep slope, α⁺ = {positive:g}, α⁻ = {negative:g}"
        functions[name] = partial(steep_slope, alpha_pos=positive, alpha_neg=negative)
    wrong, correct = torch.zeros_like(z), torch.ones_like(z)
    return {name: (loss(z, wrong).numpy(), loss(z, correct).numpy()) for name, loss in functions.items()}


@figure_style()
def risk_coverage_grid(panels: Mapping[str, Mapping[str, RiskCoverage]]) -> Figure:
    """Draw the selective risk at each coverage, a panel a key and a line a score (paper, Fig. 4a and Appendix E).

    A score looks alike in all panels. The dotted line is the risk of accepting all. The vertical axis of each panel
    reaches to the highest risk from a coverage of 10 % on: at a lower one few predictions are accepted, so that a
    single error can double the risk; what is higher there leaves the picture at the top.

    Parameters
    ----------
    panels
        By the title of a panel, the curves by the name of their score.
    """
    looks = line_looks(name for curves in panels.values() for name in curves)
    figure, grid = _two_panels_a_row(len(panels))
    handles: dict[str, Artist] = {}
    for axes, (title, curves) in zip(grid, panels.items(), strict=True):
        handles |= _risk_panel(axes, curves, looks)
        axes.set(title=_fitted_title(title, axes), xlabel="coverage (%)", ylabel="selective risk (%)", xlim=(0, 100))
    legend_below(figure, {name: handles[name] for name in looks} | {"risk of accepting all": handles[""]})
    return figure


def _risk_panel(axes: Axes, curves: Mapping[str, RiskCoverage], looks: Mapping[str, Line]) -> dict[str, Artist]:
    """Draw the curves of a panel; return the lines by name, and by "" that of the overall risk."""
    handles: dict[str, Artist] = {}
    highest = 0.0
    for name, curve in curves.items():
        thin = curve.thinned(POINTS)
        look = looks[name]
        style = {"color": look.color, "linestyle": look.dashes, "linewidth": WIDE if look.dashes == "-" else None}
        (handles[name],) = axes.plot(100 * thin.coverage, 100 * thin.risk, **style)
        highest = max(highest, float(100 * thin.risk[thin.coverage >= FIRST_SHOWN].max()))
    for overall in {float(100 * curve.risk[-1]) for curve in curves.values()}:
        handles[""] = axes.axhline(overall, color=GREY, linewidth=0.9, linestyle=":", zorder=1)
    axes.set_ylim(0, 1.08 * highest or 1)
    return handles


@dataclass(frozen=True, eq=False)
class SweepPanel:
    """What changes as one setting is varied.

    Attributes
    ----------
    title
        Stands above the panel; may be empty.
    x
        The values of the setting, float (m,).
    series
        By name, what was measured: float (m,).
    chosen
        The value that was chosen.
    xlabel, ylabel
        The names of the setting and of what was measured, with units.
    """

    title: str
    x: Floats
    series: Mapping[str, Floats]
    chosen: float
    xlabel: str
    ylabel: str


@figure_style()
def sweep_figure(curves: Sequence[SweepPanel]) -> Figure:
    """Draw what a setting changes (paper, Fig. 4b and c); a dashed line shows the chosen value.

    A series looks alike in all panels.
    """
    looks = line_looks(name for panel in curves for name in panel.series)
    figure, grid = _two_panels_a_row(len(curves))
    handles: dict[str, Artist] = {}
    for axes, panel in zip(grid, curves, strict=True):
        for name, values in panel.series.items():
            look = looks[name]
            style: dict[str, Any] = {"color": look.color, "linestyle": look.dashes, "marker": look.marker}
            (handles[name],) = axes.plot(panel.x, values, **style)
        ylabel = wrapped_text(panel.ylabel, PANEL_HEIGHT - 0.6)
        more = ylabel.count("\n") * LINE_HEIGHT
        axes.set(
            title=_fitted_title(panel.title, axes, more), xlabel=_fitted_title(panel.xlabel, axes, more), ylabel=ylabel
        )
        _mark_chosen(axes, panel.chosen)
    legend_below(figure, handles)
    return figure


def _mark_chosen(axes: Axes, chosen: float) -> None:
    """Draw a dashed line with its value, in room made for it above the curves, where the axis has no numbers."""
    bottom, top = axes.get_ylim()
    axes.set_yticks([tick for tick in axes.get_yticks() if bottom <= tick <= top])
    axes.set_ylim(bottom, top + 0.15 * (top - bottom))
    axes.axvline(chosen, color=GREY, linewidth=0.9, linestyle="--", zorder=1)
    left, right = axes.get_xlim()
    to_the_right = chosen < (left + right) / 2
    look: dict[str, Any] = {"ha": "left" if to_the_right else "right", "va": "top", "fontsize": SMALL, "color": GREY}
    offset = (3 if to_the_right else -3, 0)
    place = axes.get_xaxis_transform()
    axes.annotate(f"chosen: {chosen:g}", (chosen, 0.99), offset, place, "offset points", **look)


def _two_panels_a_row(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure as wide as a page, and ``count`` panels in it."""
    columns = min(2, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(PAGE_WIDTH, PANEL_HEIGHT * rows + 0.5), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, index + 1) for index in range(count)]


def _fitted_title(text: str, axes: Axes, more: float = 0.0) -> str:
    """Return text in lines no wider than the panel, whose vertical axis needs so many inches more than usual."""
    columns = axes.get_gridspec().ncols  # type: ignore[union-attr]
    return wrapped_text(text, PAGE_WIDTH / columns - BESIDE_AXES - more)


BINS = 24  # even, so that ½ is an edge: no bin has trusted and other predictions
EDGES = np.linspace(0, 1, BINS + 1)
THRESHOLD = 0.5  # of a confidence that is trusted
ROW_HEIGHT = 1.6  # inches of a panel without its title
HEADROOM = 0.2  # the part of a panel above 100 %, where its rates stand

# By the name of an outcome, how it is explained, and the colours of its area, outline and hatch. Correct predictions
# come first, as light areas: the outlines and hatches of errors are drawn over them.
OUTCOMES: dict[str, tuple[str, dict[str, Any]]] = {
    "TP": ("TP: correct, trusted", {"facecolor": SKY, "edgecolor": "none", "hatch": ""}),
    "FN": ("FN: correct, not trusted", {"facecolor": YELLOW, "edgecolor": "none", "hatch": ""}),
    "TN": ("TN: wrong, not trusted", {"facecolor": "none", "edgecolor": BLACK, "hatch": "/" * 6}),
    "FP": ("FP: wrong, trusted", {"facecolor": "none", "edgecolor": VERMILION, "hatch": "\\" * 6}),
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

    >>> panel = OutcomePanel("SS", np.array([0.9, 0.4, 0.2, 0.8]), np.array([True, True, False, False]))
    >>> {name: int(rows.sum()) for name, rows in panel.outcomes.items()}, panel.rates
    ({'TP': 1, 'FN': 1, 'TN': 1, 'FP': 1}, (0.5, 0.5))
    """

    title: str
    confidence: Floats
    is_correct: NDArray[np.bool_]

    @property
    def outcomes(self) -> dict[str, NDArray[np.bool_]]:
        """Which rows are TP, FN, TN and FP, each bool (n,); every row is one of them."""
        right, trusted = self.is_correct, self.confidence > THRESHOLD
        return {"TP": right & trusted, "FN": right & ~trusted, "TN": ~right & ~trusted, "FP": ~right & trusted}

    @property
    def rates(self) -> tuple[float, float]:
        """The TPR and the TNR, in [0, 1]; NaN where no prediction is correct, or none is wrong."""
        trusted = self.confidence > THRESHOLD
        right, wrong = trusted[self.is_correct], ~trusted[~self.is_correct]
        return float(right.mean()) if len(right) else np.nan, float(wrong.mean()) if len(wrong) else np.nan

    def heights(self, outcome: str) -> Floats:
        """Return how many of an outcome lie in each of the 24 bins, in percent of all predictions, (24,)."""
        counts, _ = np.histogram(self.confidence[self.outcomes[outcome]], EDGES)
        return 100 * counts / len(self.confidence)


@figure_style()
def outcome_histograms(panels: Sequence[Sequence[OutcomePanel]]) -> Figure:
    """Draw a grid of histograms: a row for each ⟨oracle, classifier⟩, say, and a column for each loss.

    The vertical axis is logarithmic and begins at half a prediction, so that single errors are seen next to thousands
    of correct predictions. Correct predictions are filled, errors are hatched and drawn over them. The dashed line is
    the threshold; where wrong predictions have another, that is dotted.
    """
    (columns,) = {len(row) for row in panels}
    room = (PAGE_WIDTH - 0.6) / columns - 0.2
    titles = [[wrapped_text(panel.title, room) for panel in row] for row in panels]
    deepest = [max(title.count("\n") + 1 for title in row) for row in titles]
    height = sum(ROW_HEIGHT + LINE_HEIGHT * count for count in deepest) + 0.7
    figure = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
    grid = figure.subplots(len(panels), columns, sharex=True, sharey=True, squeeze=False)
    handles: dict[str, Artist] = {}
    for axes, panel, title in zip(grid.flat, chain(*panels), chain(*titles), strict=True):
        handles |= _outcome_panel(axes, panel)
        axes.set_title(title)
    for axes in grid[-1]:
        axes.set_xlabel("confidence")
    _share_log_axes(grid[0, 0], min(50 / len(panel.confidence) for panel in chain(*panels)))
    figure.supylabel("% of all predictions (log scale)", fontsize=TEXT)
    legend_below(figure, handles)
    return figure


def _outcome_panel(axes: Axes, panel: OutcomePanel) -> dict[str, Artist]:
    """Draw a panel; return what stands for each outcome and threshold by its explanation."""
    handles: dict[str, Artist] = {}
    for name, (label, look) in OUTCOMES.items():
        handles[label] = axes.stairs(panel.heights(name), EDGES, fill=True, linewidth=0.8, **look)
    # it ends below the rates
    handles["threshold"] = axes.axvline(THRESHOLD, ymax=1 - HEADROOM, color=BLACK, linewidth=0.9, linestyle="--")
    rates = zip(("TPR", "TNR"), panel.rates, strict=True)
    text = "\n".join(f"{name} –" if np.isnan(rate) else f"{name} {100 * rate:.1f} %" for name, rate in rates)
    axes.text(0.03, 0.985, text, transform=axes.transAxes, va="top", fontsize=SMALL)
    return handles


def _share_log_axes(axes: Axes, floor: float) -> None:
    """Set the scales of all panels: from ``floor`` percent to 100, and room above."""
    axes.set_yscale("log")
    top = 100 * (100 / floor) ** (HEADROOM / (1 - HEADROOM))
    ticks = [tick for tick in (0.001, 0.01, 0.1, 1, 10, 100) if tick >= floor]
    labels = [f"{tick:g}" for tick in ticks]
    axes.set(xlim=(0, 1), ylim=(floor, top), xticks=[0, 0.5, 1], yticks=ticks, yticklabels=labels)
    axes.minorticks_off()
