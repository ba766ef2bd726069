"""What an oracle remembers of its fit set: which rows they were, which classifier predicted them, how they are trusted.

The card holds their number, what tells them, and digests; ``fit_rows.safetensors`` a 64-bit hash of each row, 8 bytes a
row, by which rows that are evaluated are found among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field as member
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, require_known
from steepslope.files.artifact import MADE
from steepslope.files.folders import field
from steepslope.files.weights import load_arrays, save_arrays
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import CLASSES, require_same_names
from steepslope.outputs.row_hashes import RowHashes

FIT_ROWS = "fit_rows.safetensors"
RECORD = "fit_set"  # its place in the card
HASHES = "hashes"
PERCENTILES = "trust_logit_percentiles"
AGAIN = "copy the oracle's folder as a whole, or fit it again"


@dataclass(frozen=True, eq=False)
class FitRecord:
    """The rows of a fit set, the digest of their classifier, None where it is not known, and what made the oracle.

    ``classes`` are the names of the classes by label, None where they have none.
    ``made`` is empty where it was made in Python; see :mod:`steepslope.files.artifact`. ``percentiles`` are the 0th
    to the 100th of the trust logits of the fit set, each as seen from the other folds where the oracle is
    cross-validated: thresholds for gates, fixed before any calibration rows are seen. None where they are not known.
    """

    rows: RowHashes
    classifier: str | None = None
    made: Mapping[str, Any] = member(default_factory=dict)
    classes: tuple[str, ...] | None = None
    percentiles: tuple[float, ...] | None = None

    @classmethod
    def of(cls, outputs: ClassifierOutputs, trust_logit: NDArray[np.float64]) -> FitRecord:
        """Return the record of the outputs that an oracle is fitted on, with their trust logits (n,)."""
        found = np.percentile(trust_logit, np.arange(101)).tolist()
        rows = RowHashes.of(outputs)
        return cls(rows, outputs.classifier, classes=outputs.classes, percentiles=tuple(map(_rounded, found)))

    def shared_with(self, outputs: ClassifierOutputs) -> int:
        """Return how many of these outputs are rows of the fit set; 0 where rows with ids meet rows without."""
        if self.rows.told_by == "ids" and outputs.ids is None:
            return 0
        return self.rows.shared_with(RowHashes.of(outputs, self.rows.told_by))

    def seen(self, outputs: ClassifierOutputs) -> NDArray[np.bool_]:
        """Return which of these outputs are rows of the fit set, (n,), as :meth:`shared_with` counts them."""
        return self.rows.known(outputs) if self.shared_with(outputs) else np.zeros(len(outputs), dtype=np.bool_)

    def require_classifier(self, outputs: ClassifierOutputs) -> None:
        """Raise if the outputs are known to be another classifier's, or of classes of other names or order."""
        require_same_names("the oracle", self.classes, outputs.classes)
        if None not in (self.classifier, outputs.classifier) and self.classifier != outputs.classifier:
            raise SteepslopeError(
                f"expected outputs of the classifier that it was fitted for (digest {_short(self.classifier)}), found "
                f"those of another ({_short(outputs.classifier)}): fit an oracle on that one's outputs",
                "the oracle",
            )

    def write(self, folder: Path) -> dict[str, Any]:
        """Write the hashes, and return what the card holds of the record."""
        save_arrays({HASHES: self.rows.hashes}, folder / FIT_ROWS)
        rows = {"rows": len(self.rows), "told_by": self.rows.told_by, "digest": self.rows.digest}
        named = {} if self.classes is None else {CLASSES: list(self.classes)}
        known = {} if self.percentiles is None else {PERCENTILES: list(self.percentiles)}
        return {RECORD: {**rows, "classifier": self.classifier, **named, **known}, MADE: dict(self.made)}

    @classmethod
    def read(cls, folder: Path, card: Mapping[str, Any], path: Path) -> FitRecord | None:
        """Read what :meth:`write` wrote; None where the oracle was fitted before there was a record."""
        if RECORD not in card:
            return None
        kept = field(card, RECORD, dict, path)
        told_by, classifier = field(kept, "told_by", str, path), field(kept, "classifier", (str, type(None)), path)
        require_known(f"told_by in {path}:", told_by, ("ids", "values"))
        hashes = load_arrays(folder / FIT_ROWS).get(HASHES, np.empty(0))
        if hashes.dtype != np.uint64 or hashes.ndim != 1:
            raise SteepslopeError(f"expected the hashes of rows, found others: {AGAIN}", folder / FIT_ROWS)
        rows = RowHashes(told_by, hashes)
        if rows.digest != kept.get("digest"):
            raise SteepslopeError(
                f"expected the rows of the digest in {path.name}, found others: {AGAIN}", folder / FIT_ROWS
            )
        classes = tuple(map(str, field(kept, CLASSES, list, path))) if CLASSES in kept else None
        return cls(rows, classifier, card.get(MADE) or {}, classes, _percentiles(kept, path))


def _percentiles(kept: Mapping[str, Any], path: Path) -> tuple[float, ...] | None:
    if PERCENTILES not in kept:
        return None
    found = np.asarray(field(kept, PERCENTILES, list, path))
    if (
        found.shape != (101,)
        or found.dtype.kind not in "fi"
        or not np.isfinite(found).all()
        or (np.diff(found) < 0).any()
    ):
        raise SteepslopeError(f"expected 101 rising numbers in {PERCENTILES}, found others", path)
    return tuple(found.tolist())


def _rounded(value: float) -> float:
    return float(f"{value:.8g}")


def _short(digest: str | None) -> str:
    return str(digest)[:12]
