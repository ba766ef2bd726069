"""`steepslope fit`: an oracle on cached outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from steepslope.cli._parser import showing_first
from steepslope.errors import SteepslopeError, located, number, require
from steepslope.files import made_by_command, say
from steepslope.oracle import Budget, ColumnSettings, FusedSettings, OracleSettings
from steepslope.outputs import ReadingOptions, require_files_for_options

if TYPE_CHECKING:
    from steepslope.oracle import FusedOracle, Oracle
    from steepslope.outputs import ClassifierOutputs


_MOST_HELD_BACK = 0.99
OF_IMAGES = tuple(f"no {array} in the outputs" for array in ("views", "dropout", "auxiliary"))  # tables lack these
COPIES: dict[str, str] = {
    "features": "copies of features were made instead",
    "none": "none could be made, because the logits are not linear in the features",
}  # what replaces augmented copies that were not extracted


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
    together: str | None = None,
    replace: bool = False,
) -> None:
    """Fit an oracle on cached classifier outputs: the fused one, or the paper's.

    Parameters
    ----------
    outputs
        Folder or file of outputs (.npz, .csv, .parquet) from whose errors the oracle learns, preferably unseen by the
        classifier.
    out
        Folder for the oracle.
    settings
        The oracle's loss and, for the paper's oracle, its inputs, head and training.
    reading
        How files of outputs are read.
    reference
        The classifier's training outputs, for inputs that look up neighbours or learn from labels.
    oracle
        fused: all evidence in the outputs that the budget allows. paper: the paper's oracle, a hyperplane on the named
        inputs, with its own head and training.
    budget
        What a prediction of a fused oracle may cost: free, only the classifier's forward pass; opinions, also those of
        other classifiers; auxiliary, also a second backbone; all, everything in the outputs; auto (the default), the
        cheapest of these that is as good as the best on the fit set.
    hold_back
        Fraction of the outputs, in [0, 1), drawn by the seed, that is not fitted on, so that calibrate can use it from
        the same outputs.
    together
        Which rows belong together, such as several images of one patient: a column of the outputs' file, a .csv or
        .parquet file with a column named group, or the word folder for the folder in which an image lies
        (class/patient7/3.png). They are held back together, and are in one fold of a fused oracle. Give calibrate the
        same.
    replace
        Replace an oracle that the folder holds already, fitted with other settings or on other outputs.
    """
    made = made_by_command("fit", locals())
    from steepslope.oracle import ORACLE, FusedOracle
    from steepslope.outputs import (
        ClassifierOutputs,
        read_table,
        rows_that_belong_together,
        rows_together,
        warn_of_dependent_outputs,
    )

    model = _oracle_to_fit(oracle, settings, budget)
    require("hold_back", hold_back, number(0, _MOST_HELD_BACK))
    (known,) = further_outputs_to_fit(reading, outputs, reference)
    table = read_table(Path(outputs), reading, (together,))
    fit_set = ClassifierOutputs.of_table(table.require_labels())
    groups = rows_that_belong_together(together, table)
    if hold_back > 0:
        codes = rows_together(fit_set, groups)
        order = np.random.default_rng(settings.seed).permutation(codes.max() + 1)
        fitted = order[: len(order) - round(hold_back * len(order))]
        rows = np.flatnonzero(np.isin(codes, fitted))
        fit_set = fit_set.subset(rows)
        groups = None if groups is None else groups[rows]
    with ORACLE.making(out, made, replace, say) as complete:
        if complete:
            return
        if groups is None:
            warn_of_dependent_outputs(fit_set)
        with located(outputs):
            if isinstance(model, FusedOracle):
                model.fit(fit_set, known, groups=groups)
            else:
                model.fit(fit_set, known)
        assert model.record_ is not None
        model.record_ = changed(model.record_, made=made)
        model.save(out)
    errors = len(fit_set) - int(fit_set.is_correct.sum())
    if isinstance(model, FusedOracle) and model.fitted_ is not None:
        show_fused_fit(model.fitted_, of_images=fit_set.is_extracted)
    kind = "fused" if oracle == "fused" else model.loss
    say(f"{out}: {kind} oracle fitted on {len(fit_set):,} predictions, {errors:,} of them wrong")


def further_outputs_to_fit(
    reading: ReadingOptions,
    outputs: str,
    *paths: str | None,
    judged: str | None = None,
    known: Sequence[str] | None = None,
) -> list[ClassifierOutputs | None]:
    """Return further outputs of the same classifier, such as a reference; None for a path that is None.

    Only the outputs at the path ``judged`` get opinions. ``known`` are the classes of answers.
    """
    from steepslope.outputs import ClassifierOutputs, require_folders_of_one_classifier

    require_files_for_options(reading, outputs, *paths)
    require_folders_of_one_classifier(outputs, *paths)
    others = reading.without_opinions
    return [
        None if path is None else ClassifierOutputs.load(path, reading if path == judged else others, known=known)
        for path in paths
    ]


def known_to_oracle(
    names: Sequence[str], reading: ReadingOptions, outputs: str
) -> tuple[tuple[str, ...] | None, ReadingOptions]:
    """Return the classes of the first oracle among some names, or None, and options that know its signals."""
    from steepslope.oracle import classes_of_oracle, names_oracle, signals_of_oracle

    oracle = next(filter(names_oracle, names), None)
    if oracle is None:
        return None, reading
    return classes_of_oracle(oracle), reading.with_signals(signals_of_oracle(oracle), outputs)


def show_fused_fit(fitted: Any, of_images: bool) -> None:
    """Print what each budget of a fused fit gains, what its pool has and lacks, and for images the lacking copies."""
    say(fitted.summary)
    for reason, names in fitted.missing.items():
        if of_images or reason not in OF_IMAGES:
            say(f"{reason}: without {', '.join(names)}")
    for line in _copies_in_fit(fitted.copies) if of_images else []:
        say(line)


def _copies_in_fit(copies: Mapping[str, str]) -> list[str]:
    """Return a line on what replaces augmented copies that were not extracted, or no line.

    >>> _copies_in_fit({"fit set": "extracted", "reference": "extracted"})
    []
    """
    missing = [f"the {name}: {COPIES[origin]}" for name, origin in copies.items() if origin in COPIES]
    advice = "extract --augment 1 keeps copies of changed images, which help more"
    if missing:
        return [f"no augmented copies of {' and of '.join(missing)} ({advice})"]
    return []


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
    for setting in fields(ColumnSettings):
        if setting.name not in FusedSettings.__dataclass_fields__:
            del chosen[setting.name]
            if (value := getattr(settings, setting.name)) != setting.default:
                expected = f"expected --oracle paper with it, found the fused oracle and {value!r}"
                raise SteepslopeError(expected, setting.name.replace("_", "-"))
    return FusedOracle(**chosen, budget=budget or FusedSettings.budget)
