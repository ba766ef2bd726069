"""What all studies of a folder come to: tables, a figure, and how many of them are clearly ahead or behind."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steepslope.files.folders import read_json
from steepslope.paper.results import Drawing, write_results
from steepslope.report.grid import UNDEFINED, Cell, Grid
from steepslope.report.style import BLACK, BLUE, GREY, LINE_HEIGHT, ORANGE, PAGE_WIDTH, VERMILION, legend_below, styled
from steepslope.study.lines import AVERAGE, BEST, ENSEMBLE, MCP, PROBE, line_with_opinions
from steepslope.study.run import EXPECTED
from steepslope.study.study import KINDS, TABLES
from steepslope.study.trial import FREE

ABOUT = {"title": "What oracles gain, on data of many kinds", "source": ""}
PERCENT, THOUSAND = 100, 1000
Rows = Sequence[Mapping[str, Any]]


class MeasuredStudy(NamedTuple):
    """What was measured on one data set and classifier, one row a seed."""

    name: str
    about: Mapping[str, Any]
    rows: Rows

    @property
    def with_opinions(self) -> str | None:
        """The line of the fused oracle with all opinions; None where there is no opinion."""
        return line_with_opinions(self.rows[0]["lines"])


class Estimate(NamedTuple):
    """A mean over seeds of values and of the limits of their intervals, and the limits that lie farthest."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> int:
        """1 if it is clearly above 0, −1 if clearly below, else 0."""
        return (self.low > 0) - (self.high < 0)


def studies_in(folder: Path) -> list[MeasuredStudy]:
    """Return all studies whose rows lie in a folder, by kind and title."""
    contents = {path.stem: read_json(path, EXPECTED) for path in sorted(folder.glob("*.json")) if path.stem != TABLES}
    found = [
        MeasuredStudy(name, content, content["rows"])
        for name, content in contents.items()
        if {"key", "title", "kind", "rows"} <= {*content}  # all else is not ours
    ]
    return sorted(found, key=lambda one: (KINDS.index(one.about["kind"]), one.about["title"]))


def estimate(rows: Rows, line: str, *place: str) -> Estimate | None:
    """Return the mean over seeds of what rows have of a line; None where they lack it."""
    found = []
    for row in rows:
        value: Any = row["lines"].get(line)
        for key in place:
            value = None if value is None else value.get(key)
        if value is None:
            return None
        found.append(value)
    return Estimate(*(mean(column) for column in zip(*found, strict=True)))


def difference_cell(found: Estimate | None, scale: float = PERCENT, lower_is_better: bool = False) -> Cell:
    """Return a difference with its interval; whether it is clear stands beside it as an arrow."""
    if found is None:
        return UNDEFINED
    value, low, high = (scale * number for number in found)
    better = -found.verdict if lower_is_better else found.verdict
    sign = {1: " ↑", -1: " ↓", 0: ""}[better]
    look = {1: "better", -1: "worse", 0: ""}[better]
    return Cell(f"{value:+.1f}{sign}", f"({low:+.1f} to {high:+.1f})", look)


def number_cell(found: Estimate | None, scale: float = PERCENT) -> Cell:
    """Return the value alone."""
    return UNDEFINED if found is None else Cell(f"{scale * found.value:.1f}")


def gains(studies: Sequence[MeasuredStudy]) -> Grid:
    """Return the main table: what fused oracles gain in AUC, a line a data set."""
    columns = [
        "data and classifier",
        "classes",
        "right",
        "MCP",
        "best single",
        "fused − MCP",
        "fused − best single",
        "with opinions − MCP",
        "with opinions − average",
    ]
    rows = []
    for study in studies:
        of, seen = study.rows, study.with_opinions
        rows.append(
            [
                Cell(study.about["title"]),
                Cell(f"{of[0]['classes']:,}"),
                Cell(f"{PERCENT * mean(row['accuracy'] for row in of):.1f}"),
                number_cell(estimate(of, MCP, "auc")),
                number_cell(estimate(of, BEST, "auc")),
                difference_cell(estimate(of, FREE, f"minus {MCP}", "auc")),
                difference_cell(estimate(of, FREE, f"minus {BEST}", "auc")),
                difference_cell(estimate(of, seen, f"minus {MCP}", "auc") if seen else None),
                difference_cell(estimate(of, seen, f"minus {AVERAGE}", "auc") if seen else None),
            ]
        )
    note = (
        "AUC in percent points, mean over seeds with the mean limits of paired 95 % intervals; ↑ clearly better, ↓ "
        "clearly worse. Best single: the score of least AURC on held-out rows. Average: the mean of all softmaxes."
    )
    return Grid("What fused oracles gain", columns, rows, note)


def risks(studies: Sequence[MeasuredStudy]) -> Grid:
    """Return the same in AURC."""
    columns = [
        "data and classifier",
        "MCP",
        "best single",
        "average",
        "fused − best single",
        "with opinions − average",
        "a probe in its place",
        "the average in its place",
    ]
    rows = []
    for study in studies:
        of, seen = study.rows, study.with_opinions
        rows.append(
            [
                Cell(study.about["title"]),
                *(number_cell(estimate(of, line, "aurc"), THOUSAND) for line in (MCP, BEST, AVERAGE)),
                difference_cell(estimate(of, FREE, f"minus {BEST}", "aurc"), THOUSAND, lower_is_better=True),
                difference_cell(estimate(of, seen, f"minus {AVERAGE}", "aurc") if seen else None, THOUSAND, True),
                *(_of_place(of, line) for line in (PROBE, ENSEMBLE)),
            ]
        )
    note = (
        "Area under the curve of risk against coverage, in thousandths: lower is better. In its place: another "
        "classifier's own predictions, ranked by its own MCP, with how often these are right."
    )
    return Grid("Selective risk", columns, rows, note)


def _of_place(rows: Rows, line: str) -> Cell:
    found = [row["in its place"].get(line) for row in rows]
    if None in found:
        return UNDEFINED
    known = [one for one in found if one is not None]
    right = mean(one["accuracy"] for one in known)
    return Cell(f"{THOUSAND * mean(one['aurc'] for one in known):.1f}", f"({PERCENT * right:.1f} right)")


def rivals(studies: Sequence[MeasuredStudy]) -> Grid:
    """Return the AUC of all lines that rank the same predictions."""
    lines = dict.fromkeys(
        line
        for study in studies
        for line in study.rows[0]["lines"]
        if line != study.with_opinions and (line == FREE or not line.startswith("fused, "))
    )
    rows = [
        [
            Cell(study.about["title"]),
            *(number_cell(estimate(study.rows, line, "auc")) for line in lines),
            number_cell(estimate(study.rows, study.with_opinions, "auc") if study.with_opinions else None),
        ]
        for study in studies
    ]
    return Grid(
        "AUC of all that ranks the same predictions",
        ["data and classifier", *lines, "fused, with opinions"],
        rows,
        "In percent, mean over seeds; –: the outputs lack what the score needs.",
    )


GATED: dict[str, tuple[Callable[[MeasuredStudy], str | None], str]] = {  # a column: the line of a study, and the way
    "MCP": (lambda study: MCP, "ours"),
    "best single": (lambda study: BEST, "ours"),
    "average": (lambda study: AVERAGE, "ours"),
    "fused": (lambda study: FREE, "ours"),
    "with opinions": (lambda study: study.with_opinions, "ours"),
    "probe in its place": (lambda study: PROBE, "ours"),
    "MCP, SGR": (lambda study: MCP, "SGR"),
    "MCP, MAPIE": (lambda study: MCP, "MAPIE"),
    "fused, SGR": (lambda study: FREE, "SGR"),
    "fused, MAPIE": (lambda study: FREE, "MAPIE"),
}


def promises(studies: Sequence[MeasuredStudy], risk: str) -> Grid:
    """Return how much gates accept at a promise, and how often it breaks."""
    rows = [
        [Cell(study.about["title"]), *(_promise_cell(study, line(study), way, risk) for line, way in GATED.values())]
        for study in studies
    ]
    note = (
        "Percent of rows that are accepted; in brackets, in how many of 100 draws of calibration rows the promise "
        "breaks: more than so many of the accepted are wrong, at a delta of 5 %. Mean over seeds."
    )
    return Grid(f"What gates accept at a promise of {float(risk):.0%}", ["data and classifier", *GATED], rows, note)


def _promise_cell(study: MeasuredStudy, line: str | None, way: str, risk: str) -> Cell:
    found = [row["gates"].get(line, {}).get(way, {}).get(risk) for row in study.rows]
    if None in found or not found:
        return UNDEFINED
    known = [one for one in found if one is not None]
    broken = PERCENT * mean(one["broken"] for one in known)
    return Cell(f"{PERCENT * mean(one['coverage'] for one in known):.1f}", f"({broken:.0f})")


def opinions(studies: Sequence[MeasuredStudy]) -> Grid:
    """Return which second opinions are worth what: their accuracy, how errors go together, gains, and the time."""
    columns = [
        "data and classifier",
        "opinion",
        "right",
        "it is right",
        "errors correlate",
        "gain on fused",
        "fused with it",
        "fit, CPU s",
    ]
    rows = []
    for study in studies:
        for name in study.rows[0]["opinions"]:
            line, of = f"fused, {name}", study.rows
            rows.append(
                [
                    Cell(study.about["title"]),
                    Cell(name),
                    Cell(f"{PERCENT * mean(row['accuracy'] for row in of):.1f}"),
                    Cell(f"{PERCENT * mean(row['opinions'][name]['accuracy'] for row in of):.1f}"),
                    Cell(f"{mean(row['opinions'][name]['correlation'] for row in of):.2f}"),
                    difference_cell(estimate(of, line, f"minus {FREE}", "auc")),
                    number_cell(estimate(of, line, "auc")),
                    Cell(f"{mean(row['seconds'][line] for row in of):.0f}"),
                ]
            )
    note = (
        "AUC in percent points over the fused oracle without opinions. Errors correlate: of “it is wrong” over rows. "
        "The time is that of all fits, of a classifier of scikit-learn with its clones."
    )
    return Grid("Second opinions", columns, rows, note)


def shifts(studies: Sequence[MeasuredStudy]) -> Grid:
    """Return what is left on shifted rows, and how far estimates of the accuracy are off there."""
    kinds = dict.fromkeys(
        kind for study in studies for one in study.rows[0]["shifted"].values() for kind in one["estimates"]
    )
    rows = []
    for study in studies:
        for name in study.rows[0]["shifted"]:
            found = [row["shifted"][name] for row in study.rows]
            lines = [line for line in (MCP, BEST, FREE, study.with_opinions) if line]
            cells = [
                Cell(f"{PERCENT * mean(one['lines'][line]['auc'] for one in found):.1f}")
                if all(line in one["lines"] for one in found)
                else UNDEFINED
                for line in lines
            ]
            off = [Cell(f"{PERCENT * mean(one['estimates'][kind] for one in found):+.1f}") for kind in kinds]
            usual = Cell(f"{PERCENT * mean(row['accuracy'] for row in study.rows):.1f}")
            right = Cell(f"{PERCENT * mean(one['accuracy'] for one in found):.1f}")
            cells += [UNDEFINED] * (4 - len(cells))
            rows.append([Cell(study.about["title"]), Cell(name), usual, right, *cells, *off])
    columns = [
        "data and classifier",
        "shift",
        "right before",
        "right",
        "MCP",
        "best single",
        "fused",
        "with opinions",
        *(f"{kind}, off by" for kind in kinds),
    ]
    return Grid(
        "On shifted rows", columns, rows, "AUC in percent; estimates of the accuracy less the truth, in points."
    )


@styled()
def figure(studies: Sequence[MeasuredStudy]) -> Figure:
    """Draw the gains with their intervals, and the coverage at a promise of 5 %, a line a data set."""
    height = 1.1 + 2.1 * LINE_HEIGHT * len(studies)
    drawn = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
    left, middle, right = drawn.subplots(1, 3, sharey=True)
    handles: dict[str, Any] = {}
    for axes, rival in ((left, MCP), (middle, BEST)):
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set_xlabel(f"AUC less that of {rival}, points")
        _draw_gains(axes, studies, rival, handles)
    _draw_coverage(right, studies, handles)
    left.set_yticks(range(len(studies)), [study.about["title"] for study in reversed(studies)])
    legend_below(drawn, handles)
    return drawn


def _draw_gains(axes: Axes, studies: Sequence[MeasuredStudy], rival: str, handles: dict[str, Any]) -> None:
    """Draw a point and its interval, which need not hold the point, for each study without and with opinions."""
    for place, study in enumerate(reversed(studies)):
        for line, color, up in ((FREE, BLUE, 0.15), (study.with_opinions, VERMILION, -0.15)):
            difference = estimate(study.rows, line, f"minus {rival}", "auc") if line else None
            if difference is not None:
                value, low, high = (PERCENT * number for number in difference)
                axes.plot([low, high], [place + up] * 2, color=color)
                points = axes.plot(value, place + up, marker="o", color=color, linestyle="none")
                handles["fused" if line == FREE else "fused, with opinions"] = points[0]


def _draw_coverage(axes: Axes, studies: Sequence[MeasuredStudy], handles: dict[str, Any]) -> None:
    axes.set_xlabel("accepted at a promise of 5 %, percent")
    axes.set_xlim(0, PERCENT)
    marks = {"MCP": (BLACK, "|"), "best single": (ORANGE, "D"), "fused": (BLUE, "o"), "with opinions": (VERMILION, "o")}
    for place, study in enumerate(reversed(studies)):
        for name, (color, marker) in marks.items():
            line, way = GATED[name]
            cell = _promise_cell(study, line(study), way, "0.05")
            if cell is not UNDEFINED:
                points = axes.plot(float(cell.text), place, marker=marker, color=color, linestyle="none")
                if name in ("MCP", "best single"):
                    handles[name] = points[0]


def standing(studies: Sequence[MeasuredStudy]) -> dict[str, str]:
    """Say in how many studies fused oracles are clearly ahead, or behind, of what they are to beat."""
    found = {}
    for title, line, rival in (
        ("fused − best single", lambda one: FREE, BEST),
        ("with opinions − average", lambda one: one.with_opinions, AVERAGE),
    ):
        known = [estimate(one.rows, line(one), f"minus {rival}", "auc") for one in studies if line(one)]
        verdicts = [one.verdict for one in known if one is not None]
        found[title] = f"{verdicts.count(1)} of {len(verdicts)} clearly above, {verdicts.count(-1)} clearly below"
    return found


def write_summary(out: Path) -> list[Grid]:
    """Write the tables and the figure of all studies in a folder beside their rows, and return the tables."""
    studies = studies_in(out)
    grids = {
        "gains": gains(studies),
        "risks": risks(studies),
        "rivals": rivals(studies),
        "promises-2": promises(studies, "0.02"),
        "promises-5": promises(studies, "0.05"),
        "opinions": opinions(studies),
        "shifts": shifts(studies),
    }
    named = {f"{TABLES}-{name}": grid for name, grid in grids.items() if grid.rows}
    shown: dict[str, Grid | Drawing] = {**named, TABLES: Drawing(figure(studies))}
    write_results(out, TABLES, {**ABOUT, **standing(studies)}, shown, [])
    return [*named.values()]
