"""The course of a training: a CSV file, and TensorBoard's files where they are wanted."""

import csv
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.files.folders import staged_folder

HISTORY = "history.csv"
HISTORY_COLUMNS = (
    "step", "epoch", "loss", "learning_rate", "momentum", "tpr", "tnr", "images_per_second", "valid_aupr_error",
)  # fmt: skip
Totals = tuple[float, ...]


@dataclass
class Running:
    """Sums since the last row of the history, and counts since the epoch began: all of them over all processes."""

    loss: float = 0.0
    rows: int = 0
    trusted: list[int] = field(default_factory=lambda: [0, 0])  # of wrong and of correct predictions
    seen: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, totals: Totals) -> None:
        """Add a step's sum of losses, its rows, and of wrong and correct predictions how many, and how many trusted."""
        self.loss += totals[0]
        self.rows += int(totals[1])
        self.seen = [self.seen[0] + int(totals[2]), self.seen[1] + int(totals[3])]
        self.trusted = [self.trusted[0] + int(totals[4]), self.trusted[1] + int(totals[5])]

    @property
    def tpr(self) -> float:
        """The fraction of correct predictions that are trusted, NaN without any."""
        return self.trusted[1] / self.seen[1] if self.seen[1] else float("nan")

    @property
    def tnr(self) -> float:
        """The fraction of wrong predictions that are not trusted, NaN without any."""
        return 1 - self.trusted[0] / self.seen[0] if self.seen[0] else float("nan")


def totals_of(losses: Tensor, z: Tensor, is_correct: Tensor) -> Tensor:
    """Return what :meth:`Running.add` takes of one part of a step, float64 (6,)."""
    correct, trusted = is_correct.bool(), z > 0
    counts = [(~correct).sum(), correct.sum(), (trusted & ~correct).sum(), (trusted & correct).sum()]
    rows = torch.tensor(float(len(z)), dtype=torch.float64, device=z.device)
    return torch.stack([losses.detach().double().sum(), rows, *(count.double() for count in counts)])


class History:
    """``history.csv``, cut back to the step from which a run goes on."""

    def __init__(self, path: Path, step: int, tensorboard: Path | None = None) -> None:
        self._board = None if tensorboard is None else _board(tensorboard, step)
        rows = [row for row in _read(path) if int(row["step"]) <= step]
        with (
            staged_folder(path.parent, last=path.name) as staging,
            (staging / path.name).open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, HISTORY_COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(rows)
        self._file = path.open("a", newline="", encoding="utf-8")
        self._csv = csv.DictWriter(self._file, HISTORY_COLUMNS, restval="")

    def write(self, row: dict[str, Any]) -> None:
        """Add a row, at once."""
        self._csv.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})
        self._file.flush()
        if self._board is not None:
            for name, value in row.items():
                if name != "step":
                    self._board.add_scalar(name, value, row["step"])
            self._board.flush()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        complete = [row for row in csv.DictReader(file) if row.get("valid_aupr_error") is not None]
    rows = []
    for row in complete:
        with suppress(ValueError, TypeError):  # a line that a kill cut short
            rows.append({**{name: row[name] for name in HISTORY_COLUMNS}, "step": str(int(row["step"]))})
    return rows


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SteepslopeError(
            "tensorboard: expected the package of this name (pip install 'steepslope[tensorboard]')"
        ) from error
    return SummaryWriter(str(folder), purge_step=step + 1)
