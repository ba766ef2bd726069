"""Decisions as one file, written in chunks. A run that is killed and started again ends in the same bytes.

Chunks lie in a hidden folder next to the file. Each is written by an atomic rename, and they are joined at the end. A
JSON summary, written last, has the file's name and ``.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace as changed
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from steepslope.errors import SteepslopeError, located, read_fields
from steepslope.files import Artifact, Notice, read_json, silent, staged_folder, write_json
from steepslope.gate import ACCEPT, LACKING, NO_CLASS, REJECT, STOPPED, Gate, Verdict
from steepslope.outputs import UNKNOWN, Frame, table_writer
from steepslope.predict._audit import AUDIT, CHANCE, LIMIT, Audit
from steepslope.predict._chunks import (
    ERROR,
    FINGERPRINT,
    FOR_VERDICT,
    Source,
    chunk_with_columns,
    load_chunk,
    save_chunk,
    stopped_by,
    verdict_on_chunks,
)
from steepslope.predict._options import STDOUT
from steepslope.predict._review_order import ORDER, ReviewOrder
from steepslope.promise import HEALTHY

ENDINGS = (".csv", ".parquet")
KEY = "key.json"
LABEL = "label"


@dataclass(frozen=True)
class Summary:
    """The numbers of predictions: of all, of accepted, of rejected, and of those that failed.

    ``audited`` are to be labelled. ``below_limit`` are accepted by the gate, but below the limit of its audit.
    ``lacking`` go to review because they lack an opinion that nearly all calibration rows had, and ``unanswered``
    because their answer is none of the classes. ``health`` is ``healthy`` or ``changed``, by all rows together;
    ``change`` says what has changed and what follows, or that the gate is stopped, and ``stopped`` rows go to review
    for that alone. ``unreviewed`` are to be reviewed, but are more than can be; ``unreviewed_wrong`` of these are wrong
    by P(correct).
    """

    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    audited: int = 0
    below_limit: int = 0
    lacking: int = 0
    unanswered: int = 0
    stopped: int = 0
    unreviewed: int = 0
    unreviewed_wrong: float = 0.0
    health: str = HEALTHY
    change: str = ""

    def plus(self, table: Frame) -> Summary:
        """Return the summary with the rows of a further table counted."""
        decision = table["decision"]
        accepted = int((decision == ACCEPT).sum())
        counts = {"rows": len(decision), "accepted": accepted, "rejected": int((decision == REJECT).sum())}
        if ERROR in table:
            counts["failed"] = int(np.ma.count(table[ERROR]))
        if LABEL in table:
            nothing = UNKNOWN if table[LABEL].dtype.kind in "iu" else NO_CLASS
            counts["unanswered"] = int(np.ma.filled(table[LABEL] == nothing, False).sum())
        for name, column in {"lacking": LACKING, "stopped": STOPPED}.items():
            counts[name] = int(np.ma.filled(table.get(column, False), False).sum())
        if AUDIT in table:
            counts["audited"] = int(table[AUDIT].sum())
            counts["below_limit"] = int((table[CHANCE] > 0).sum() - table["accepted"].sum()) - counts.get("stopped", 0)
        return changed(self, **{name: getattr(self, name) + count for name, count in counts.items()})


def predict_to_file(
    source: Source, out: Path, key: Mapping[str, Any], replace: bool = False, notice: Notice = silent
) -> Summary:
    """Write the decisions to a .csv or .parquet file, unless they are there already; return their summary.

    ``key`` holds all that determines them. Chunks of an unfinished run with the same key are used.

    Raises
    ------
    SteepslopeError
        If the file exists with another key, and is not to be replaced.
    """
    kind = _prediction_file_artifact(out)
    card, folder = out.with_name(kind.card), out.with_name(kind.unfinished[1])
    with kind.making(out.parent, key, replace) as complete:
        if complete:
            notice(f"{out}: already complete")
            return read_fields(Summary, read_json(card, "a summary of predictions"), card)
        kind.begin(out.parent, key)
        with closing(source.missing(folder, notice)) as chunks:
            for path, table in chunks:
                with staged_folder(folder, last=path.name) as staging:
                    save_chunk(staging / path.name, table)
        with kind.staged(out.parent) as staging, located(out):  # no file lies next to another's card
            labels = source.options.audit
            facts = source.gate.promised_risk, str(key.get("gate")), float(key.get(LIMIT, 0.0))
            audit = None if labels is None else Audit(labels, *facts)
            chunks_of_file = source.all(folder)
            verdict = verdict_on_chunks(source, chunks_of_file)
            summary = _join_prediction_chunks(
                chunks_of_file, staging / out.name, audit, verdict, source.options.reviews, source.gate
            )
            write_json(staging / card.name, {"key": dict(key), **asdict(summary)})
        kind.end(out.parent)
    return summary


def _prediction_file_artifact(out: Path) -> Artifact:
    """Return the artifact for a file of decisions; its chunks are told apart by their rows."""
    card, folder = f"{out.name}.json", f".{out.name}.chunks"
    return Artifact(
        f"predictions in {out.name}", card, made="key", files=(out.name, card), free=(LIMIT,),
        unfinished=(f"{folder}/{KEY}", folder),
        mendable=(FINGERPRINT,), remedy="choose another file, or give --replace", lock=f".{out.name}.lock",
    )  # fmt: skip


@contextmanager
def file_or_stdout(out: str) -> Iterator[Path]:
    """Yield the file to write to; for ``-``, a temporary CSV file that is copied to standard output at the end."""
    if out != STDOUT:
        yield Path(out)
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / "decisions.csv"
        yield file
        with file.open(encoding="utf-8", newline="") as text:
            copyfileobj(text, sys.stdout)
        sys.stdout.flush()


def require_prediction_file(out: str, *read: str | None) -> None:
    """Raise unless decisions can be written to a file of this name, and it is none of the files that are read."""
    if out != STDOUT and Path(out).suffix.lower() not in ENDINGS:
        raise SteepslopeError(f"expected a file that ends in .csv or .parquet, or -, found {out!r}", "out")
    if Path(out).is_dir():
        raise SteepslopeError("expected a file to write to, found a folder", out)
    files = [Path(path) for path in read if path is not None and Path(path).is_file()]
    if Path(out).exists() and any(Path(out).samefile(file) for file in files):  # not even with --replace
        raise SteepslopeError("expected another file than those that are read, which it would replace", out)


def _join_prediction_chunks(
    paths: list[Path],
    path: Path,
    audit: Audit | None,
    verdict: Verdict,
    reviews: int | None = None,
    gate: Gate | None = None,
) -> Summary:
    """Write the chunks to one file, table by table, with what all rows together decide."""
    if not paths:
        raise SteepslopeError("expected predictions to write, found none")
    known = next((chunk for chunk in map(load_chunk, paths) if "p_correct" in chunk), load_chunk(paths[0]))
    known = {name: column for name, column in stopped_by(known, verdict).items() if name not in FOR_VERDICT}
    dtypes = {name: column.dtype for name, column in known.items()}  # a chunk of unreadable images has few columns
    chances = [None] * len(paths) if audit is None else audit.chances(map(load_chunk, paths))

    def decided() -> Iterator[Frame]:
        """Yield decisions as the verdict and the audit leave them, chunk by chunk."""
        for chunk, chance in zip(paths, chances, strict=True):
            table = chunk_with_columns(stopped_by(load_chunk(chunk), verdict), dtypes)
            yield table if audit is None or chance is None else audit.marked(table, chance)

    order = None
    summary = Summary(health=verdict.health, change=verdict.sentence)
    further = {} if audit is None else {AUDIT: np.dtype(np.bool_), CHANCE: np.dtype(np.float64)}
    if reviews is not None and gate is not None:
        usual = 1.0 if gate.objectives.costs is None else gate.objectives.costs[0]
        order = ReviewOrder.of(decided(), reviews, gate.costs_of_errors, usual)
        summary = changed(summary, unreviewed=order.left, unreviewed_wrong=order.wrong)
        further[ORDER] = order.place.dtype
    with table_writer(path, dtypes | further) as writer:
        for table in decided():
            start = summary.rows
            summary = summary.plus(table)
            writer.write(table if order is None else order.marked(table, start))
    return summary
