"""`steepslope fit`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace as changed
from typing import Any

import numpy as np

from steepslope.checks import number, require
from steepslope.errors import SteepslopeError
from steepslope.files.artifact import made_by
from steepslope.files.progress import console
from steepslope.oracle.settings import Budget, FusedSettings, OracleSettings
from steepslope.outputs.reading import ReadingOptions, require_files

ADVICE = (
    "extract --augment 2 keeps those of changed images, which are nearer to what an oracle meets where images look "
    "different"
)
MOST_HELD_BACK = 0.99
COPIES: dict[str, str] = {
    "features": "copies of features were made instead",
    "none": "none could be made, since no logits that are linear in features were found",
}  # what is said where augmented copies were not extracted, by where they come from


def fit(
    outputs: str,
    out: str,
    settings: OracleSettings,
    reading: ReadingOptions,
    reference: str | None = None,
    fused: bool = False,
    budget: Budget | None = None,
    hold_back: float = 0.0,
    replace: bool = False,
) -> None:
    """Fit an oracle on cached classifier outputs.

    Parameters
    ----------
    outputs
        Folder or file of outputs (.npz, .csv, .parquet) in which errors are seen, best of rows new to the classifier.
    out
        Folder for the oracle.
    settings
        The oracle's loss, inputs, head and training.
    reading
        How files of outputs are read.
    reference
        The classifier's training outputs, for inputs that look up neighbours or learn from labels.
    fused
        Fuse all evidence that the outputs hold and the budget pays for, in place of the inputs, head and training that
        follow.
    budget
        What a prediction of a fused oracle may cost: free, no forward pass beside the classifier's; auxiliary, a second
        backbone as well; all, everything that the outputs hold; auto (the default), the cheapest of these that is as
        good as the best on the fit set.
    hold_back
        Fraction of the outputs, in [0, 1), drawn by the seed, that is not fitted on, so that calibrate can take it from
        the same outputs.
    replace
        Replace an oracle that the folder holds already, fitted with other settings or on other outputs.
    """
    made = made_by("fit", locals())
    from steepslope.files.folders import locked
    from steepslope.oracle import FusedOracle, Oracle
    from steepslope.oracle.storage import ORACLE
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.folder import require_one_classifier

    if budget is not None and not fused:
        raise SteepslopeError(f"expected none without --fused, found {budget!r}", "budget")
    oracle = FusedOracle(**_fused(settings, budget)) if fused else Oracle(**settings.as_json())
    require_files(reading, outputs, reference)
    require_one_classifier(outputs, reference)
    fit_set = _without(ClassifierOutputs.load(outputs, reading, labelled=True), hold_back, settings.seed)
    known = None if reference is None else ClassifierOutputs.load(reference, reading)
    with locked(out):
        if ORACLE.is_complete(out, made, replace):
            console().print(f"{out}: already complete")
            return
        with naming(outputs, reference):
            oracle.fit(fit_set, known)
        assert oracle.record_ is not None
        oracle.record_ = changed(oracle.record_, made=made)
        oracle.save(out)
    errors = len(fit_set) - int(fit_set.is_correct.sum())
    if isinstance(oracle, FusedOracle) and oracle.fitted_ is not None:
        show_fused(oracle.fitted_)
    kind = "fused" if fused else oracle.loss
    console().print(f"{out}: {kind} oracle fitted on {len(fit_set):,} predictions, {errors:,} of them wrong")


@contextmanager
def naming(outputs: str, reference: str | None) -> Iterator[None]:
    """Put the outputs around an error of fitting to them, and the reference too where the error is about that."""
    try:
        yield
    except SteepslopeError as error:
        place = f"{outputs} and {reference}" if error.place == "reference" and reference else outputs
        raise error.within(place) from error


def _without(outputs: Any, hold_back: float, seed: int) -> Any:
    """Return outputs without a fraction of their rows, drawn by the seed."""
    require("hold_back", hold_back, number(0, MOST_HELD_BACK))
    kept = len(outputs) - round(hold_back * len(outputs))
    if hold_back == 0:
        return outputs
    return outputs.subset(np.sort(np.random.default_rng(seed).permutation(len(outputs))[:kept]))


def show_fused(fitted: Any) -> None:
    """Print of a fused fit what each budget gains and what the pool holds, and in a table what it lacks."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    screen = console()
    screen.print(fitted.summary, soft_wrap=True)
    if fitted.missing:
        table = Table("why", "without", box=SIMPLE_HEAD, pad_edge=False)
        for reason, names in fitted.missing.items():
            table.add_row(reason, ", ".join(names))
        screen.print(table)
    for line in about_copies(fitted.copies):
        screen.print(line, soft_wrap=True)


def about_copies(copies: Mapping[str, str]) -> list[str]:
    """Return a line on what stands in for augmented copies that were not extracted; none where all were.

    >>> about_copies({"fit set": "extracted", "reference": "extracted"})
    []
    """
    missing = [f"the {name}: {COPIES[origin]}" for name, origin in copies.items() if origin in COPIES]
    return [f"no augmented copies of {' and of '.join(missing)} ({ADVICE})"] if missing else []


def _fused(settings: OracleSettings, budget: Budget | None) -> dict[str, Any]:
    """Return the settings of a fused oracle; those that it does not have must have been left alone."""
    shared = {one.name for one in fields(FusedSettings)} & {one.name for one in fields(OracleSettings)}
    plain = OracleSettings()
    if settings.errors == "train":
        expected = "a fused oracle learns from errors on rows that are new to the classifier"
        raise SteepslopeError(f"expected holdout or crossfit with --fused, found 'train': {expected}", "errors")
    for name in (one.name for one in fields(settings) if one.name not in shared):
        if getattr(settings, name) != getattr(plain, name):
            found = f"expected none beside --fused, found {getattr(settings, name)!r}"
            raise SteepslopeError(found, name.replace("_", "-"))
    chosen = {} if budget is None else {"budget": budget}
    return {name: getattr(settings, name) for name in shared} | chosen
