"""`steepslope fit`."""

from dataclasses import fields
from typing import Any

from steepslope.errors import SteepslopeError
from steepslope.oracle.settings import FusedSettings, OracleSettings
from steepslope.utilities.progress import console


def fit(outputs: str, out: str, settings: OracleSettings, reference: str | None = None, fused: bool = False) -> None:
    """Fit an oracle on cached classifier outputs.

    Parameters
    ----------
    outputs
        Folder or file of outputs in which errors are seen, best of rows new to the classifier.
    out
        Folder for the oracle.
    settings
        The oracle's loss, inputs, head and training.
    reference
        The classifier's training outputs, for inputs that look up neighbours or learn from labels.
    fused
        Fuse all evidence that the outputs hold, in place of the inputs, head and training that follow.
    """
    from steepslope.oracle import FusedOracle, Oracle
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.folder import require_one_classifier

    oracle = FusedOracle(**_fused(settings)) if fused else Oracle(**settings.as_json())
    require_one_classifier(outputs, reference)
    fit_set = ClassifierOutputs.load(outputs)
    known = None if reference is None else ClassifierOutputs.load(reference)
    try:
        oracle.fit(fit_set, known)
    except SteepslopeError as error:
        place = f"{outputs} and {reference}" if error.place == "reference" and reference else outputs
        raise error.within(place) from error
    oracle.save(out)
    errors = len(fit_set) - int(fit_set.is_correct.sum())
    if isinstance(oracle, FusedOracle):
        console().print(str(oracle.fitted_))
    kind = "fused" if fused else oracle.loss
    console().print(f"{out}: {kind} oracle fitted on {len(fit_set):,} predictions, {errors:,} of them wrong")


def _fused(settings: OracleSettings) -> dict[str, Any]:
    """Return the settings of a fused oracle; those that it does not have must have been left alone."""
    own, plain = {one.name for one in fields(FusedSettings)}, OracleSettings()
    for name in (one.name for one in fields(settings) if one.name not in own):
        if getattr(settings, name) != getattr(plain, name):
            found = f"expected none beside --fused, found {getattr(settings, name)!r}"
            raise SteepslopeError(found, name.replace("_", "-"))
    return {name: getattr(settings, name) for name in own}
