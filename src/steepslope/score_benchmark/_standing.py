"""How a score stands next to MCP and the fused oracle on frozen outputs: a table, JSON, and the check of such JSON."""

import math
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import getattr_static
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np

from steepslope.errors import RowsWarning, SteepslopeError, explained, located, require_known
from steepslope.files import (
    Notice,
    digest_of,
    field,
    fingerprint,
    imported_by_name,
    read_json,
    silent,
    staged_folder,
    versions_of,
    write_json,
)
from steepslope.metrics import auroc
from steepslope.numerics import Floats
from steepslope.oracle import FusedOracle
from steepslope.promise import outcome_of_promise
from steepslope.report import UNDEFINED, Cell, Grid, grid_for_terminal
from steepslope.score_benchmark._frozen import FILE, REFERENCE, FrozenPair, load_frozen_pairs
from steepslope.score_benchmark._measured import COMPARED, DIGITS, measured_lines
from steepslope.scores import SCORES, name_of_score, own_confidence

# The lines.
MCP = "MCP"
FUSED = "fused"
SCORE = "score"
_RISKS = (0.02, 0.05)
_LIBRARIES = ("steepslope", "numpy", "scipy", "scikit-learn")
_EXPECTED = "what a score has on frozen outputs"
PERCENT = 100
THOUSAND = 1000
_HIDDEN = ("ids", "labels")  # what a score does not need, or may not see
_NOTE = (
    "AUC in percent, AURC in thousandths, differences to MCP and to a fused oracle: ↑ clearly better, ↓ clearly worse. "
    "At 2 and 5 %: percent accepted at such a promise, in brackets in how many of 100 draws it broke; at most 5 are "
    "expected."
)


_ARROWS = {1: (" ↑", "better"), -1: (" ↓", "worse"), 0: ("", "")}


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> int:
        """1 if it is clearly above 0, −1 if clearly below, else 0."""
        return (self.low > 0) - (self.high < 0)


def difference_cell(difference: Estimate | None, scale: float = PERCENT, lower_is_better: bool = False) -> Cell:
    """Return a difference with its interval; whether it is clear stands next to it as an arrow."""
    if difference is None:
        return UNDEFINED
    value, low, high = (scale * number for number in difference)
    better = -difference.verdict if lower_is_better else difference.verdict
    arrow, look = _ARROWS[better]
    return Cell(f"{value:+.1f}{arrow}", f"({low:+.1f} to {high:+.1f})", look)


@dataclass(frozen=True, eq=False)
class _Standing:
    """What a score has on frozen outputs, as JSON holds it; printed, it is a table."""

    content: Mapping[str, Any]

    @property
    def grid(self) -> Grid:
        """A line a pair, and their mean."""
        lines = []
        headings: list[str] = []
        for name, row in {**self.content["pairs"], "mean": self.content["mean"]}.items():
            cells = dict(_cells_of_pair(row))
            headings = [*cells]
            lines.append([Cell(f"{name}, as MCP" if row.get("lacks") else name), *cells.values()])
        title = f"{self.content['score']} on frozen outputs, steepslope {self.content['libraries']['steepslope']}"
        return Grid(title, ["pair", *headings], lines, _NOTE)

    def __str__(self) -> str:
        grid = self.grid
        return f"{grid.title}\n{grid_for_terminal(grid, grid.columns)}\n{grid.note}"

    def save(self, path: str | Path) -> None:
        """Write the JSON that others can check."""
        target = Path(path)
        with staged_folder(target.parent, last=target.name) as staging:
            write_json(staging / target.name, self.content)


def _cells_of_pair(row: Mapping[str, Any]) -> Iterator[tuple[str, Cell]]:
    """Yield the cells of a line, with their headings."""
    yield "right", Cell(f"{PERCENT * row['right']:.1f}")
    of_score = row["lines"][SCORE]
    for metric, heading, scale in zip(COMPARED, ("AUC", "AURC"), (PERCENT, THOUSAND), strict=True):
        yield heading, Cell(f"{scale * of_score[metric][0]:.1f}")
        for rival in (MCP, FUSED):
            difference = Estimate(*of_score[f"minus {rival}"][metric])
            yield f"{heading} − {rival}", difference_cell(difference, scale, lower_is_better=metric == "aurc")
    for risk in row["promises"][SCORE]:
        for line, of_risk in row["promises"].items():
            promise = of_risk[risk]
            heading = f"at {PERCENT * float(risk):g} %"
            if line != SCORE:
                heading += f", {line}"
            yield heading, Cell(f"{PERCENT * promise['coverage']:.1f} ({PERCENT * promise['broken']:.0f})")
    yield "CPU s", Cell(f"{row['seconds']:.1f}")


def benchmark(score: Any, frozen: str | Path = FILE, name: str | None = None, notice: Notice = silent) -> _Standing:
    """Judge a score on frozen outputs of classifiers, next to MCP and a fused oracle that is fitted on the same rows.

    Parameters
    ----------
    score
        A function from :class:`~steepslope.ClassifierOutputs` without labels to a confidence (n,), higher for what is
        more trustworthy; or an object or class with ``fit(outputs)``, on rows with labels that are new to the
        classifier, and ``confidence(outputs)``. A ``fit`` with an argument ``reference`` also gets training rows of the
        classifier, None where they are not known. Where a pair lacks one of its ``arrays``, a tuple of names such as
        features, MCP takes its place.
    frozen
        The file of frozen outputs; by default that of the package.
    name
        What the table calls the score; by default its function's or class's name.
    notice
        Is told of each pair that is done.

    Raises
    ------
    SteepslopeError
        If the score raises, does not give n numbers, or gives others the second time.
    """
    pairs = load_frozen_pairs(frozen)
    rows = {pair.name: dict[str, Any]() for pair in pairs}
    poorest_first = sorted(pairs, key=lambda pair: len(pair.arrays))  # so that what a score needs is told at once
    for count, pair in enumerate(poorest_first, start=1):
        rows[pair.name] = _row_of_pair(score, pair, is_repeated=count == 1)
        notice(f"{pair.name}: {count} of {len(pairs)} pairs, {rows[pair.name]['seconds']:.1f} s")
    content = {
        "score": name or name_of_score(score),
        "libraries": versions_of(_LIBRARIES),
        "frozen": fingerprint(Path(frozen)),
        "pairs": rows,
        "mean": _mean_of_rows([*rows.values()]),
    }
    return _Standing({**content, "digest": digest_of(content)})


def _row_of_pair(score: Any, pair: FrozenPair, is_repeated: bool = False) -> dict[str, Any]:
    """Return what a score, MCP and the fused oracle have on a pair; a score that ``is_repeated`` runs twice."""
    fit_set = pair.fit_set
    training = pair.training
    judged = pair.judged
    right = judged.is_correct
    lacks = _lacks(score, pair)
    if lacks:
        score = SCORES["mcp"]
    arrays = ", ".join(name for name in pair.arrays if name not in _HIDDEN)
    with warnings.catch_warnings(), located(f"{pair.name}, which holds {arrays}"):
        warnings.simplefilter("ignore", RowsWarning)  # of few errors, which are the pair's and not the user's
        begun = time.process_time()
        confidence = own_confidence(score, fit_set, training, judged)
        seconds = time.process_time() - begun
        if is_repeated:
            again = own_confidence(score, fit_set, training, judged)
            if not np.array_equal(confidence, again):
                raise SteepslopeError("expected the same confidences twice, found others: fix its seed", "score")
        lines = {
            SCORE: confidence,
            MCP: own_confidence(SCORES["mcp"], fit_set, training, judged),
            FUSED: own_confidence(FusedOracle, fit_set, training, judged),
        }
    promises = {}
    for line, confidence in lines.items():
        promises[line] = {f"{risk:g}": outcome_of_promise(confidence, right, risk) for risk in _RISKS}
    return {
        "digest": pair.digest,
        "n": len(judged),
        "lacks": lacks,
        "right": round(float(right.mean()), DIGITS),
        "lines": measured_lines(lines, right, (MCP, FUSED)),
        "promises": promises,
        "seconds": round(seconds, 2),
    }


def _lacks(score: Any, pair: FrozenPair) -> str:
    """Return the arrays, or the reference, that a score says it needs and a pair lacks; empty where there are none."""
    needed = getattr_static(score, "arrays", ())
    lacking = []
    if isinstance(needed, tuple):
        lacking = [name for name in needed if name not in pair.arrays]
    if getattr_static(score, "fits_on", "") == REFERENCE and not pair.reference:
        lacking.append(REFERENCE)
    return ", ".join(lacking)


def _mean_of_rows(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean over pairs, number by number; intervals are those of a mean of independent pairs.

    >>> _mean_of_rows([{"a": [0.0, -0.3, 0.4], "b": 1}, {"a": [0.2, -0.2, 0.5], "b": 2, "digest": ""}])
    {'a': [0.1, -0.15, 0.35], 'b': 1.5}
    """
    means = dict[str, Any]()
    for name, value in rows[0].items():
        values = [row[name] for row in rows]
        if isinstance(value, dict):
            means[name] = _mean_of_rows(values)
        elif isinstance(value, list):
            means[name] = _mean_of_intervals(np.array(values))
        elif not isinstance(value, str):
            means[name] = round(mean(values), DIGITS)
    return means


def _mean_of_intervals(intervals: Floats) -> list[float]:
    """Return the mean of values with intervals, (pairs, 3), whose widths add up as those of independent pairs do."""
    middle, low, high = intervals.T
    at = middle.mean()
    below = math.sqrt(np.square(low - middle).sum()) / len(intervals)
    above = math.sqrt(np.square(high - middle).sum()) / len(intervals)
    return [round(float(limit), DIGITS) for limit in (at, at - below, at + above)]


def score_by_name(name: str) -> Any:
    """Return the score ``fused``, one in ``SCORES``, or one of one's own by ``module:name``."""
    if name == FUSED:
        return FusedOracle
    if ":" in name:
        return imported_by_name(name)
    require_known("score", name, [FUSED, *SCORES])
    return SCORES[name]


def checked_submission(path: Path, frozen: str | Path = FILE) -> _Standing:
    """Read the JSON of a score; raise unless it is of these frozen outputs, unchanged, and its numbers are possible.

    What MCP has is counted again. The score itself is not run.
    """
    content = read_json(path, _EXPECTED)
    rest = {name: value for name, value in content.items() if name != "digest"}
    with located(path), explained("expected a submission", kinds=(KeyError, TypeError, AttributeError, IndexError)):
        if content.get("digest") != digest_of(rest):
            raise SteepslopeError("expected the file as it was written, found a changed one")
        if content.get("frozen") != fingerprint(Path(frozen)):
            raise SteepslopeError(f"expected numbers on this {Path(frozen).name}, found those on another file")
        rows = field(content, "pairs", dict, path)
        pairs = {pair.name: pair for pair in load_frozen_pairs(frozen)}
        digests = {name: row.get("digest") for name, row in rows.items()}
        if digests != {name: pair.digest for name, pair in pairs.items()}:
            raise SteepslopeError(f"expected the rows of {', '.join(pairs)}, found other pairs or ids")
        for name, row in rows.items():
            with located(name):
                _require_possible_numbers(row, pairs[name])
        if content["mean"] != _mean_of_rows([*rows.values()]):
            raise SteepslopeError("expected the mean of its pairs, found another")
    return _Standing(content)


def _require_possible_numbers(row: Mapping[str, Any], pair: FrozenPair) -> None:
    """Raise unless all numbers of a pair are such as can be, and those of MCP are what they are."""
    judged = pair.judged
    auc = row["lines"][MCP]["auc"][0]
    expected = auroc(SCORES["mcp"]().confidence(judged), judged.is_correct)
    if not math.isclose(auc, expected, abs_tol=10**-DIGITS):
        raise SteepslopeError(f"expected an AUC of MCP of {expected:.{DIGITS}f}, found {auc}")
    for place, value in _numbers_in({"lines": row["lines"], "promises": row["promises"]}, ""):
        low = -1 if "minus" in place else 0
        if not (isinstance(value, int | float) and low <= value <= 1):
            raise SteepslopeError(f"expected a number from {low} to 1, found {value!r}", place)


def _numbers_in(content: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict):
        items = [*content.items()]
    elif isinstance(content, list):
        items = [*enumerate(content)]
    else:
        yield place, content
        return
    for name, value in items:
        yield from _numbers_in(value, f"{place}.{name}".lstrip("."))
