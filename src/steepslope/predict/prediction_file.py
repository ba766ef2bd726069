"""Decisions as one file, written in chunks: killed at any moment and run again, it ends in the same bytes.

Chunks lie in a hidden folder next to the file, each written by an atomic rename, and are joined at the end. A summary
in JSON, written last, is named like the file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc
import pyarrow.parquet as pq

from steepslope.errors import SteepslopeError, located
from steepslope.files.artifact import Artifact
from steepslope.files.folders import field, read_json, staged_folder, write_json
from steepslope.files.progress import Notice, silent
from steepslope.gate.decisions import ACCEPT, LACKING, REJECT
from steepslope.outputs.folder import IDS
from steepslope.predict.audit import AUDIT, CHANCE, LIMIT, Audit
from steepslope.predict.chunks import ERROR, FINGERPRINT, Source
from steepslope.predict.options import STDOUT

ENDINGS = (".csv", ".parquet")
KEY = "key.json"
LABEL = "label"
See = Callable[[Any], None]


@dataclass(frozen=True)
class Summary:
    """How many predictions there are, are accepted, rejected, and could not be made.

    ``audited`` are those that are to be labelled; ``below_limit`` are accepted by the gate, but below the limit of its
    audit; ``lacking`` lack an opinion that nearly all calibration rows had, and go to review.
    """

    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    audited: int = 0
    below_limit: int = 0
    lacking: int = 0

    def plus(self, table: Any) -> Summary:
        """Return the summary with further rows counted."""
        names, decision = table.column_names, table["decision"].to_numpy(zero_copy_only=False)
        accepted = int((decision == ACCEPT).sum())
        counts = {"rows": len(table), "accepted": accepted, "rejected": int((decision == REJECT).sum())}
        if ERROR in names:
            counts["failed"] = len(table) - table[ERROR].null_count
        if LACKING in names:
            counts["lacking"] = compute.sum(table[LACKING]).as_py() or 0
        if AUDIT in names:
            counts["audited"] = int(table[AUDIT].to_numpy().sum())
            counts["below_limit"] = int((table[CHANCE].to_numpy() > 0).sum() - table["accepted"].to_numpy().sum())
        return Summary(**{name: count + counts.get(name, 0) for name, count in asdict(self).items()})

    @classmethod
    def read(cls, content: Mapping[str, Any], path: Path) -> Summary:
        """Return the summary that JSON holds."""
        return cls(*(field(content, one.name, int, path) for one in fields(cls)))


def predict_to_file(
    source: Source, out: Path, key: Mapping[str, Any], replace: bool = False, notice: Notice = silent
) -> Summary:
    """Write the decisions to a .csv or .parquet file, or find them there; return what they come to.

    ``key`` is what decides them; chunks of an unfinished run with the same key are kept.

    Raises
    ------
    SteepslopeError
        If there is such a file, of another key, that is not to be replaced.
    """
    kind = prediction_file_artifact(out)
    card, folder = out.with_name(kind.card), out.with_name(kind.unfinished[1])
    with kind.making(out.parent, key, replace) as complete:
        if complete:
            notice(f"{out}: already complete")
            return Summary.read(read_json(card, "a summary of predictions"), card)
        kind.begin(out.parent, key)
        with closing(source.missing(folder, notice)) as chunks:
            for path, table in chunks:
                with staged_folder(folder, last=path.name) as staging:
                    pq.write_table(table, staging / path.name)
        with kind.staged(out.parent) as staging, located(out):  # no file lies next to another's card
            labels = source.options.audit
            facts = source.gate.promised_risk, str(key.get("gate")), float(key.get(LIMIT, 0.0))
            audit = None if labels is None else Audit(labels, *facts)
            summary = _join_prediction_chunks(source.all(folder), staging / out.name, audit)
            write_json(staging / card.name, {"key": dict(key), **asdict(summary)})
        kind.end(out.parent)
    return summary


def prediction_file_artifact(out: Path) -> Artifact:
    """Return the artifact that a file of decisions is; what tells chunks apart are the rows that they are of."""
    card, folder = f"{out.name}.json", f".{out.name}.chunks"
    return Artifact(
        f"predictions in {out.name}", card, made="key", files=(out.name, card), free=(LIMIT,),
        unfinished=(f"{folder}/{KEY}", folder),
        mendable=(FINGERPRINT,), remedy="choose another file, or give --replace", lock=f".{out.name}.lock",
    )  # fmt: skip


def see_no_table(table: Any) -> None:
    """Look at no table."""


def predict_to_stdout(source: Source, notice: Notice = silent, see: See = see_no_table) -> Summary:
    """Write the decisions to standard output as CSV, chunk by chunk; ``see`` is shown the table of each."""
    summary, writer = Summary(), None
    for table in _tables_of_one_schema(table for _, table in source.missing(Path(), notice)):
        writer = writer or pc.CSVWriter(sys.stdout.buffer, table.schema)
        writer.write_table(table)
        summary = summary.plus(table)
        see(table)
    sys.stdout.flush()
    return summary


def _tables_of_one_schema(tables: Iterable[Any]) -> Iterator[Any]:
    """Yield tables with the columns of the first that has all; those before it, of unreadable images, wait for it."""
    waiting, schema = [], None
    for table in tables:
        waiting.append(table)
        schema = table.schema if schema is None and LABEL in table.column_names else schema
        if schema is not None:
            yield from (_with_columns_of_schema(one, schema) for one in waiting)
            waiting.clear()
    yield from waiting


def require_prediction_file(out: str, *read: str | None, audit: int | None = None) -> None:
    """Raise unless decisions can go to a file of this name, which is none of those that are read."""
    if out == STDOUT and audit is not None:
        raise SteepslopeError("expected a file to write to with --audit, which draws among its rows, found -", "out")
    if out != STDOUT and Path(out).suffix.lower() not in ENDINGS:
        raise SteepslopeError(f"expected a file that ends in .csv or .parquet, or -, found {out!r}", "out")
    if Path(out).is_dir():
        raise SteepslopeError("expected a file to write to, found a folder", out)
    files = [file for path in read if path is not None for file in (Path(path), Path(path) / IDS) if file.is_file()]
    if Path(out).exists() and any(Path(out).samefile(file) for file in files):  # not even with --replace
        raise SteepslopeError("expected another file than those that are read, which it would replace", out)


def _join_prediction_chunks(paths: list[Path], path: Path, audit: Audit | None = None) -> Summary:
    """Write the chunks to one file, table by table, with those marked that an audit draws."""
    if not paths:
        raise SteepslopeError("expected predictions to write, found none")
    schema = max((pq.read_schema(chunk) for chunk in paths), key=len)  # chunks without a single image have few columns
    whole = schema if audit is None else audit.marked(schema.empty_table(), np.zeros(0)).schema
    chances = [None] * len(paths) if audit is None else audit.chances(paths)
    summary = Summary()
    with _prediction_writer(path, whole) as writer:
        for chunk, chance in zip(paths, chances, strict=True):
            table = _with_columns_of_schema(pq.read_table(chunk), schema)
            table = table if audit is None or chance is None else audit.marked(table, chance)
            writer.write_table(table)
            summary = summary.plus(table)
    return summary


def _with_columns_of_schema(table: Any, schema: Any) -> Any:
    """Return a table with the columns of a schema; those that it lacks are empty."""
    together = pa.concat_tables([schema.empty_table(), table], promote_options="default").select(schema.names)
    return together.combine_chunks()  # before an empty chunk, pyarrow writes what is left in its buffer into CSV


def _prediction_writer(path: Path, schema: Any) -> Any:
    return pq.ParquetWriter(path, schema) if path.suffix.lower() == ".parquet" else pc.CSVWriter(path, schema)
