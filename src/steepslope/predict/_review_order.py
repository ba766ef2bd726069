"""Which predictions to review first where not all can be: those whose expected loss is highest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.gate import REVIEW
from steepslope.outputs import Frame

ORDER = "review_order"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ReviewOrder:
    """The places of predictions in a file among those to review, by the row of the file, (n,); 0 for no place.

    ``left`` counts those that go to review but have no place, and ``wrong`` how many of these are wrong by P(correct).
    """

    place: NDArray[np.int64]
    left: int
    wrong: float

    @classmethod
    def of(cls, chunks: Iterable[Frame], most: int, costs: Mapping[str, float], usual: float = 1.0) -> ReviewOrder:
        """Return the places of the ``most`` predictions to review whose expected loss is highest, of all chunks.

        That is 1 − P(correct), times the mean cost of an error of the predicted class, which is ``usual`` if ``costs``
        lacks the class. A row without a prediction is wrong. Equal losses keep the order of the rows.
        """
        losses, wrong, waits = (
            np.concatenate(columns) for columns in zip(*(_losses(chunk, costs, usual) for chunk in chunks), strict=True)
        )
        waiting = np.flatnonzero(waits)
        ordered = waiting[np.argsort(-losses[waiting], kind="stable")]
        place = np.zeros(len(waits), np.int64)
        place[ordered[:most]] = np.arange(1, len(ordered[:most]) + 1)
        return cls(place, len(ordered[most:]), float(wrong[ordered[most:]].sum()))

    def marked(self, table: Frame, start: int) -> Frame:
        """Return decisions (m,), the first of which is row ``start`` of the file, with a column of their places."""
        place = self.place[start : start + len(table["decision"])]
        return {**table, ORDER: np.ma.array(place, mask=place == 0)}


def _losses(chunk: Frame, costs: Mapping[str, float], usual: float) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return the expected loss of each decision, the probability that it is wrong, and whether it goes to review."""
    decision = np.asarray(chunk["decision"])
    p_correct = np.ma.filled(chunk.get("p_correct", np.zeros(len(decision))), 0.0)
    wrong = 1 - np.nan_to_num(np.asarray(p_correct, np.float64))
    labels = chunk.get("label", decision)
    cost = np.array([costs.get(str(label), usual) for label in labels])
    return wrong * cost, wrong, decision == REVIEW
