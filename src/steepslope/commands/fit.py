"""`steepslope fit`."""

from __future__ import annotations

from typing import Any

from steepslope.errors import SteepslopeError
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.progress import console


def fit(outputs: str, out: str, reference: str | None = None, **settings: Any) -> None:
    """Fit an oracle on cached classifier outputs.

    Parameters
    ----------
    outputs
        Folder or file of outputs in which errors are seen, best of rows new to the classifier.
    out
        Folder for the oracle.
    reference
        The classifier's training outputs, for inputs that look up neighbours.
    """
    oracle = Oracle(**settings)
    seen = ClassifierOutputs.load(outputs)
    known = None if reference is None else ClassifierOutputs.load(reference)
    try:
        oracle.fit(seen, known)
    except SteepslopeError as error:
        raise SteepslopeError(f"{outputs}: {error}") from error
    oracle.save(out)
    errors = len(seen) - int(seen.is_correct.sum())
    console().print(f"{out}: {oracle.loss} oracle fitted on {len(seen):,} predictions, {errors:,} of them wrong")
