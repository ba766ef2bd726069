"""The columns of tables, and what stands in their cells: means over seeds, and differences."""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from steepslope.errors import require_known
from steepslope.metrics.measures import METRICS, SEPARABILITY, Metric
from steepslope.metrics.paper import PAPER_METRICS
from steepslope.report.grid import UNDEFINED, Cell

Row = Mapping[str, Any]
MCP = "MCP"  # the line with which all others are compared


class Column(NamedTuple):
    """A heading, the factor by which values are multiplied, and the sign with which differences are shown."""

    heading: str
    scale: float
    sign: str = ""


def _columns() -> dict[str, Column]:
    """Return all columns by the names of their values in rows."""
    own = {name: Column(one.heading, one.scale) for name, one in {**METRICS, **SEPARABILITY}.items()}
    paper = {f"paper_{name}": Column(f"{one.title}, as the paper's code", one.scale)
             for name, one in PAPER_METRICS.items()}  # fmt: skip
    to_mcp = {f"delta_{name}": _difference(one, "MCP") for name, one in METRICS.items()}
    to_best = {f"best_{name}": _difference(METRICS[name], "best single") for name in ("auc", "aurc")}
    return own | paper | to_mcp | to_best


def _difference(metric: Metric, rival: str) -> Column:
    return Column(f"Δ{metric.heading[:-2]} to {rival}", metric.scale, "+")


COLUMNS = _columns()


def column(name: str) -> Column:
    """Return a column by its name; raise with the closest one if there is none."""
    require_known("column", name, COLUMNS)
    return COLUMNS[name]


def grouped(rows: Iterable[Row], *names: str) -> dict[Any, list[Row]]:
    """Return the rows that agree in some names, by what they have there, in the order in which that first comes.

    >>> grouped([{"score": "a", "seed": 0}, {"score": "b", "seed": 0}, {"score": "a", "seed": 1}], "score")["a"]
    [{'score': 'a', 'seed': 0}, {'score': 'a', 'seed': 1}]
    """
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(itemgetter(*names)(row), []).append(row)
    return groups


def cell(rows: Sequence[Row], name: str) -> Cell:
    """Return the mean of a value over rows, one a seed; of a difference also in how many seeds it is clear."""
    one = column(name)
    values = [row.get(name) for row in rows]
    if (rows[0]["score"] == MCP and one.sign) or any(value is None for value in values):
        return UNDEFINED
    mean = mean_cell([value["value"] for value in values if value], one.scale, one.sign)
    return Cell(mean.text, arrows(values)) if one.sign and mean is not UNDEFINED else mean


def mean_cell(values: Sequence[float | None], scale: float = 100, sign: str = "", digits: int | None = None) -> Cell:
    """Return mean ± standard deviation over seeds; the mean alone of one, a dash where one of them is undefined.

    >>> str(mean_cell([0.5, 0.7])), str(mean_cell([0.5])), str(mean_cell([0.5, None]))
    ('60.0 ± 14.1', '50.0', '–')
    """
    numbers = scale * np.array(values, dtype=np.float64)
    if np.isnan(numbers).any():
        return UNDEFINED
    shown = (2 if scale == 1 else 1) if digits is None else digits
    mean = f"{np.mean(numbers):{sign}.{shown}f}"
    return Cell(mean if len(numbers) == 1 else f"{mean} ± {np.std(numbers, ddof=1):.{shown}f}")


def arrows(differences: Sequence[Any]) -> str:
    """Return in how many seeds the interval of a difference lies above 0, and in how many below.

    >>> arrows([{"low": 0.1, "high": 0.2}, {"low": -0.1, "high": 0.2}, {"low": None, "high": None}])
    '(1 ↑ 0 ↓)'
    """
    ends = [(one["low"], one["high"]) for one in differences]
    above = sum(low is not None and low > 0 for low, _ in ends)
    below = sum(high is not None and high < 0 for _, high in ends)
    return f"({above} ↑ {below} ↓)"


def interval_cell(value: Mapping[str, float | None] | None, scale: float = 100, sign: str = "") -> Cell:
    """Return a value with its interval, as rows hold them: null where undefined."""
    if value is None or value["value"] is None:
        return UNDEFINED
    shown = 2 if scale == 1 else 1
    middle, low, high = (None if number is None else f"{scale * number:{sign}.{shown}f}"
                         for number in (value.get(bound) for bound in ("value", "low", "high")))  # fmt: skip
    return Cell(str(middle), "" if low is None else f"[{low}, {high}]")
