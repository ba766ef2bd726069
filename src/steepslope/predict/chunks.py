"""A long table of decisions in chunks: what the chunks are, and how the images, or outputs, of each become its rows."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from steepslope.data.images import Dataset
from steepslope.errors import SteepslopeError
from steepslope.extraction.engine import Engine, on_backend
from steepslope.extraction.machines import single_device
from steepslope.extraction.options import ExtractionOptions
from steepslope.extraction.shards import Batches, Shards, plan, run_shards
from steepslope.files.folders import fingerprint
from steepslope.files.progress import Notice, bar, silent
from steepslope.gate import Gate
from steepslope.gate.decisions import REVIEW
from steepslope.gate.nets import GateNets
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.labels import EMPTY
from steepslope.outputs.table import Table, TableBlocks
from steepslope.predict.options import PredictOptions

ENDING = ".parquet"
ERROR = "error"
DIGITS = 12  # of a file's digest, in names of its rows
FINGERPRINT = "fingerprint"  # of the images, in the key
GroupOf = Mapping[str, str]  # id -> group
Chunk = tuple[Path, Any]  # the file of a chunk, and its rows
Made = Generator[Chunk]  # to be closed where it is not read to its end


@dataclass(frozen=True, eq=False)
class FromImages:
    """The decisions on the images of a data set, ``source``; a chunk is some neighbouring images.

    ``first`` is the number that the data set's first row has in the whole, where it is a part of one.
    """

    gate: Gate
    live: GateNets
    data: Dataset
    source: str
    options: PredictOptions
    groups: GroupOf | None = None
    first: int = 0

    def key(self) -> dict[str, Any]:
        """Return what decides the rows, beside gate and options."""
        verify = self.options.verify
        return {"data": self.source, FINGERPRINT: self.data.fingerprint(verify=verify), "verify": verify}

    def missing(self, folder: Path, notice: Notice = silent) -> Made:
        """Yield the chunks that are not in the folder yet, with their rows."""
        shards = self.missing_shards(folder)
        if shards:
            yield from self.made(shards, self.engines(notice))

    def missing_shards(self, folder: Path) -> Shards:
        """Return the chunks that are not in the folder yet, with their images in batches."""
        return {path: some for path, some in self._plan(folder).items() if not path.exists()}

    def engines(self, notice: Notice = silent) -> list[Engine]:
        """Return the nets on this process's device: the classifier, and those beside it."""
        fabric, live = single_device(self.live.options.precision), self.live
        nets = [(live.classifier, live.options)]
        nets += [(one.net, one.options(live.options.precision)) for one in live.beside.values()]
        given = [(net, self._options(options)) for net, options in nets]
        return [Engine.on(on_backend(net, options, fabric, notice), options, fabric) for net, options in given]

    def made(self, shards: Shards, engines: Sequence[Engine]) -> Made:
        """Yield chunks with their rows, as the nets make them; a bar counts the images."""
        runs = [
            run_shards(shards, engine, self.data, self.source, shown=engine is engines[0], first=self.first)
            for engine in engines
        ]
        for (path, batches), *others in zip(*runs, strict=True):
            yield path, self._rows(batches, [one for _, one in others])

    def all(self, folder: Path) -> list[Path]:
        """Return the files of all chunks, in order."""
        return list(self._plan(folder))

    def _plan(self, folder: Path) -> Shards:
        return plan(self.data, self._options(self.live.options), folder, ENDING)

    def _options(self, of_net: ExtractionOptions) -> ExtractionOptions:
        given = self.options
        return replace(
            of_net, batch_size=given.batch_size, workers=given.workers, shard_rows=given.shard_rows,
            backend=given.backend, verify=given.verify, on_error="skip" if given.on_error == "keep" else "stop",
        )  # fmt: skip

    def _rows(self, batches: Batches, others: Sequence[Batches]) -> Any:
        """Return the rows of a chunk: those of its images, and of those that a net could not be given, in order."""
        failed = {row: reason for one in (*others, batches) for batch, _ in one for row, reason in batch.failed}
        rows = [row for row in _read(batches) if row not in failed]
        tables = [self._decided(rows, batches, others)] if rows else []
        if failed:  # they are not accepted, and have the reason
            ids, n = [str(self.data.ids[row]) for row in failed], len(failed)
            columns = {"id": ids, "accepted": [False] * n, "decision": [REVIEW] * n, ERROR: [*failed.values()]}
            tables.append(pa.table(columns))
        together = pa.concat_tables(tables, promote_options="default")
        order = np.argsort([*rows, *failed], kind="stable")
        keeps = self.options.on_error == "keep"
        if keeps and ERROR not in together.column_names:
            together = together.append_column(ERROR, pa.nulls(len(together), pa.string()))
        return together.take(pa.array(order))

    def _decided(self, rows: list[int], batches: Batches, others: Sequence[Batches]) -> Any:
        arrays = _joined(batches, rows)
        for (name, net), one in zip(self.live.beside.items(), others, strict=True):
            arrays[name] = net.array(arrays["logits"], _joined(one, rows))
        ids = self.data.ids
        arrays["ids"] = np.array([str(ids[row]) for row in rows])
        groups = None if self.groups is None else groups_by_id(self.groups, arrays["ids"])
        outputs = self.live.as_outputs(arrays)
        gate = self.gate.seeing(self.data)
        return gate.decide(outputs, groups, top=self.options.top, explain=self.options.explain).table()


@dataclass(frozen=True, eq=False)
class FromOutputs:
    """The decisions on the rows of a folder or file of outputs; a chunk is a block of rows.

    A row without an id is named by the digest of the file and its number in it, ``4f3a9c21d0e7/17``: another file's
    rows have other names, and those of the same file the same.
    """

    gate: Gate
    rows: TableBlocks
    options: PredictOptions
    groups: GroupOf | None = None
    column: str | None = None

    def key(self) -> dict[str, Any]:
        """Return what decides the rows, beside gate and options."""
        return {"outputs": fingerprint(self.rows.path), **self.rows.as_json()}

    def missing(self, folder: Path, notice: Notice = silent) -> Made:
        """Yield the chunks that are not in the folder yet, with their rows."""
        with bar() as progress:
            task = progress.add_task(f"judging {self.rows.path}", total=None)
            for number, block in enumerate(self.rows):
                path = folder / f"{number:010d}{ENDING}"
                if not path.exists():
                    self.gate.origin.require_opinions(block.nets)
                    outputs, groups = ClassifierOutputs.of_table(block), self._groups_of(block)
                    found = self.gate.decide(outputs, groups, top=self.options.top, explain=self.options.explain)
                    table = found.table()
                    if block.numbered:
                        names = [f"{self._digest}/{number}" for number in table["id"].to_pylist()]
                        table = table.set_column(table.column_names.index("id"), "id", pa.array(names, pa.string()))
                    yield path, table
                progress.advance(task, len(block))

    @cached_property
    def _digest(self) -> str:
        return self.rows.digest[:DIGITS]

    def _groups_of(self, block: Table) -> NDArray[np.str_] | None:
        """Return the group of each row, (m,), by its id or from a column; None where there are none."""
        if self.groups is not None:
            return groups_by_id(self.groups, block.ids.to_pylist())
        if self.column is None:
            return None
        codes, names = block.groups(self.column, EMPTY)
        return np.array(names)[codes]

    def all(self, folder: Path) -> list[Path]:
        """Return the files of all chunks, in order."""
        return sorted(folder.glob(f"*{ENDING}"))


Source = FromImages | FromOutputs


def groups_by_id(groups: GroupOf, ids: Iterable[Any]) -> NDArray[np.str_]:
    """Return the group of each row, (m,); raise for an id that has none."""
    missing = [str(name) for name in ids if str(name) not in groups]
    if missing:
        raise SteepslopeError(f"expected a group for each id, found none for {missing[0]!r}", "groups")
    return np.array([groups[str(name)] for name in ids])


def _read(batches: Batches) -> list[int]:
    return [row for batch, _ in batches for row in batch.rows]


def _joined(batches: Batches, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return the arrays of some of the rows; one net may take an image that another cannot."""
    names, kept = next(some for _, some in batches if some), np.isin(_read(batches), rows)
    return {name: np.concatenate([some[name] for _, some in batches if some])[kept] for name in names}
