"""Decisions as one file, written in parts: killed at any moment and run again, it ends in the same bytes.

Parts lie in a hidden folder beside the file, each written by an atomic rename, and are joined at the end. A summary in
JSON, written last, is named like the file.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc
import pyarrow.parquet as pq

from steepslope.errors import SteepslopeError, located
from steepslope.files.folders import field, locked, read_json, require_same, staged_folder, write_json
from steepslope.files.progress import Notice, silent
from steepslope.gate.decisions import ACCEPT, REJECT
from steepslope.outputs.folder import IDS
from steepslope.predict.parts import ENDING, ERROR, FINGERPRINT, Source

STDOUT = "-"
ENDINGS = (".csv", ".parquet")
KEY = "key.json"
LABEL = "label"
OTHER = "predictions of another gate, data or options"
REMEDY = "choose another file, or give --replace"


@dataclass(frozen=True)
class Summary:
    """How many predictions there are, are accepted, rejected, and could not be made; and what was handed over.

    ``handed_over`` is the mean, in [0, 1], None where the oracle never hands over.
    """

    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    handed_over: float | None = None

    def plus(self, table: Any) -> Summary:
        """Return the summary with further rows counted."""
        n, decision = self.rows + len(table), table["decision"].to_numpy(zero_copy_only=False)
        failed = 0 if ERROR not in table.column_names else len(table) - table[ERROR].null_count
        mean, judged = self.handed_over, n - self.failed - failed
        if "handed_over" in table.column_names and judged:  # of rows that could not be read, nothing is
            added = compute.sum(table["handed_over"]).as_py() or 0.0
            mean = ((mean or 0.0) * (self.rows - self.failed) + added) / judged
        return Summary(
            n, self.accepted + int((decision == ACCEPT).sum()), self.rejected + int((decision == REJECT).sum()),
            self.failed + failed, mean,
        )  # fmt: skip

    @classmethod
    def read(cls, content: Mapping[str, Any], path: Path) -> Summary:
        """Return the summary that JSON holds."""
        optional = (int, float, type(None))
        return cls(*(field(content, one.name, optional, path) for one in fields(cls)))


def predict_to_file(
    source: Source, out: Path, key: Mapping[str, Any], replace: bool = False, notice: Notice = silent
) -> Summary:
    """Write the decisions to a .csv or .parquet file, or find them there; return what they come to.

    ``key`` is what decides them; parts of an unfinished run with the same key are kept.

    Raises
    ------
    SteepslopeError
        If there is such a file, of another key, that is not to be replaced.
    """
    card, folder = out.with_name(f"{out.name}.json"), out.with_name(f".{out.name}.parts")
    with locked(folder):
        if out.exists() and not replace and not _is_unfinished(folder, key):
            found = _complete(out, card, key)
            if not (folder / KEY).exists():  # with a key, they are parts of another run, which may go on
                shutil.rmtree(folder)  # what a run left that was killed while it tidied up
            notice(f"{out}: already complete")
            return found
        _prepare(folder, key, replace)
        _write_parts(source, folder, notice)
        with staged_folder(out.parent, last=card.name) as staging, located(out):  # no file lies beside another's card
            summary = _join(source.all(folder), staging / out.name)
            write_json(staging / card.name, {"key": dict(key), **asdict(summary)})
        (folder / KEY).unlink()
        shutil.rmtree(folder)
    return summary


def predict_to_stdout(source: Source, notice: Notice = silent) -> Summary:
    """Write the decisions to standard output as CSV, part by part."""
    summary, writer = Summary(), None
    for table in _of_one_schema(table for _, table in source.missing(Path(), notice)):
        writer = writer or pc.CSVWriter(sys.stdout.buffer, table.schema)
        writer.write_table(table)
        summary = summary.plus(table)
    sys.stdout.flush()
    return summary


def _of_one_schema(tables: Iterable[Any]) -> Iterator[Any]:
    """Yield tables with the columns of the first that has all; those before it, of unreadable images, wait for it."""
    waiting, schema = [], None
    for table in tables:
        waiting.append(table)
        schema = table.schema if schema is None and LABEL in table.column_names else schema
        if schema is not None:
            yield from (_with_columns(one, schema) for one in waiting)
            waiting.clear()
    yield from waiting


def require_file(out: str, *read: str | None) -> None:
    """Raise unless decisions can go to a file of this name, which is none of those that are read."""
    if out != STDOUT and Path(out).suffix.lower() not in ENDINGS:
        raise SteepslopeError(f"expected a file that ends in .csv or .parquet, or -, found {out!r}", "out")
    if Path(out).is_dir():
        raise SteepslopeError("expected a file to write to, found a folder", out)
    files = [file for path in read if path is not None for file in (Path(path), Path(path) / IDS) if file.is_file()]
    if Path(out).exists() and any(Path(out).samefile(file) for file in files):  # not even with --replace
        raise SteepslopeError("expected another file than those that are read, which it would replace", out)


def _is_unfinished(folder: Path, key: Mapping[str, Any]) -> bool:
    """Return whether the folder holds parts of this very run, though images may have been repaired since.

    Parts of images know by their names which rows they are of.
    """
    if not (folder / KEY).exists():
        return False
    found = read_json(folder / KEY, "unfinished predictions")
    return {**found, FINGERPRINT: None} == {**key, FINGERPRINT: None}


def _prepare(folder: Path, key: Mapping[str, Any], replace: bool) -> None:
    """Make the folder ready for this run, whose parts are kept; those of another are removed, if that is wanted."""
    if not _is_unfinished(folder, key):
        if (folder / KEY).exists() and not replace:
            found = read_json(folder / KEY, "unfinished predictions")
            require_same(folder, f"unfinished {OTHER}", found, key, [FINGERPRINT], "delete it, or give --replace")
        for path in folder.glob(f"*{ENDING}"):
            path.unlink()
    with staged_folder(folder, last=KEY) as staging:
        write_json(staging / KEY, dict(key))


def _write_parts(source: Source, folder: Path, notice: Notice) -> None:
    """Write the parts that are missing; a run that fails before the first leaves nothing that others would meet."""
    try:
        with closing(source.missing(folder, notice)) as parts:
            for path, table in parts:
                with staged_folder(folder, last=path.name) as staging:
                    pq.write_table(table, staging / path.name)
    finally:
        if not any(folder.glob(f"*{ENDING}")):
            (folder / KEY).unlink(missing_ok=True)


def _complete(out: Path, card: Path, key: Mapping[str, Any]) -> Summary:
    """Return what a finished file comes to; raise if it is of another key."""
    if not card.exists():
        raise SteepslopeError(f"there is such a file already, made in a way that is not known: {REMEDY}", out)
    found = read_json(card, "a summary of predictions")
    require_same(out, OTHER, found.get("key") or {}, key, remedy=REMEDY)
    return Summary.read(found, card)


def _join(paths: list[Path], path: Path) -> Summary:
    """Write the parts to one file, table by table."""
    if not paths:
        raise SteepslopeError("expected predictions to write, found none")
    schema = max((pq.read_schema(part) for part in paths), key=len)  # parts without a single image have few columns
    summary = Summary()
    with _writer(path, schema) as writer:
        for part in paths:
            table = _with_columns(pq.read_table(part), schema)
            writer.write_table(table)
            summary = summary.plus(table)
    return summary


def _with_columns(table: Any, schema: Any) -> Any:
    """Return a table with the columns of a schema; those that it lacks are empty."""
    together = pa.concat_tables([schema.empty_table(), table], promote_options="default").select(schema.names)
    return together.combine_chunks()  # before an empty chunk, pyarrow writes what is left in its buffer into CSV


def _writer(path: Path, schema: Any) -> Any:
    return pq.ParquetWriter(path, schema) if path.suffix.lower() == ".parquet" else pc.CSVWriter(path, schema)
