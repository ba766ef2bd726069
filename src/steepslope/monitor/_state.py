"""The state of a monitor in one SQLite file: what is known so far, and which predictions have been counted.

A block that changes it is one transaction. A kill at any moment leaves the state as it was before the block, and the
blocks of several processes wait for one another.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from steepslope.errors import SteepslopeError, explained
from steepslope.files import digest_of, staging_of, undisturbed_folder
from steepslope.numerics import Floats

WAIT = 60.0  # seconds, at most, for another process that changes the state
EXPECTED = "expected the state of a monitor"
_FAILED = "cannot be used as the state of a monitor"
_TABLES = (
    "CREATE TABLE monitor (content TEXT NOT NULL, digest TEXT NOT NULL) STRICT",
    "CREATE TABLE predictions (id INTEGER PRIMARY KEY, label INTEGER NOT NULL, p_correct REAL NOT NULL, "
    "accepted INTEGER NOT NULL, row INTEGER NOT NULL, chance REAL, weight REAL, is_correct INTEGER) STRICT",
)
_PRIME = 2_147_483_647  # products fit into 64 bits
SCALE = 2**24  # single precision fits into integers
_SUM = (  # a checksum that the edit of a row changes
    f"SELECT count(*), sum((label % {_PRIME} + CAST(p_correct * {SCALE} AS INTEGER) * 3 + accepted * 5 + row * 7 + "
    f"CAST(coalesce(chance, 2) * {SCALE} AS INTEGER) * 11 + CAST(coalesce(weight, 2) * {SCALE} AS INTEGER) * 13 + "
    f"coalesce(is_correct, 2) * 17) % {_PRIME} * (id % {_PRIME}) % {_PRIME}) FROM predictions"
)


class Counted(NamedTuple):
    """A prediction that was counted.

    ``id`` and the predicted ``label`` are hashes (:func:`hash_of_text`). ``row`` is its place in the stream, from 1.
    ``chance`` is with what probability an audit could draw it, and ``weight`` what its label counts as evidence, 0 if
    it was not drawn; None without an audit. ``is_correct`` is None until its true label comes.
    """

    id: int
    label: int
    p_correct: float
    accepted: bool
    row: int
    chance: float | None = None
    weight: float | None = None
    is_correct: bool | None = None

    def is_same(self, other: Counted) -> bool:
        """Return whether another is the same prediction, wherever in the stream, with a label or without."""
        return self[:4] == other[:4]


class Marked(NamedTuple):
    """A prediction that an audit drew, with the probability ``chance``; the rest as of :class:`Counted`."""

    p_correct: float
    chance: float
    weight: float
    is_correct: bool | None
    accepted: bool = True

    @property
    def is_wrong(self) -> bool:
        """Whether it is known to be wrong."""
        return self.is_correct is not None and not self.is_correct


@dataclass(frozen=True)
class State:
    """A state in a transaction: ``content`` is what the monitor knew at its start, as JSON has it."""

    connection: sqlite3.Connection
    content: Mapping[str, Any]

    def write(self, content: Mapping[str, Any]) -> None:
        """Replace what the monitor knows."""
        self.connection.execute("UPDATE monitor SET content = ?", (json.dumps(dict(content)),))

    def counted(self, ids: Iterable[int]) -> dict[int, Counted]:
        """Return which of some predictions have been counted, by their ids."""
        query = "SELECT * FROM predictions WHERE id IN (SELECT value FROM json_each(?))"
        return {row[0]: Counted(*row) for row in self.connection.execute(query, (json.dumps([*ids]),))}

    def add(self, predictions: Iterable[Counted]) -> None:
        """Remember that further predictions have been counted."""
        self.connection.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", predictions)

    def label(self, is_correct: Mapping[int, bool]) -> None:
        """Remember of some predictions, by their ids, whether they are correct."""
        pairs = ((right, id_) for id_, right in is_correct.items())
        self.connection.executemany("UPDATE predictions SET is_correct = ? WHERE id = ?", pairs)

    def marked(self) -> list[Marked]:
        """Return the predictions that audits drew, in the order in which they were counted."""
        query = "SELECT p_correct, chance, weight, is_correct, accepted FROM predictions WHERE weight > 0 ORDER BY row"
        return [Marked(*row) for row in self.connection.execute(query)]

    def labelled(self) -> Floats:
        """Return P(correct), and whether it is correct, of each labelled prediction, (m, 2), in their order."""
        query = "SELECT p_correct, is_correct FROM predictions WHERE is_correct IS NOT NULL ORDER BY row"
        return np.array(self.connection.execute(query).fetchall(), np.float64).reshape(-1, 2)

    @property
    def has_predictions(self) -> bool:
        """Whether any prediction has been counted by its id."""
        return self.connection.execute("SELECT 1 FROM predictions LIMIT 1").fetchone() is not None


def begin_state(path: Path, content: Mapping[str, Any]) -> None:
    """Make a state in which nothing was counted; if another process has just made one, leave that as it is."""
    staging = staging_of(path.parent, path.name)
    with undisturbed_folder(path.parent, path.name), explained(_FAILED, path, sqlite3.Error):
        shutil.rmtree(staging, ignore_errors=True)  # what a killed run left
        staging.mkdir(parents=True)
        made = staging / path.name
        try:
            with closing(sqlite3.connect(made, isolation_level=None)) as connection:
                for table in _TABLES:
                    connection.execute(table)
                connection.execute("INSERT INTO monitor VALUES ('', '')")
                State(connection, {}).write(content)
                _seal_state(connection)
            with suppress(FileExistsError):
                os.link(made, path)  # unlike a rename, it replaces nothing
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def open_state(path: Path, write: bool = True, wait: float = WAIT) -> Iterator[State]:
    """Open a state for one transaction; what the block has written holds if it ends without an error.

    Raises
    ------
    SteepslopeError
        If the file is no state, was changed by anything else, cannot be written, or if another process has changed it
        for longer than ``wait`` seconds.
    """
    if not path.is_file():
        raise SteepslopeError(f"{EXPECTED}, found {'a folder' if path.exists() else 'no such file'}", path)
    staging = staging_of(path.parent, path.name)
    if write and staging.is_dir():  # of a run that was killed just after it began the state, or that begins it now
        with undisturbed_folder(path.parent, path.name):
            shutil.rmtree(staging, ignore_errors=True)
    with (
        explained(_FAILED, path, sqlite3.Error),
        closing(sqlite3.connect(path, wait, isolation_level=None)) as connection,  # a transaction begins where it says
    ):
        connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        yield State(connection, _content_of_state(connection, path))
        if connection.total_changes:
            _seal_state(connection)
        connection.execute("COMMIT")


def _seal_state(connection: sqlite3.Connection) -> None:
    """Write the digest of what a state holds now."""
    connection.execute("UPDATE monitor SET digest = ?", (_digest_of_state(connection),))


def _digest_of_state(connection: sqlite3.Connection) -> str:
    """Return the digest of what the monitor knows, and of all predictions that were counted."""
    return digest_of([*connection.execute("SELECT content FROM monitor"), *connection.execute(_SUM)])


def _content_of_state(connection: sqlite3.Connection, path: Path) -> dict[str, Any]:
    """Return what the monitor knows; raise for a file that is damaged or was not written by this module."""
    tables = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    if tuple(sql for (sql,) in tables) != _TABLES:
        raise SteepslopeError(f"{EXPECTED}, found another SQLite file", path)
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    rows = connection.execute("SELECT content, digest FROM monitor").fetchall()
    if damage != "ok" or len(rows) != 1 or _digest_of_state(connection) != rows[0][1]:
        raise SteepslopeError("was changed after it was written, or is damaged", path)
    with explained(EXPECTED, path, (TypeError, ValueError, RecursionError)):
        return dict(json.loads(rows[0][0]))
