"""A .csv file with all decisions of a server, by the ids of their requests. Later labels are matched by these ids."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.gate.decisions import DISTANCE, LACKING, STOPPED, names_of_classes
from steepslope.outputs.table_files import CsvWriter
from steepslope.serve.served import lacking_rows

DECIDED = "id", "label", "probability", "p_correct", "trust_logit", "accepted", "decision"
COLUMNS = (*DECIDED, LACKING, DISTANCE, STOPPED)  # as ``predict`` has them
CHUNK = 1 << 16  # bytes at the end of a file, in which its last row ends


@dataclass(frozen=True, eq=False)
class DecisionLog:
    """A .csv file to which the decisions of each batch are added at once, in the columns that ``predict`` writes.

    Above the ``threshold``, what goes to review lacks an opinion that the gate needs.
    """

    file: TextIO
    writer: CsvWriter
    classes: tuple[str, ...] | None
    threshold: float | None = None

    @classmethod
    def open(cls, path: str | Path, classes: tuple[str, ...] | None, threshold: float | None = None) -> Self:
        """Open a file to add to, or begin it; the half of a row that a killed server left at its end is cut off.

        Raises
        ------
        SteepslopeError
            If its name does not end in .csv, it cannot be written, or it begins with other columns.
        """
        target, header = Path(path), f"{','.join(COLUMNS)}\n".encode()
        if target.suffix != ".csv":
            raise SteepslopeError(f"expected a file that ends in .csv, found {target.name!r}", "decisions")
        with explained("cannot be written", target, OSError):
            with target.open("ab+") as before:
                size = before.seek(0, 2)
                before.seek(max(0, size - CHUNK))
                tail = before.read()
                size = before.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
                before.seek(0)
                if not size:  # now, so that of two servers that begin a file, one alone writes its header
                    before.write(header)
                elif before.read(len(header)) != header:
                    raise SteepslopeError(f"expected the columns {', '.join(COLUMNS)}, found others", target)
            file = target.open("a", encoding="utf-8", newline="")
        return cls(file, CsvWriter(file, begun=True), classes, threshold)

    def write(self, rows: dict[str, NDArray[Any]]) -> None:
        """Add the decisions on some predictions, (m,) each by name; those of names that are no column are left out."""
        labels = names_of_classes(np.asarray(rows["label"]), self.classes)
        columns = {name: labels if name == "label" else rows[name] for name in DECIDED}
        stopped = rows.get(STOPPED, np.zeros(len(labels), np.bool_))
        lacking = lacking_rows(rows, self.threshold) & ~stopped
        distance = np.ma.masked_invalid(rows.get(DISTANCE, np.full(len(labels), np.nan)))
        self.writer.write({**columns, LACKING: lacking, DISTANCE: distance, STOPPED: stopped})
        self.file.flush()
