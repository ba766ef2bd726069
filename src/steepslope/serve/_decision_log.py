"""A .csv file with all decisions of a server, by the ids of their requests. Later labels are matched by these ids."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.gate import DISTANCE, LACKING, STOPPED, names_of_classes
from steepslope.outputs import CsvWriter
from steepslope.serve._logs import LOGGER
from steepslope.serve._served import lacking_rows

DECIDED = "id", "label", "probability", "p_correct", "trust_logit", "accepted", "decision"
COLUMNS = (*DECIDED, LACKING, DISTANCE, STOPPED)  # as ``predict`` has them
_CHUNK = 1 << 16  # bytes at the end of a file, in which its last row ends
MOST_KEPT = 64 << 20  # bytes of decisions that wait: some half a million


@dataclass(eq=False)
class DecisionLog:
    """A .csv file to which the decisions of each batch are added at once, in the columns that ``predict`` writes.

    Above the ``threshold``, what goes to review lacks an opinion that the gate needs. What cannot be written, such as
    on a full disk, is kept in memory, up to ``MOST_KEPT`` bytes, and written later: ``waiting`` rows wait, and ``lost``
    rows were too many.
    """

    path: Path
    descriptor: int
    classes: tuple[str, ...] | None
    threshold: float | None = None
    unwritten: bytearray = field(default_factory=bytearray)
    lost: int = 0
    is_failing: bool = False
    is_within_row: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, path: str | Path, classes: tuple[str, ...] | None, threshold: float | None = None) -> Self:
        """Open a file to add to, or begin it; the half of a row that a killed server left at its end is cut off.

        Raises
        ------
        SteepslopeError
            If its name does not end in .csv, it cannot be written, it begins with other columns, or a class has a line
            break in its name, after which half a row could not be told from a whole one.
        """
        target = Path(path)
        if target.suffix != ".csv":
            raise SteepslopeError(f"expected a file that ends in .csv, found {target.name!r}", "decisions")
        if any(len(name.splitlines()) > 1 for name in classes or ()):
            raise SteepslopeError("expected names of classes without line breaks, found some with them", "decisions")
        return cls(target, _begun_file(target), classes, threshold)

    def write(self, rows: dict[str, NDArray[Any]]) -> None:
        """Add the decisions on some predictions, (m,) each by name; those of names that are no column are left out."""
        text = self._as_text(rows).encode()
        with self.lock:
            if len(self.unwritten) + len(text) > MOST_KEPT:
                self.lost += len(rows["label"])
            else:
                self.unwritten += text
        self.write_waiting()

    def _as_text(self, rows: dict[str, NDArray[Any]]) -> str:
        labels = names_of_classes(np.asarray(rows["label"]), self.classes)
        columns = {name: labels if name == "label" else rows[name] for name in DECIDED}
        stopped = rows.get(STOPPED, np.zeros(len(labels), np.bool_))
        lacking = lacking_rows(rows, self.threshold) & ~stopped
        distance = np.ma.masked_invalid(rows.get(DISTANCE, np.full(len(labels), np.nan)))
        text = StringIO(newline="")
        CsvWriter(text, begun=True).write({**columns, LACKING: lacking, DISTANCE: distance, STOPPED: stopped})
        return text.getvalue()

    def write_waiting(self) -> None:
        """Write what waits, as far as that is possible; a row that is half written goes on where it ends."""
        with self.lock:
            try:
                self._follow_rotation()
                while self.unwritten:
                    written = os.write(self.descriptor, self.unwritten)
                    self.is_within_row = not self.unwritten[:written].endswith(b"\n")
                    del self.unwritten[:written]
            except (OSError, SteepslopeError) as error:
                if not self.is_failing:
                    LOGGER.error("%s: decisions cannot be written (%s); they wait in memory", self.path, error)
                self.is_failing = True
                return
            if self.is_failing:
                LOGGER.warning("%s: decisions are written again; %s were lost", self.path, self.lost)
            self.is_failing = False

    def _follow_rotation(self) -> None:
        """Begin the file anew if it was moved, removed or emptied; the rest of a half row is no row there."""
        with suppress(FileNotFoundError):
            there = self.path.stat()
            if there.st_size and os.path.samestat(there, os.fstat(self.descriptor)):
                return
        descriptor = _begun_file(self.path)
        os.close(self.descriptor)
        self.descriptor = descriptor
        if self.is_within_row:
            del self.unwritten[: self.unwritten.find(b"\n") + 1]
            self.lost += 1
            self.is_within_row = False

    @property
    def waiting(self) -> int:
        """How many decisions wait to be written."""
        return self.unwritten.count(b"\n")

    def can_write(self) -> bool:
        """Return whether all decisions are written. Those that wait are tried again here, even if no requests come."""
        self.write_waiting()
        return not self.is_failing

    def close(self) -> None:
        """Write what waits for the last time; what cannot be written then is lost."""
        self.write_waiting()
        self.lost += self.waiting
        self.unwritten.clear()
        os.close(self.descriptor)


def _begun_file(path: Path) -> int:
    """Return a descriptor to add rows to a file by, begun with the header; half a row at the file's end is cut off."""
    header = f"{','.join(COLUMNS)}\n".encode()
    with explained("cannot be written", path, OSError):
        with path.open("ab+") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if not header.startswith(file.read(len(header))):  # before anything of another's file is cut off
                raise SteepslopeError(f"expected the columns {', '.join(COLUMNS)}, found others", path)
            file.seek(max(0, size - _CHUNK))
            tail = file.read()
            size = file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
            if not size:  # now, so that of two servers that begin a file, one alone writes its header
                file.write(header)
        return os.open(path, os.O_WRONLY | os.O_APPEND)
