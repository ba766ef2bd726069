"""`steepslope fit`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from steepslope.errors import SteepslopeError
from steepslope.oracle import Oracle
from steepslope.oracle.fused import FusedOracle
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.folder import require_one_classifier
from steepslope.utilities.progress import console


def fit(outputs: str, out: str, reference: str | None = None, fused: bool = False, **settings: Any) -> None:
    """Fit an oracle on cached classifier outputs.

    Parameters
    ----------
    outputs
        Folder or file of outputs in which errors are seen, best of rows new to the classifier.
    out
        Folder for the oracle.
    reference
        The classifier's training outputs, for inputs that look up neighbours or learn from labels.
    fused
        Fuse all evidence that the outputs hold, in place of the inputs, head and training that follow.
    """
    oracle = _fused(settings) if fused else Oracle(**settings)
    require_one_classifier(outputs, reference)
    seen = ClassifierOutputs.load(outputs)
    known = None if reference is None else ClassifierOutputs.load(reference)
    try:
        oracle.fit(seen, known)
    except SteepslopeError as error:
        where = f"{outputs} and {reference}" if str(error).startswith("reference") and reference else outputs
        raise SteepslopeError(f"{where}: {error}") from error
    oracle.save(out)
    errors = len(seen) - int(seen.is_correct.sum())
    kind = "fused" if fused else oracle.loss
    console().print(f"{out}: {kind} oracle fitted on {len(seen):,} predictions, {errors:,} of them wrong")


def _fused(settings: dict[str, Any]) -> FusedOracle:
    """Return a fused oracle; settings that it does not have must have been left alone."""
    shared = {field.name for field in fields(FusedOracle) if field.init}
    plain = Oracle().settings()
    for name, value in settings.items():
        if name not in shared and value != plain.get(name):
            raise SteepslopeError(f"{name.replace('_', '-')}: expected none beside --fused, found {value!r}")
    return FusedOracle(**{name: value for name, value in settings.items() if name in shared})
