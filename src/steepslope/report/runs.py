"""A run: one evaluation, as its report's folder holds it, read again for comparisons."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.metrics.curves import RankedRows, rank_rows
from steepslope.metrics.intervals import BOUNDS
from steepslope.metrics.measures import METRICS
from steepslope.report.grid import shortest_tails
from steepslope.report.row_table import ABOUT, ROWS

Text = NDArray[Any]


Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class RunScore:
    """The confidences that a score gave in one run, (n,), on the scale that ranks, and its loss if it is an oracle."""

    confidence: NDArray[np.float64]
    scale: str
    loss: str | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """One evaluation, as its report's folder holds it.

    ``rows`` are those of ``metrics.json``, a mapping a score. ``is_correct`` (n,) and the confidences of ``scores`` are
    in the same order, as are ``ids``, ``labels`` and ``clusters``: None where they are not known. ``folder`` is what
    results show of where the report was read, if it was.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    is_correct: NDArray[np.bool_]
    scores: Mapping[str, RunScore]
    ids: Text | None = None
    labels: Text | None = None
    clusters: NDArray[Any] | None = None
    folder: str = ""

    def __len__(self) -> int:
        return len(self.is_correct)

    @cached_property
    def order(self) -> Places:
        """The places of the rows, (n,), in the order of their ids; as they are without ids.

        So the order in which a file has its rows decides nothing.
        """
        return np.arange(len(self)) if self.ids is None else np.argsort(self.ids, kind="stable")

    @cached_property
    def best(self) -> str:
        """The name of the score of least AURC among those that were not fitted on these rows, unless all were."""
        rows = [row for row in self.rows if row["score"] not in self.fit_rows] or self.rows
        known = {row["score"]: row["aurc"]["value"] for row in rows if row["aurc"]["value"] is not None}
        return str(min(known, key=lambda name: known[name]) if known else rows[0]["score"])

    @cached_property
    def fit_rows(self) -> dict[str, int]:
        """On how many of these rows a score was fitted, by its name; scores that saw none are not in it."""
        return {row["score"]: row["fit_rows"] for row in self.rows if row.get("fit_rows")}

    def ranked(self, score: str) -> RankedRows:
        """Return the rows sorted by a score's confidence; their own order is that of the ids."""
        return rank_rows(self.scores[score].confidence[self.order], self.is_correct[self.order])

    @cached_property
    def clusters_in_order(self) -> NDArray[Any] | None:
        """The clusters in the order of the ids, (n,)."""
        return None if self.clusters is None else self.clusters[self.order]

    @property
    def errors(self) -> int:
        """The number of wrong predictions."""
        return int(np.sum(~self.is_correct))


METRICS_FILE = "metrics.json"


EARLIER = "expected the rows of a report, but an earlier version made it: evaluate again with --replace"


UNDEFINED = dict.fromkeys(BOUNDS)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a report's ``metrics.json``, one a score; what is undefined is None.

    Raises
    ------
    SteepslopeError
        If there is none, or it is no list of rows.
    """
    path = folder / METRICS_FILE
    with explained("expected a report's metrics, but they cannot be read", path, (OSError, ValueError)):
        rows = json.loads(path.read_text(encoding="utf-8"))
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) and "score" in row for row in rows)):
        raise SteepslopeError("expected a report's metrics, a list with a row for each score", path)
    return rows


def read_run(folder: Path, name: str, shown: str | None = None) -> Run:
    """Return the run whose report a folder holds; metrics that the report does not have are undefined.

    ``shown`` is what results show of the folder, by default its path. Scores that are paths get the shortest tails
    that tell them apart.

    Raises
    ------
    SteepslopeError
        If the folder holds no report, or one without its rows, as earlier versions made them, or a file is damaged.
    """
    if not (folder / METRICS_FILE).is_file():
        found = "but there is no such folder" if not folder.exists() else f"but it has no {METRICS_FILE}"
        raise SteepslopeError(f"expected the report of evaluate or demo, {found}", folder)
    rows = [{**dict.fromkeys((*METRICS, "delta_auc_vs_mcp"), UNDEFINED), **row} for row in read_metrics(folder)]
    path = folder / ROWS
    if not path.is_file():
        raise SteepslopeError(EARLIER, path)
    with explained("cannot be read as the rows of a report", path, (OSError, ValueError, KeyError, pa.ArrowException)):
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[ABOUT])["scores"]
        if [one["score"] for one in about] != [row["score"] for row in rows]:
            found = ", ".join(one["score"] for one in about)
            raise SteepslopeError(f"expected the scores of {METRICS_FILE}, found {found}", path)
        return _run(name, rows, table, about, str(folder) if shown is None else shown)


def _run(name: str, rows: list[dict[str, Any]], table: Any, about: list[Mapping[str, Any]], folder: str) -> Run:
    names = shortest_tails([one["score"] for one in about])
    scores = [RunScore(table[one["confidence"]].to_numpy(), one["scale"], one["loss"]) for one in about]
    ids = table["id"]
    numbered = pc.equal(ids, pa.array(np.arange(len(table))).cast(pa.string()))
    return Run(
        name=name,
        rows=[{**row, "score": score} for row, score in zip(rows, names, strict=True)],
        is_correct=table["is_correct"].to_numpy(),
        scores=dict(zip(names, scores, strict=True)),
        ids=None if pc.all(numbered).as_py() else _texts(ids),
        labels=_texts(table["label"]) if "label" in table.column_names else None,
        clusters=table["cluster"].to_numpy() if "cluster" in table.column_names else None,
        folder=folder,
    )


def _texts(column: Any) -> NDArray[Any]:
    """Return a column as text, (n,), whatever labels are: names of classes or numbers."""
    texts: NDArray[Any] = column.cast(pa.string()).to_numpy()
    return texts
