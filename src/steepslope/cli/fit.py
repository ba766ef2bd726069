"""`steepslope fit`: an oracle on cached outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace as changed
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from steepslope.checks import number, require
from steepslope.cli.parser import showing_first
from steepslope.errors import SteepslopeError
from steepslope.files.artifact import made_by_command
from steepslope.files.progress import say
from steepslope.oracle.settings import Budget, ColumnSettings, FusedSettings, OracleSettings
from steepslope.outputs.options import ReadingOptions, require_files_for_options

if TYPE_CHECKING:
    from steepslope.oracle import FusedOracle, Oracle
    from steepslope.outputs import ClassifierOutputs


ADVICE = (
    "extract --augment 1 keeps those of changed images, which are nearer to what an oracle meets where images look "
    "different"
)
MOST_HELD_BACK = 0.99
OF_IMAGES = tuple(f"no {array} in the outputs" for array in ("views", "dropout", "auxiliary"))  # which tables lack
COPIES: dict[str, str] = {
    "features": "copies of features were made instead",
    "none": "none could be made, since no logits that are linear in features were found",
}  # what is said where augmented copies were not extracted, by where they come from


@showing_first("outputs", "reference", "opinion", "budget", "hold_back", "oracle", "loss", "out")
def fit(
    outputs: str,
    out: str,
    settings: OracleSettings,
    reading: ReadingOptions,
    reference: str | None = None,
    oracle: Literal["fused", "paper"] = "fused",
    budget: Budget | None = None,
    hold_back: float = 0.0,
    replace: bool = False,
) -> None:
    """Fit an oracle on cached classifier outputs: the fused one, or the paper's.

    Parameters
    ----------
    outputs
        Folder or file of outputs (.npz, .csv, .parquet) in which errors are seen, best of rows new to the classifier.
    out
        Folder for the oracle.
    settings
        The oracle's loss and, for the paper's, its inputs, head and training.
    reading
        How files of outputs are read.
    reference
        The classifier's training outputs, for inputs that look up neighbours or learn from labels.
    oracle
        fused: all evidence that the outputs hold and the budget pays for. paper: the paper's, a hyperplane on the
        inputs that are named, with a head and training of its own.
    budget
        What a prediction of a fused oracle may cost: free, no forward pass but the classifier's; opinions, those of
        other classifiers; auxiliary, a second backbone as well; all, everything that the outputs hold; auto (the
        default), the cheapest of these that is as good as the best on the fit set.
    hold_back
        Fraction of the outputs, in [0, 1), drawn by the seed, that is not fitted on, so that calibrate can take it from
        the same outputs.
    replace
        Replace an oracle that the folder holds already, fitted with other settings or on other outputs.
    """
    made = made_by_command("fit", locals())
    from steepslope.oracle import FusedOracle
    from steepslope.oracle.storage import ORACLE
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.copies import rows_together

    model = _oracle_to_fit(oracle, settings, budget)
    require("hold_back", hold_back, number(0, MOST_HELD_BACK))
    (known,) = further_outputs_to_fit(reading, outputs, reference)
    fit_set = ClassifierOutputs.load(outputs, reading, labelled=True)
    if hold_back > 0:
        codes = rows_together(fit_set)
        order = np.random.default_rng(settings.seed).permutation(codes.max() + 1)
        fitted = order[: len(order) - round(hold_back * len(order))]
        fit_set = fit_set.subset(np.flatnonzero(np.isin(codes, fitted)))
    with ORACLE.making(out, made, replace, say) as complete:
        if complete:
            return
        with naming_outputs_to_fit(outputs, reference):
            model.fit(fit_set, known)
        assert model.record_ is not None
        model.record_ = changed(model.record_, made=made)
        model.save(out)
    errors = len(fit_set) - int(fit_set.is_correct.sum())
    if isinstance(model, FusedOracle) and model.fitted_ is not None:
        show_fused_fit(model.fitted_, of_images=fit_set.classifier is not None)
    kind = "fused" if oracle == "fused" else model.loss
    say(f"{out}: {kind} oracle fitted on {len(fit_set):,} predictions, {errors:,} of them wrong")


def further_outputs_to_fit(
    reading: ReadingOptions,
    outputs: str,
    *paths: str | None,
    judged: str | None = None,
    known: Sequence[str] | None = None,
) -> list[ClassifierOutputs | None]:
    """Return outputs of the same classifier as some others, such as a reference; None where no path is given.

    Opinions belong to those that are ``judged`` alone; ``known`` are the classes of answers.
    """
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.folder import require_folders_of_one_classifier

    require_files_for_options(reading, outputs, *paths)
    require_folders_of_one_classifier(outputs, *paths)
    others = reading.without_opinions
    return [
        None if path is None else ClassifierOutputs.load(path, reading if path == judged else others, known=known)
        for path in paths
    ]


@contextmanager
def naming_outputs_to_fit(outputs: str, reference: str | None) -> Iterator[None]:
    """Put the outputs around an error of fitting to them, and the reference too where the error is about that."""
    try:
        yield
    except SteepslopeError as error:
        place = f"{outputs} and {reference}" if error.place == "reference" and reference else outputs
        raise error.within(place) from error


def show_fused_fit(fitted: Any, of_images: bool) -> None:
    """Print what each budget of a fused fit gains, what the pool holds, and what it lacks, copies ``of_images`` too."""
    say(fitted.summary)
    for reason, names in fitted.missing.items():
        if of_images or reason not in OF_IMAGES:
            say(f"{reason}: without {', '.join(names)}")
    for line in copies_in_fit(fitted.copies) if of_images else []:
        say(line)


def copies_in_fit(copies: Mapping[str, str]) -> list[str]:
    """Return a line on what stands in for augmented copies that were not extracted; none where all were.

    >>> copies_in_fit({"fit set": "extracted", "reference": "extracted"})
    []
    """
    missing = [f"the {name}: {COPIES[origin]}" for name, origin in copies.items() if origin in COPIES]
    return [f"no augmented copies of {' and of '.join(missing)} ({ADVICE})"] if missing else []


def _oracle_to_fit(kind: str, settings: OracleSettings, budget: Budget | None) -> Oracle | FusedOracle:
    """Return the oracle of a kind; raise for options that only the other kind has."""
    from steepslope.oracle import FusedOracle, Oracle

    if kind == "paper":
        if budget is not None:
            raise SteepslopeError(f"expected none with --oracle paper, found {budget!r}", "budget")
        return Oracle(**settings.as_json())
    if settings.errors == "train":
        expected = "a fused oracle learns from errors on rows that are new to the classifier"
        raise SteepslopeError(f"expected holdout or crossfit, or --oracle paper, found 'train': {expected}", "errors")
    chosen = settings.as_json()
    for one in fields(ColumnSettings):
        if one.name not in FusedSettings.__dataclass_fields__:
            del chosen[one.name]
            if (found := getattr(settings, one.name)) != one.default:
                expected = f"expected --oracle paper with it, found the fused oracle and {found!r}"
                raise SteepslopeError(expected, one.name.replace("_", "-"))
    return FusedOracle(**chosen, budget=budget or FusedSettings.budget)
