"""A long table of decisions in chunks, and how the images or outputs of a chunk become its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.files import Notice, bar, fingerprint, silent
from steepslope.gate import DISTANCE, LACKING, REVIEW, STOPPED, Decisions, Gate, Verdict, verdict_on_batch
from steepslope.outputs import (
    EMPTY,
    FOLDER,
    ClassifierOutputs,
    Frame,
    Table,
    TableBlocks,
    folders_of_images,
    one_of_each_copy,
)
from steepslope.predict._options import PredictOptions
from steepslope.promise import JudgedRows, crossed_groups

ENDING = ".npz"
ERROR = "error"
NUMBERS, TOGETHER = "numbers", "together"  # of classes, and names of things: columns that no file of decisions has
FOR_VERDICT = (NUMBERS, TOGETHER)
DIGITS = 12  # of a file's digest, in the names of its rows
_EMPTY_CELLS = "?"  # follows a column's name in a chunk's file: the mask of its cells
FINGERPRINT = "fingerprint"  # of the images, in the key
GroupOf = Mapping[str, str]  # id -> group
_Chunk = tuple[Path, Frame]  # the file of a chunk, and its rows
Made = Generator[_Chunk]  # close it if it is not read to its end


class Source(Protocol):
    """Where decisions come from.

    ``groups`` has the group of each id, and ``together`` the name of what it belongs to, if files tell these. ``key``
    holds what determines the rows besides gate and options, ``missing`` makes the chunks that a folder lacks, and
    ``all`` returns the files of all chunks.
    """

    @property
    def gate(self) -> Gate: ...

    @property
    def options(self) -> PredictOptions: ...

    @property
    def groups(self) -> GroupOf | None: ...

    @property
    def together(self) -> GroupOf | None: ...

    def key(self) -> dict[str, Any]: ...

    def missing(self, folder: Path, notice: Notice = silent) -> Made: ...

    def all(self, folder: Path) -> list[Path]: ...


@dataclass(frozen=True, eq=False)
class FromOutputs:
    """The decisions on the rows of a folder or file of outputs; a chunk is a block of rows.

    A row without an id gets the digest of the file and the row's number as its name, such as ``4f3a9c21d0e7/17``. So
    names are the same whenever the same file is read, and differ between files.
    """

    gate: Gate
    rows: TableBlocks
    options: PredictOptions
    groups: GroupOf | None = None
    columns: tuple[str, ...] = ()
    together: GroupOf | None = None

    def key(self) -> dict[str, Any]:
        """Return what determines the rows, besides gate and options."""
        return {"outputs": fingerprint(self.rows.path), **self.rows.as_json()}

    def missing(self, folder: Path, notice: Notice = silent) -> Made:
        """Yield the chunks that are not in the folder yet, with their rows."""
        with bar(f"judging {self.rows.path}", total=None) as progress:
            for number, block in enumerate(self.rows):
                path = folder / f"{number:010d}{ENDING}"
                if not path.exists():
                    self.gate.origin.require_opinions(block.nets)
                    outputs, groups = ClassifierOutputs.of_table(block), self._groups_of(block)
                    top, explain = self.options.top, self.options.explain
                    decisions = self.gate.decide_rows(outputs, groups, top=top, explain=explain)
                    table = rows_for_chunk(decisions)
                    if self.options.together in self.rows.further:
                        table[TOGETHER] = _names_in_column(block, self.options.together)
                    if self.options.together == FOLDER:
                        folders_of_images(table["id"].tolist(), self.gate.classes)  # raises for rows without ids
                    if block.numbered:
                        digest = self.rows.digest[:DIGITS]
                        table["id"] = np.array([f"{digest}/{number}" for number in table["id"]])
                    yield path, table
                progress.update(len(block))

    def _groups_of(self, block: Table) -> NDArray[np.str_] | None:
        """Return the group of each row, (m,), by its id or from a column; None without groups."""
        if self.groups is not None:
            return groups_of_chunk_ids(self.groups, block.ids_of(np.arange(len(block))))
        groups = {column: _names_in_column(block, column) for column in self.columns}
        return crossed_groups(groups or None, len(block))

    def all(self, folder: Path) -> list[Path]:
        """Return the files of all chunks, in order."""
        return sorted(folder.glob(f"[!.]*{ENDING}"))  # a killed run may leave a hidden folder of such a name


def rows_for_chunk(decisions: Decisions) -> Frame:
    """Return decisions as columns (m,), with the numbers of the predicted classes, which a verdict needs."""
    return {**decisions.table(), NUMBERS: decisions.labels}


def _names_in_column(block: Table, column: str) -> NDArray[np.str_]:
    """Return what a column holds, (m,), with a name for empty cells."""
    codes, names = block.groups(column, EMPTY)
    return np.array(names)[codes]


def save_chunk(path: Path, table: Frame) -> None:
    """Write the rows of a chunk; a masked column gets a column with its mask."""
    masked = [name for name, column in table.items() if np.ma.is_masked(column)]
    masks = {f"{name}{_EMPTY_CELLS}": np.ma.getmaskarray(table[name]) for name in masked}
    np.savez(path, allow_pickle=False, **{name: np.ma.getdata(column) for name, column in table.items()}, **masks)


def load_chunk(path: Path) -> Frame:
    """Read the rows of a chunk."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    masks = {name.removesuffix(_EMPTY_CELLS): arrays.pop(name) for name in [*arrays] if name.endswith(_EMPTY_CELLS)}
    return arrays | {name: np.ma.array(arrays[name], mask=mask) for name, mask in masks.items()}


def chunk_with_columns(table: Frame, dtypes: Mapping[str, np.dtype[Any]]) -> Frame:
    """Return rows with these columns, in this order; columns that the rows lack are empty."""
    rows = len(next(iter(table.values())))
    empty = {name: np.ma.array(np.zeros(rows, dtype), mask=True) for name, dtype in dtypes.items() if name not in table}
    return {name: table[name] if name in table else empty[name] for name in dtypes}


def hash_of_text(text: str) -> int:
    """Return a hash of 64 bits: of ten million texts, no two have the same but for one case in 300,000."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def shuffled_by_ids(ids: Iterable[Any]) -> NDArray[np.int64]:
    """Return an order of rows by the hashes of their ids, (m,), so that it does not matter what they are sorted by."""
    return np.argsort(np.array([hash_of_text(str(name)) for name in ids], np.int64), kind="stable")


def verdict_on_chunks(source: Source, paths: Iterable[Path]) -> Verdict:
    """Return the verdict of the gate on all rows of some chunks together; those that could not be made do not count.

    Of rows that belong together, one counts.
    """
    columns: dict[str, list[NDArray[Any]]] = {}
    for path in paths:
        table = load_chunk(path)
        if "p_correct" not in table:  # no image of this chunk could be read
            continue
        made = ~np.ma.getmaskarray(table["p_correct"]) & ~np.ma.filled(table.get(LACKING, False), False)
        for name in ("id", NUMBERS, "p_correct", "accepted", "probability", DISTANCE, TOGETHER):
            if name in table:
                columns.setdefault(name, []).append(np.ma.getdata(table[name])[made])
    if not columns:
        return Verdict()
    rows = {name: np.concatenate(arrays) for name, arrays in columns.items()}
    judged = JudgedRows(rows["p_correct"], rows["accepted"], rows["probability"], rows[NUMBERS], rows.get(DISTANCE))
    order = shuffled_by_ids(rows["id"])
    names = _names_together(source, rows)
    if names is not None:
        order = order[one_of_each_copy(names[order])]
    return verdict_on_batch(source.gate, judged.subset(order), source.options.when_changed)


def _names_together(source: Source, rows: Frame) -> NDArray[np.str_] | None:
    """Return the name of what each row belongs to, (m,), or None if each is a thing of its own."""
    if source.options.together == FOLDER:
        return folders_of_images(rows["id"].tolist(), source.gate.classes)
    if source.together is None:
        return rows.get(TOGETHER)
    return groups_of_chunk_ids(source.together, rows["id"])


def stopped_by(table: Frame, verdict: Verdict) -> Frame:
    """Return decisions (m,) as a verdict leaves them, with a column for those that it alone sends to review."""
    p_correct = np.ma.filled(table.get("p_correct", np.zeros(len(table["accepted"]))), 0)
    stopped = np.ma.filled(table["accepted"], False) & (p_correct < verdict.limit)
    changed = {"accepted": table["accepted"] & ~stopped, "decision": np.where(stopped, REVIEW, table["decision"])}
    columns: Frame = {}
    for name, column in table.items():
        columns[name] = changed.get(name, column)
        if name == "decision":
            columns[STOPPED] = stopped
    return columns


def groups_of_chunk_ids(groups: GroupOf, ids: Iterable[Any]) -> NDArray[np.str_]:
    """Return the group of each row, (m,); raise for an id that has none."""
    missing = [str(name) for name in ids if str(name) not in groups]
    if missing:
        raise SteepslopeError(f"expected a group for each id, found none for {missing[0]!r}", "groups")
    return np.array([groups[str(name)] for name in ids])
