"""What all results of a folder come to: tables, a figure, and how many of them are clearly ahead or behind."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, variance
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t as students_t

from steepslope.files import read_json
from steepslope.report import UNDEFINED, Cell, Grid, number_cell
from steepslope.score_benchmark import PERCENT, THOUSAND, Estimate, difference_cell
from steepslope_lab.benchmark.lines import (
    AVERAGE,
    BEST,
    BOOSTED,
    ENSEMBLE,
    MCP,
    PROBE,
    STACK,
    STACKED,
    line_with_opinions,
)
from steepslope_lab.benchmark.preset import KINDS, TABLES
from steepslope_lab.benchmark.promises import MAPIE, MAPIE_SEQUENCE, OURS
from steepslope_lab.benchmark.run import EXPECTED
from steepslope_lab.benchmark.trial import FREE, fused_name
from steepslope_lab.paper.results import Drawing, write_results
from steepslope_lab.paper.style import (
    BLACK,
    BLUE,
    GREY,
    LINE_HEIGHT,
    ORANGE,
    PAGE_WIDTH,
    VERMILION,
    figure_style,
    legend_below,
)

SUBJECT = "data and classifier"
ABOUT = {"title": "What oracles gain, on data of many kinds", "source": ""}
HALF_OF_95 = float(students_t.ppf(0.975, math.inf))  # of a normal value, in standard deviations
Rows = Sequence[Mapping[str, Any]]


class Result(NamedTuple):
    """What was measured on one data set and classifier, one row a seed."""

    name: str
    about: Mapping[str, Any]
    rows: Rows

    @property
    def title(self) -> str:
        """What tables call the data set and classifier."""
        return str(self.about["title"])

    @property
    def with_opinions(self) -> str | None:
        """The line of the fused oracle with all opinions; None where there is no opinion."""
        return line_with_opinions(self.rows[0]["lines"])

    @property
    def with_all(self) -> str:
        """The line of the fused oracle that sees most."""
        return self.with_opinions or FREE

    @property
    def accuracy(self) -> Cell:
        """How often the classifier is right."""
        return percent_cell(values_in_rows(self.rows, "accuracy"))

    def number(self, line: str | None, metric: str = "auc", scale: float = PERCENT) -> Cell:
        """Return a metric of a line."""
        estimate = estimate_over_seeds(self.rows, line, metric)
        return number_cell(estimate and estimate.value, scale)

    def difference(self, heading: str, metric: str) -> Estimate | None:
        """Return a metric of a comparison's line less that of its rival; None where either is missing."""
        line, rival = COMPARISONS[heading]
        return estimate_over_seeds(self.rows, line(self), f"minus {rival}", metric)

    def gain(self, heading: str) -> Cell:
        """Return the difference of a comparison in AUC, as a cell."""
        return difference_cell(self.difference(heading, "auc"))

    def risk_gain(self, heading: str) -> Cell:
        """Return the difference of a comparison in AURC, where lower is better, as a cell."""
        return difference_cell(self.difference(heading, "aurc"), THOUSAND, lower_is_better=True)


LineOf = Callable[[Result], str | None]
COMPARISONS: dict[str, tuple[LineOf, str]] = {  # a line, and the rival that it should beat
    "fused − MCP": (lambda result: FREE, MCP),
    "fused − best single": (lambda result: FREE, BEST),
    "with opinions − MCP": (lambda result: result.with_opinions, MCP),
    "with opinions − average": (lambda result: result.with_opinions, AVERAGE),
    "all − stacking": (lambda result: result.with_all, STACKED),
    "all − boosting": (lambda result: result.with_all, BOOSTED),
}

Columns = Mapping[str, Callable[[Result], Cell]]  # the cell of a result, by the heading


def results_in(folder: Path) -> list[Result]:
    """Return all results whose rows lie in a folder, by kind and title."""
    contents = {path.stem: read_json(path, EXPECTED) for path in sorted(folder.glob("*.json")) if path.stem != TABLES}
    results = [
        Result(name, content, content["rows"])
        for name, content in contents.items()
        if {"key", "title", "kind", "rows"} <= {*content}  # all else is not ours
    ]
    return sorted(results, key=lambda result: (KINDS.index(result.about["kind"]), result.title))


def values_in_rows(rows: Rows, *place: str | None) -> list[Any] | None:
    """Return what each row has at a place, given by the keys that lead there; None where a row has nothing."""
    values: list[Any] = [*rows]
    for key in place:
        values = [value.get(key) for value in values]
        if None in values:
            return None
    return values


def estimate_over_seeds(rows: Rows, line: str | None, *place: str) -> Estimate | None:
    """Return the mean over seeds of what rows have of a line, with its interval; None where they lack it."""
    values = values_in_rows(rows, "lines", line, *place)
    if values is None:
        return None
    middle, low, high = (mean(column) for column in zip(*values, strict=True))
    as_wide = width_of_mean([value for value, _, _ in values], high - low, rows[0]["part"])
    return Estimate(middle, middle + as_wide * (low - middle), middle + as_wide * (high - middle))


def width_of_mean(values: Sequence[float], width: float, part: float) -> float:
    """Return the width of the interval of a mean over n splits, in widths of the 95 % interval of one split.

    Two splits share the ``part`` of their judged rows, so this part of the rows' variance stays in the mean. The rest
    is divided by n: the variance between splits, or what drawing rows explains of it if that is more. Where the values
    tell it, they are few: the interval is Student's, with the degrees of freedom of Welch and Satterthwaite.

    >>> round(width_of_mean([0.1, 0.1, 0.1], 0.2, 0.4) ** 2, 3), round(width_of_mean([0.1, 0.5, 0.3], 0.2, 0.4), 1)
    (0.6, 4.5)
    """
    if len(values) == 1 or not width:
        return 1.0
    n = len(values)
    of_values = variance(values)
    of_rows = (width / 2 / HALF_OF_95) ** 2
    of_mean = part * of_rows + max(of_values, (1 - part) * of_rows) / n
    freedom = (n - 1) * (n * of_mean / of_values) ** 2 if of_values > (1 - part) * of_rows else math.inf
    return float(students_t.ppf(0.975, freedom)) / HALF_OF_95 * math.sqrt(of_mean / of_rows)


def percent_cell(values: Sequence[float] | None, sign: str = "") -> Cell:
    """Return the mean of values in percent, with a sign if that is ``+``; undefined without values."""
    return UNDEFINED if values is None else Cell(f"{PERCENT * mean(values):{sign}.1f}")


def table_of_results(title: str, results: Sequence[Result], columns: Columns, note: str) -> Grid:
    """Return a table of a line a result."""
    rows = [[Cell(result.title), *(cell(result) for cell in columns.values())] for result in results]
    return Grid(title, [SUBJECT, *columns], rows, note)


def gains_table(results: Sequence[Result]) -> Grid:
    """Return the main table: what fused oracles gain in AUC, a line a data set."""
    columns: Columns = {
        "classes": lambda result: Cell(f"{result.rows[0]['classes']:,}"),
        "right": lambda result: result.accuracy,
        "MCP": lambda result: result.number(MCP),
        "best single": lambda result: result.number(BEST),
        **{heading: partial(Result.gain, heading=heading) for heading in COMPARISONS},
    }
    note = (
        "AUC in percentage points, mean over seeds with its paired 95 % interval; ↑ clearly better, ↓ clearly worse. "
        "Best single: the score of least AURC on held-out rows. Average: the mean of all softmaxes. "
        "All: the fused oracle with all opinions, or free where there are none. Stacking: a logistic regression on all "
        "softmaxes and features. Boosting: gradient boosting on the same, which tells correct predictions "
        "from wrong ones. Both learn from the oracle's rows. "
    )
    note += "; ".join(f"{difference}: {verdict}" for difference, verdict in standing_of_oracles(results).items()) + "."
    return table_of_results("What fused oracles gain", results, columns, note)


def risks_table(results: Sequence[Result]) -> Grid:
    """Return the same in AURC."""
    columns: Columns = {
        "MCP": lambda result: result.number(MCP, "aurc", THOUSAND),
        "best single": lambda result: result.number(BEST, "aurc", THOUSAND),
        "average": lambda result: result.number(AVERAGE, "aurc", THOUSAND),
        **{heading: partial(Result.risk_gain, heading=heading) for heading in COMPARISONS},
        "a probe in its place": lambda result: _cell_in_its_place(result, PROBE),
        "the average in its place": lambda result: _cell_in_its_place(result, ENSEMBLE),
        "stacking in its place": lambda result: _cell_in_its_place(result, STACK),
    }
    note = (
        "Area under the curve of risk against coverage, in thousandths: lower is better. In its place: another "
        "classifier's own predictions, ranked by its own MCP, with how often these are right. ↑ clearly better (lower)."
    )
    return table_of_results("Selective risk", results, columns, note)


def _cell_in_its_place(result: Result, other: str) -> Cell:
    measured = values_in_rows(result.rows, "in its place", other)
    if measured is None:
        return UNDEFINED
    aurc, right = (mean(one[name] for one in measured) for name in ("aurc", "accuracy"))
    return Cell(f"{THOUSAND * aurc:.1f}", f"({PERCENT * right:.1f} right)")


def rivals_table(results: Sequence[Result]) -> Grid:
    """Return the AUC of all lines that rank the same predictions."""
    lines = dict.fromkeys(
        line for result in results for line in result.rows[0]["lines"] if line == FREE or not line.startswith("fused, ")
    )
    columns: dict[str, Callable[[Result], Cell]] = {line: partial(Result.number, line=line) for line in lines}
    columns["fused, with opinions"] = lambda result: result.number(result.with_opinions)
    note = "In percent, mean over seeds; –: the outputs lack what the score needs."
    return table_of_results("AUC of all that ranks the same predictions", results, columns, note)


GATED: dict[str, tuple[str | None, str]] = {  # by the heading: a line, None for that with opinions, and the way
    "MCP": (MCP, OURS),
    "best single": (BEST, OURS),
    "average": (AVERAGE, OURS),
    "fused": (FREE, OURS),
    "with opinions": (None, OURS),
    "stacking in its place": (STACK, OURS),
    "MCP, SGR": (MCP, "SGR"),
    "MCP, MAPIE": (MCP, MAPIE),
    "MCP, MAPIE in sequence": (MCP, MAPIE_SEQUENCE),
    "fused, SGR": (FREE, "SGR"),
    "fused, MAPIE": (FREE, MAPIE),
    "fused, MAPIE in sequence": (FREE, MAPIE_SEQUENCE),
}


def promises_table(results: Sequence[Result], risk: str) -> Grid:
    """Return how much gates accept at a promise, and how often it breaks."""
    columns: Columns = {heading: partial(promise_cell, heading=heading, risk=risk) for heading in GATED}
    note = (
        "Percent of rows that are accepted; in brackets, in how many of 100 draws of calibration rows the promise "
        "breaks: more than so many of the accepted are wrong, at a delta of 5 %. Mean over seeds."
    )
    return table_of_results(f"What gates accept at a promise of {PERCENT * float(risk):g} %", results, columns, note)


def promise_cell(result: Result, heading: str, risk: str) -> Cell:
    """Return what a gate accepts, in percent, and in brackets in how many of 100 draws its promise breaks."""
    line, way = GATED[heading]
    gates = values_in_rows(result.rows, "gates", line or result.with_opinions, way, risk)
    if gates is None:
        return UNDEFINED
    coverage, broken = (PERCENT * mean(gate[name] for gate in gates) for name in ("coverage", "broken"))
    return Cell(f"{coverage:.1f}", f"({broken:.0f})")


def opinions_table(results: Sequence[Result]) -> Grid:
    """Return which second opinions are worth what: their accuracy, how errors go together, gains, and the time."""
    columns = ["opinion", "right", "it is right", "errors correlate", "gain on fused", "fused with it", "fit, CPU s"]
    rows = [_opinion_cells(result, name) for result in results for name in result.rows[0]["opinions"]]
    note = (
        "AUC in percent points over the fused oracle without opinions. Errors correlate: of “it is wrong” over rows. "
        "The time is that of all fits, of a classifier of scikit-learn with its clones."
    )
    return Grid("Second opinions", [SUBJECT, *columns], rows, note)


def _opinion_cells(result: Result, name: str) -> list[Cell]:
    line = fused_name([name])
    return [
        Cell(result.title),
        Cell(name),
        result.accuracy,
        percent_cell(values_in_rows(result.rows, "opinions", name, "accuracy")),
        Cell(f"{mean(row['opinions'][name]['correlation'] for row in result.rows):.2f}"),
        difference_cell(estimate_over_seeds(result.rows, line, f"minus {FREE}", "auc")),
        result.number(line),
        Cell(f"{mean(row['seconds'][line] for row in result.rows):.0f}"),
    ]


def shifts_table(results: Sequence[Result]) -> Grid:
    """Return what is left on shifted rows, and how far estimates of the accuracy are off there."""
    estimators = dict.fromkeys(
        name for result in results for shifted in result.rows[0]["shifted"].values() for name in shifted["estimates"]
    )
    columns = ["shift", "right before", "right", "MCP", "best single", "fused", "with opinions"]
    rows = [_shift_cells(result, name, estimators) for result in results for name in result.rows[0]["shifted"]]
    note = "AUC in percent; estimates of the accuracy less the truth, in points."
    headings = [SUBJECT, *columns, *(f"{name}, off by" for name in estimators)]
    return Grid("On shifted rows", headings, rows, note)


def _shift_cells(result: Result, name: str, estimators: Iterable[str]) -> list[Cell]:
    shifted = [row["shifted"][name] for row in result.rows]
    lines = (MCP, BEST, FREE, result.with_opinions)
    return [
        Cell(result.title),
        Cell(name),
        result.accuracy,
        percent_cell(values_in_rows(shifted, "accuracy")),
        *(percent_cell(values_in_rows(shifted, "lines", line, "auc")) for line in lines),
        *(percent_cell(values_in_rows(shifted, "estimates", estimator), "+") for estimator in estimators),
    ]


@figure_style()
def figure_of_gains(results: Sequence[Result]) -> Figure:
    """Draw the gains with their intervals, and the coverage at a promise of 2 and 5 %, a line a data set."""
    height = 1.3 + 2.1 * LINE_HEIGHT * len(results)
    drawn = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
    left, middle, *promised = drawn.subplots(1, 4, sharey=True, width_ratios=(3, 3, 2, 2))
    handles: dict[str, Any] = {}
    for axes, rival in ((left, MCP), (middle, BEST)):
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set_xlabel(f"AUC points above\n{rival}")
        _draw_gains(axes, results, rival, handles)
    for axes, risk in zip(promised, ("0.02", "0.05"), strict=True):
        _draw_coverage(axes, results, risk, handles)
    left.set_yticks(range(len(results)), [result.title for result in reversed(results)])
    legend_below(drawn, handles)
    return drawn


def _draw_gains(axes: Axes, results: Sequence[Result], rival: str, handles: dict[str, Any]) -> None:
    """Draw a point and its interval, which need not hold the point, for each result without and with opinions."""
    for place, result in enumerate(reversed(results)):
        for line, color, up in ((FREE, BLUE, 0.15), (result.with_opinions, VERMILION, -0.15)):
            difference = estimate_over_seeds(result.rows, line, f"minus {rival}", "auc") if line else None
            if difference is not None:
                value, low, high = (PERCENT * number for number in difference)
                axes.plot([low, high], [place + up] * 2, color=color, solid_capstyle="butt")
                points = axes.plot(value, place + up, marker="o", color=color, linestyle="none")
                handles["fused" if line == FREE else "fused, with opinions"] = points[0]


def _draw_coverage(axes: Axes, results: Sequence[Result], risk: str, handles: dict[str, Any]) -> None:
    axes.set_xlabel(f"% accepted at a\npromise of {PERCENT * float(risk):g} %")
    axes.set_xlim(-3, PERCENT + 3)
    marks = {
        "MCP": (BLACK, "|", 0), "best single": (ORANGE, "D", 0),
        "fused": (BLUE, "o", 0.15), "with opinions": (VERMILION, "o", -0.15),
    }  # fmt: skip
    for place, result in enumerate(reversed(results)):
        for heading, (color, marker, up) in marks.items():
            cell = promise_cell(result, heading, risk)
            if cell is not UNDEFINED:
                size, order = (10, 3) if marker == "|" else (None, None)  # seen behind the others
                points = axes.plot(
                    float(cell.text), place + up, marker=marker, markersize=size, zorder=order, color=color,
                    linestyle="none",
                )  # fmt: skip
                if heading in ("MCP", "best single"):
                    handles[heading] = points[0]


def standing_of_oracles(results: Sequence[Result]) -> dict[str, str]:
    """Say in how many results fused oracles are clearly ahead, or behind, of what they are to beat."""
    counts_by_name = {}
    for heading in COMPARISONS:
        for metric, better in (("auc", 1), ("aurc", -1)):
            known = [one.difference(heading, metric) for one in results]
            verdicts = [better * one.verdict for one in known if one is not None]
            counts = f"{verdicts.count(1)} of {len(verdicts)} clearly better, {verdicts.count(-1)} clearly worse"
            counts_by_name[f"{heading}, {metric.upper()}"] = counts
    return counts_by_name


def write_summary(out: Path) -> list[Grid]:
    """Write the tables and the figure of all results in a folder next to their rows, and return the tables."""
    results = results_in(out)
    grids = {
        "gains": gains_table(results),
        "risks": risks_table(results),
        "rivals": rivals_table(results),
        "promises-2": promises_table(results, "0.02"),
        "promises-5": promises_table(results, "0.05"),
        "opinions": opinions_table(results),
        "shifts": shifts_table(results),
    }
    named = {f"{TABLES}-{name}": grid for name, grid in grids.items() if grid.rows}
    shown: dict[str, Grid | Drawing] = {**named, TABLES: Drawing(figure_of_gains(results))}
    write_results(out, TABLES, {**ABOUT, **standing_of_oracles(results)}, shown, [])
    return [*named.values()]
