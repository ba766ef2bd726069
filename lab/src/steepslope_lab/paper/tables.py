"""The columns and cells of tables: means over seeds, differences to MCP, and the numbers that the paper prints."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from steepslope.errors import SteepslopeError, require_known
from steepslope.metrics import BOUNDS, METRICS, PAPER_METRICS, PERCENT, SEPARABILITY, Metric
from steepslope.report import UNDEFINED, Cell, Grid, estimate_cell

Row = Mapping[str, Any]
MCP = "MCP"  # the line with which all others are compared
BEST = "best single score"


class Column(NamedTuple):
    """A heading, the factor by which values are multiplied, and the sign with which differences are shown."""

    heading: str
    scale: float
    sign: str = ""


def _columns_of_tables() -> dict[str, Column]:
    """Return all columns by the names of their values in rows."""
    own = {name: Column(one.heading, one.scale) for name, one in {**METRICS, **SEPARABILITY}.items()}
    paper = {f"paper_{name}": Column(f"{one.title}, as the paper's code", one.scale)
             for name, one in PAPER_METRICS.items()}  # fmt: skip
    to_mcp = {f"delta_{name}": _difference_column(one, "MCP") for name, one in METRICS.items()}
    to_best = {f"best_{name}": _difference_column(METRICS[name], "best single") for name in ("auc", "aurc")}
    return own | paper | to_mcp | to_best


def _difference_column(metric: Metric, rival: str) -> Column:
    return Column(f"Δ{metric.heading[:-2]} to {rival}", metric.scale, "+")


COLUMNS = _columns_of_tables()


def table_column(name: str) -> Column:
    """Return a column by its name; raise with the closest one if there is none."""
    require_known("column", name, COLUMNS)
    return COLUMNS[name]


def grouped_rows(rows: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    """Return the rows that agree in some names, by what they have there, in the order in which that first comes.

    >>> grouped_rows([{"score": "a", "seed": 0}, {"score": "b", "seed": 0}, {"score": "a", "seed": 1}], "score")["a"]
    [{'score': 'a', 'seed': 0}, {'score': 'a', 'seed': 1}]
    """
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(itemgetter(*names)(row), []).append(row)
    return groups


def cell_of_seeds(rows: Sequence[Row], name: str) -> Cell:
    """Return the mean of a value over rows, one a seed; of a difference also in how many seeds it is clear."""
    column = table_column(name)
    values = [row.get(name) for row in rows]
    if (rows[0]["score"] == MCP and column.sign) or any(value is None for value in values):
        return UNDEFINED
    mean = mean_cell([value["value"] for value in values if value], column.scale, column.sign)
    return Cell(mean.text, clear_seed_arrows(values)) if column.sign and mean is not UNDEFINED else mean


def mean_cell(values: Sequence[float | None], scale: float = 100, sign: str = "", digits: int | None = None) -> Cell:
    """Return mean ± standard deviation over seeds; the mean alone of one, a dash where one of them is undefined.

    >>> str(mean_cell([0.5, 0.7])), str(mean_cell([0.5])), str(mean_cell([0.5, None]))
    ('60.0 ± 14.1', '50.0', '–')
    """
    numbers = scale * np.array(values, dtype=np.float64)
    if np.isnan(numbers).any():
        return UNDEFINED
    shown = decimals_shown(scale) if digits is None else digits
    mean = f"{np.mean(numbers):{sign}.{shown}f}"
    return Cell(mean if len(numbers) == 1 else f"{mean} ± {np.std(numbers, ddof=1):.{shown}f}")


def clear_seed_arrows(differences: Sequence[Any]) -> str:
    """Return in how many seeds the interval of a difference lies above 0, and in how many below.

    >>> clear_seed_arrows([{"low": 0.1, "high": 0.2}, {"low": -0.1, "high": 0.2}, {"low": None, "high": None}])
    '(1 ↑ 0 ↓)'
    """
    ends = [(one["low"], one["high"]) for one in differences]
    above = sum(low is not None and low > 0 for low, _ in ends)
    below = sum(high is not None and high < 0 for _, high in ends)
    return f"({above} ↑ {below} ↓)"


def interval_cell(value: Mapping[str, float | None] | None, scale: float = 100, sign: str = "") -> Cell:
    """Return a value with its interval, as rows hold them: null where undefined."""
    numbers = [(value or {}).get(bound) for bound in BOUNDS]
    middle, low, high = (math.nan if number is None else number for number in numbers)
    return estimate_cell({"value": middle, "low": low, "high": high}, scale, sign, decimals_shown(scale))


def decimals_shown(scale: float) -> int:
    """Return how many decimals are shown of values that are multiplied by this."""
    return 2 if scale == 1 else 1


def images_by_paper_name(where: str) -> str:
    """Return a set of images by the paper's name: it shows corruptions at the highest severity alone.

    >>> images_by_paper_name("corrupt:defocus_blur:5"), images_by_paper_name("corrupt:defocus_blur:4")
    ('defocus_blur', 'corrupt:defocus_blur:4')
    """
    return where.split(":")[1] if where.startswith("corrupt:") and where.endswith(":5") else where


RUNS = 3  # of the paper's Table 1
ROUNDING = 0.005  # two decimals are printed, so a deviation may be as much higher
HEADINGS = {name: metric.heading for name, metric in METRICS.items()}
HEADINGS |= {f"paper_{name}": f"{metric.title}, the paper's" for name, metric in PAPER_METRICS.items()}
PLACE = ("oracle", "classifier", "where", "score")
COMPARED = ["where", "⟨oracle, classifier⟩", "score", "metric", "ours", "seeds", "theirs", "difference"]
COMPARED += ["within their ±", "within their spread"]
NOTE = """In percent; σ is their standard deviation. Within their ±: |difference| ≤ σ, which a perfect repetition with \
three seeds misses in a third of cases. Within their spread: |difference| ≤ t (σ + .005) √(1/3 + 1/seeds), the limit \
in brackets, as in 95 % of cases for further runs of theirs (t = 4.30; .005, since σ is rounded). That is wide, since \
three runs tell little of σ, and our deviation does not widen it. –: no σ is printed, or ours is undefined. “The \
paper's”, in both: FPR-95%-TPR at a threshold of a grid; AUC of float32 sigmoids, which tie; AUPR-Error by high \
confidence, so that lower is better; TNR with TCP cut at 1/K."""


@dataclass(frozen=True)
class Published:
    """A number that the paper prints, in percent.

    ``oracle`` is None in Table 2, whose ``classifier`` is the data set; ``std`` is None where none is printed.
    ``metric`` is a name in ``METRICS``, or ``paper_`` and one in ``PAPER_METRICS``, by what the number truly is.
    """

    oracle: str | None
    classifier: str
    where: str
    score: str
    metric: str
    value: float
    std: float | None


def published_numbers(table: str) -> list[Published]:
    """Return the numbers of ``table1``, ``table2`` or ``table3``, in the order of print.

    >>> published_numbers("table2")[4]
    Published(oracle=None, classifier='MNIST', where='test', score='MCP', metric='auc', value=98.63, std=None)
    """
    known = {path.stem: path for path in (Path(__file__).parent / "published").glob("*.csv")}
    require_known("table of the paper", table, known)
    _, *lines = known[table].read_text(encoding="utf-8").splitlines()  # the first names the source
    return [_published_number(**line) for line in csv.DictReader(lines)]


def _published_number(oracle: str, value: str, std: str, **texts: str) -> Published:
    return Published(oracle=oracle or None, value=float(value), std=float(std) if std else None, **texts)


def comparison_with_paper(table: str, rows: Sequence[Row], names: Mapping[str, str], data: str = "") -> Grid | None:
    """Compare our rows with a table of the paper: a line for each printed number that a row has; None if none has any.

    A row is of one seed and score: ``oracle``, ``classifier``, ``where``, ``score``, ``seed``, and for each metric
    ``{"value": …}`` in [0, 1], or None where undefined. ``names`` has the paper's names of our nets, and of scores and
    places that we call otherwise. Where a table names no oracle, ours plays no part. ``data`` is what ours were
    measured on, if that is not the paper's. Two rows of a seed for one printed number are a SteepslopeError.
    """
    numbers = published_numbers(table)
    without = {} if any(one.oracle for one in numbers) else {"oracle": None}
    renamed = [{**row, **{key: names.get(row[key], row[key]) for key in PLACE}, **without} for row in rows]
    ours = grouped_rows(renamed, *PLACE)
    lines = []
    for one in numbers:
        of_number = ours.get((one.oracle, one.classifier, one.where, one.score), [])
        if len({row["seed"] for row in of_number}) < len(of_number):
            raise SteepslopeError(f"rows of {one.classifier}, {one.score}: expected one a seed, found more")
        values = [row[one.metric]["value"] for row in of_number if one.metric in row]
        lines += [_comparison_line(one, values)] if values else []
    foreign = f"Ours are of {data}, not of the paper's data: no difference tells whether the paper's numbers repeat. "
    note = foreign + NOTE if data else NOTE
    return Grid(f"Table {table[-1]}: ours and the paper's", COMPARED, lines, note) if lines else None


def spread_of_runs(std: float, seeds: int) -> float:
    """Return how far the mean of further runs lies at most, in 95 % of cases, from that of three that vary by std.

    >>> round(spread_of_runs(0.27, seeds=3), 2), round(spread_of_runs(0.27, seeds=1), 2)
    (0.97, 1.37)
    """
    return float(stdtrit(RUNS - 1, 0.975)) * (std + ROUNDING) * math.sqrt(1 / RUNS + 1 / seeds)


def _comparison_line(number: Published, values: Sequence[float | None]) -> list[Cell]:
    pair = f"⟨{number.oracle}, {number.classifier}⟩" if number.oracle else number.classifier
    theirs = f"{number.value:.2f}" if number.std is None else f"{number.value:.2f} ± {number.std:.2f}"
    difference = PERCENT * float(np.mean(np.array(values, dtype=np.float64))) - number.value
    cells = map(Cell, (number.where, pair, number.score, HEADINGS[number.metric]))
    ours = mean_cell(values, digits=2), Cell(str(len(values))), Cell(theirs)
    return [
        *cells,
        *ours,
        *_comparison_verdicts(round(difference, 2) + 0.0, number.std, len(values)),
    ]  # + 0.0: no −0.00


def _comparison_verdicts(difference: float, std: float | None, seeds: int) -> list[Cell]:
    """Return the difference, in points, and whether it is within their ± and their spread."""
    shown = UNDEFINED if math.isnan(difference) else Cell(f"{difference:+.2f}")
    if shown is UNDEFINED or std is None:
        return [shown, UNDEFINED, UNDEFINED]
    limit = round(spread_of_runs(std, seeds), 2)
    within, within_spread = ("yes" if abs(difference) <= most else "no" for most in (std, limit))
    return [shown, Cell(within), Cell(within_spread, f"(≤ {limit:.2f})")]
