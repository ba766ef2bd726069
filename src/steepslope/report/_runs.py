"""A run: one evaluation, as its report's folder holds it. It is written, and read again to be compared with others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.metrics import BOUNDS, METRICS, Bools, Estimate, Floats, RankedRows, rank_rows
from steepslope.report._evaluation import Evaluation

_METRICS_FILE = "metrics.json"
ROWS = "rows.npz"  # of a report: what it keeps of each prediction
Texts = NDArray[Any]


@dataclass(frozen=True, eq=False)
class RunScore:
    """What one score gave in a run: its row of ``metrics.json``, and confidences (n,), on the scale that ranks."""

    content: Mapping[str, Any]
    confidence: Floats
    scale: str

    @property
    def name(self) -> str:
        """The score."""
        return str(self.content["score"])

    @cached_property
    def metrics(self) -> dict[str, Estimate]:
        """Every metric, NaN where it is undefined or where the report does not have it."""
        return {name: _run_estimate(self.content.get(name)) for name in METRICS}

    @property
    def delta_auc(self) -> Estimate:
        """The difference of the AUC to MCP's."""
        return _run_estimate(self.content.get("delta_auc_vs_mcp"))


def _run_estimate(stored: Mapping[str, float | None] | None) -> Estimate:
    """Return an estimate as JSON holds it, with NaN for null."""
    known = {bound: number for bound, number in (stored or {}).items() if number is not None}
    value, low, high = (known.get(bound, np.nan) for bound in BOUNDS)
    return Estimate(value=value, low=low, high=high)


@dataclass(frozen=True, eq=False)
class Run:
    """One evaluation, as its report's folder holds it.

    ``is_correct`` (n,) and the confidences of ``scores``, which are known by their names, are in the same order, as are
    ``ids``, ``labels`` and ``clusters``: None where they are not known.
    """

    name: str
    is_correct: Bools
    scores: Mapping[str, RunScore]
    ids: Texts | None = None
    labels: Texts | None = None
    clusters: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.is_correct)

    @property
    def wrong(self) -> int:
        """The number of wrong predictions."""
        return int(np.sum(~self.is_correct))

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """The places of the rows, (n,), in the order of their ids; as they are without ids.

        So the order in which a file has its rows decides nothing.
        """
        if self.ids is None:
            return np.arange(len(self))
        return np.argsort(self.ids, kind="stable")

    @cached_property
    def best(self) -> str:
        """The name of the score of least AURC."""
        aurc = {score.name: score.metrics["aurc"]["value"] for score in self.scores.values()}
        return min(aurc, key=lambda name: np.nan_to_num(aurc[name], nan=np.inf))

    def ranked(self, score: str) -> RankedRows:
        """Return the rows sorted by a score's confidence; their own order is that of the ids."""
        return rank_rows(self.scores[score].confidence[self.order], self.is_correct[self.order])


def write_run_rows(evaluation: Evaluation, path: Path) -> None:
    """Write ``rows.npz``: compressed arrays, of n predictions by m scores, none of them pickled.

    ``id`` (n,), texts; ``label`` and ``prediction`` (n,), places in ``classes`` (K + 1,), the classes' names, if more
    than a confidence is known; ``is_correct`` (n,); ``cluster`` (n,), numbers, where clusters are resampled; ``score``
    (m,), names; ``confidence`` (m, n) in float64, on the ``scale`` (m,) that ranks; and ``threshold`` (m,), above which
    a score trusts a prediction, NaN where it only ranks. The last of the classes, which label −1 finds too, is what
    labels of none of them are called.
    """
    predictions = evaluation.predictions
    rows = evaluation.rows
    arrays: dict[str, NDArray[Any]] = {
        "is_correct": predictions.is_correct,
        "score": np.array([row.name for row in rows]),
        "scale": np.array([row.scale for row in rows]),
        "threshold": np.array([row.cut() for row in rows]),
        "confidence": np.array([row.confidence for row in rows], dtype=np.float64),
        "id": np.array(evaluation.ids(np.arange(len(predictions))), dtype=np.str_),
        "label": predictions.require_labels(),
        "prediction": predictions.predictions,
        "classes": np.array(predictions.label_names),
    }
    if evaluation.clusters is not None:
        arrays["cluster"] = np.unique(evaluation.clusters, return_inverse=True)[1]
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _read_run_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a report's ``metrics.json``, one a score; what is undefined is None.

    Raises
    ------
    SteepslopeError
        If there is none, or it is no list of rows.
    """
    path = folder / _METRICS_FILE
    with explained("expected a report's metrics, but they cannot be read", path, (OSError, ValueError, RecursionError)):
        rows = json.loads(path.read_text(encoding="utf-8"))
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) and "score" in row for row in rows)):
        raise SteepslopeError("expected a report's metrics, a list with a row for each score", path)
    return rows


def read_run(folder: Path, name: str) -> Run:
    """Return the run whose report a folder holds; metrics that the report does not have are undefined.

    Raises
    ------
    SteepslopeError
        If the folder holds no report, or one without its rows, or a file is damaged.
    """
    if not (folder / _METRICS_FILE).is_file():
        found = f"it has no {_METRICS_FILE}" if folder.exists() else "there is no such folder"
        raise SteepslopeError(f"expected the report of evaluate or demo, but {found}", folder)
    rows = _read_run_metrics(folder)
    path = folder / ROWS
    # NumPy, zipfile and zlib each have their own errors for a damaged file.
    unreadable = explained("cannot be read as the rows of a report", path)
    with unreadable, path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        names = file["score"].tolist()
        if names != [row["score"] for row in rows]:
            raise SteepslopeError(f"expected the scores of {_METRICS_FILE}, found {', '.join(names)}", path)
        scores = {}
        for row, confidence, scale in zip(rows, file["confidence"], file["scale"].tolist(), strict=True):
            scores[row["score"]] = RunScore(row, confidence, scale)
        ids = file["id"]
        has_ids = not np.array_equal(ids, np.arange(len(ids)).astype(np.str_))
        return Run(
            name=name,
            is_correct=file["is_correct"],
            scores=scores,
            ids=ids if has_ids else None,
            labels=file["classes"][file["label"]] if "label" in file else None,
            clusters=file.get("cluster"),
        )
