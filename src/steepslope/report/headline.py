"""What a report says first: one sentence on what the best score gains over MCP, and what that sentence rests on."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from steepslope.evaluation.evaluation import looks_unlike
from steepslope.evaluation.rows import Row
from steepslope.evaluation.score import BASELINE
from steepslope.metrics.intervals import Difference
from steepslope.oracle.base import FEW_ERRORS

FOUND_AT = "fpr_at_95tpr"  # the errors that are found are the others


class Remark(NamedTuple):
    """What a number rests on; ``warns`` where it makes the number doubtful."""

    text: str
    warns: bool = False


def leader(rows: Sequence[Row]) -> Row:
    """Return the row that a report is about: the score of least AURC beside MCP; the first row where none has one."""
    others = [row for row in rows if row.name != BASELINE and not np.isnan(row.metrics["aurc"]["value"])]
    return min(others, key=lambda row: row.metrics["aurc"]["value"], default=rows[0])


def headline(rows: Sequence[Row]) -> str:
    """Return the sentence on the best score: how many errors it finds where 95 % of the correct are trusted."""
    best, first = leader(rows), rows[0]
    if np.isnan(best.metrics[FOUND_AT]["value"]):
        return "Nothing can be compared: that needs both errors and correct predictions."
    found = f"{best.name} finds {_found(best)} of the errors while trusting 95 % of the correct predictions"
    if best is first or best.vs_mcp is None:
        return f"{found}."
    return f"{found}; {first.name.upper()} finds {_found(first)}{_ending(best.vs_mcp[FOUND_AT])}"


def _found(row: Row) -> str:
    return f"{100 * (1 - row.metrics[FOUND_AT]['value']):.0f} %"


def _ending(difference: Difference) -> str:
    """Return what is to be said of fewer errors that are missed: clear or not, by the interval."""
    if np.isnan(difference["low"]):
        return ". Without resamples it is not known if by luck."
    if difference["high"] < 0:
        return "."
    if difference["low"] > 0:
        return ": clearly more, so MCP is the better choice."
    return ". The difference may be luck."


def remarks(rows: Sequence[Row]) -> list[Remark]:
    """Return what the numbers rest on: rows, errors, how the best was chosen, and whatever makes them doubtful."""
    return [*_of_rows(rows), *_of_choice(rows), *_of_shift(rows), *_of_fit_rows(rows)]


def _of_rows(rows: Sequence[Row]) -> Iterator[Remark]:
    first = rows[0]
    accuracy = first.metrics["accuracy"]["value"]
    errors = round(first.n * (1 - accuracy))
    yield Remark(f"{first.n:,} predictions, {errors:,} wrong (accuracy {100 * accuracy:.2f} %)")
    if first.clusters is not None:
        yield Remark(f"{first.clusters:,} clusters, which were resampled as wholes")
    rare, side = min((errors, "errors"), (first.n - errors, "correct predictions"))
    if rare < FEW_ERRORS:
        yield Remark(f"only {rare} {side}: below about {FEW_ERRORS}, all numbers depend on luck", warns=True)


def _of_choice(rows: Sequence[Row]) -> Iterator[Remark]:
    others = sum(row.name != BASELINE for row in rows)
    if others > 1:
        yield Remark(f"the best of {others} by AURC on these rows, which flatters it a little")


def _of_shift(rows: Sequence[Row]) -> Iterator[Remark]:
    for row in rows:
        if row.handed_over is not None and row.handed_over.usual is not None:
            part, usual = row.handed_over.part, row.handed_over.usual
            unlike = looks_unlike(part, usual)
            look = "unlike" if unlike else "like"
            shares = f"{100 * part:.0f} % look shifted, {100 * usual:.0f} % did among its fit set"
            yield Remark(f"to {row.name} these images look {look} those it was fitted on ({shares})", unlike)


def _of_fit_rows(rows: Sequence[Row]) -> Iterator[Remark]:
    for row in rows:
        if row.fit_rows:
            yield Remark(
                f"{row.name} was fitted on {row.fit_rows:,} of these rows: its numbers are too good", warns=True
            )
