"""`steepslope fit` and `steepslope search`: an oracle on cached outputs, with given slopes or the best ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields, replace as changed
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steepslope.checks import number, require
from steepslope.errors import SteepslopeError, located
from steepslope.files.artifact import MADE, made_by
from steepslope.files.folders import staged_folder, write_json
from steepslope.files.progress import console
from steepslope.oracle.settings import Budget, ColumnSettings, FusedSettings, OracleSettings
from steepslope.outputs.options import ReadingOptions, require_files

if TYPE_CHECKING:
    from steepslope.lab.search import Search
    from steepslope.oracle import Oracle
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
        What a prediction of a fused oracle may cost: free, no forward pass beside the classifier's; opinions, those of
        other classifiers; auxiliary, a second backbone as well; all, everything that the outputs hold; auto (the
        default), the cheapest of these that is as good as the best on the fit set.
    hold_back
        Fraction of the outputs, in [0, 1), drawn by the seed, that is not fitted on, so that calibrate can take it from
        the same outputs.
    replace
        Replace an oracle that the folder holds already, fitted with other settings or on other outputs.
    """
    made = made_by("fit", locals())
    from steepslope.oracle import FusedOracle, Oracle
    from steepslope.oracle.storage import ORACLE
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.copies import rows_together

    if budget is not None and not fused:
        raise SteepslopeError(f"expected none without --fused, found {budget!r}", "budget")
    oracle = FusedOracle(**_fused(settings, budget)) if fused else Oracle(**settings.as_json())
    require("hold_back", hold_back, number(0, MOST_HELD_BACK))
    (known,) = further_outputs(reading, outputs, reference)
    fit_set = ClassifierOutputs.load(outputs, reading, labelled=True)
    if hold_back > 0:
        codes = rows_together(fit_set)
        order = np.random.default_rng(settings.seed).permutation(codes.max() + 1)
        fitted = order[: len(order) - round(hold_back * len(order))]
        fit_set = fit_set.subset(np.flatnonzero(np.isin(codes, fitted)))
    with ORACLE.making(out, made, replace, console().print) as complete:
        if complete:
            return
        with naming(outputs, reference):
            oracle.fit(fit_set, known)
        assert oracle.record_ is not None
        oracle.record_ = changed(oracle.record_, made=made)
        oracle.save(out)
    errors = len(fit_set) - int(fit_set.is_correct.sum())
    if isinstance(oracle, FusedOracle) and oracle.fitted_ is not None:
        show_fused(oracle.fitted_, of_images=fit_set.classifier is not None)
    kind = "fused" if fused else oracle.loss
    console().print(f"{out}: {kind} oracle fitted on {len(fit_set):,} predictions, {errors:,} of them wrong")


def further_outputs(
    reading: ReadingOptions, outputs: str, *paths: str | None, judged: str | None = None
) -> list[ClassifierOutputs | None]:
    """Return outputs of the same classifier as some others, such as a reference; None where no path is given.

    Opinions belong to those that are ``judged`` alone.
    """
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.folder import require_one_classifier

    require_files(reading, outputs, *paths)
    require_one_classifier(outputs, *paths)
    others = reading.without_opinions
    return [
        None if path is None else ClassifierOutputs.load(path, reading if path == judged else others) for path in paths
    ]


@contextmanager
def naming(outputs: str, reference: str | None) -> Iterator[None]:
    """Put the outputs around an error of fitting to them, and the reference too where the error is about that."""
    try:
        yield
    except SteepslopeError as error:
        place = f"{outputs} and {reference}" if error.place == "reference" and reference else outputs
        raise error.within(place) from error


def show_fused(fitted: Any, of_images: bool) -> None:
    """Print what each budget of a fused fit gains, what the pool holds, and what it lacks, copies ``of_images`` too."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    screen = console()
    screen.print(fitted.summary, soft_wrap=True)
    missing = {reason: names for reason, names in fitted.missing.items() if of_images or reason not in OF_IMAGES}
    if missing:
        table = Table("why", "without", box=SIMPLE_HEAD, pad_edge=False)
        for reason, names in missing.items():
            table.add_row(reason, ", ".join(names))
        screen.print(table)
    for line in about_copies(fitted.copies) if of_images else []:
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
    own = {name: getattr(settings, name) for name in shared - {"parameters"}}
    return {**own, **settings.parameters, **chosen}


def search(
    outputs: str,
    out: str,
    settings: ColumnSettings,
    reading: ReadingOptions,
    valid: str | None = None,
    negatives: tuple[float, ...] = (1.0, 2.0, 3.0, 5.0, 8.0),
    positives: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0),
    alpha_pos: float = 1.0,
    criterion: str = "balanced",
    reference: str | None = None,
    replace: bool = False,
) -> None:
    """Find the slopes of the steep slope loss on held-out rows: first for wrong, then for correct predictions.

    An oracle is fitted with each pair of slopes, and the one with the best pair is kept.

    Parameters
    ----------
    outputs
        Folder or file of outputs (.npz, .csv, .parquet) to fit on, best of rows new to the classifier.
    out
        Folder for the result: search.json, table.md, and the chosen oracle in its subfolder oracle.
    settings
        The oracles' inputs, head and training.
    reading
        How files of outputs are read.
    valid
        Outputs of held-out rows, other than those of outputs and reference, by which the slopes are chosen. By default,
        a fifth of the outputs, drawn by the seed, is held back for that.
    negatives
        Slopes to try for wrong predictions (alpha-neg).
    positives
        Slopes to try for correct predictions (alpha-pos), with the best slope for wrong ones.
    alpha_pos
        Slope for correct predictions while that for wrong ones is searched for.
    criterion
        What is best: balanced, the mean of TPR and TNR where a trust logit above 0 means trust, or a metric by its
        name in metrics.json, such as auc, aurc or tnr. Of equally good slopes the smallest is chosen.
    reference
        The classifier's training outputs, for inputs that look up neighbours or learn from labels.
    replace
        Replace a search that the folder holds already, done with other settings or on other outputs.
    """
    made = made_by("search", locals())
    from steepslope.lab.search import SEARCH, search as search_slopes
    from steepslope.oracle import Oracle
    from steepslope.outputs import ClassifierOutputs

    build = partial(Oracle, "steep_slope", **asdict(settings))
    build()  # an unknown input or head is found before anything is read
    judging, known = further_outputs(reading, outputs, valid, reference, judged=valid)
    rows = ClassifierOutputs.load(outputs, reading, labelled=True)
    fit_set, held_out = _parts(rows, judging, settings.seed)
    if valid is not None:
        _require_new(held_out, valid, {outputs: rows} if known is None else {outputs: rows, str(reference): known})
    oracles: dict[tuple[float, float], Oracle] = {}

    def trust_logit_of(alpha_pos: float, alpha_neg: float) -> Any:
        oracle = oracles[alpha_pos, alpha_neg] = build(alpha_pos=alpha_pos, alpha_neg=alpha_neg)
        with naming(outputs, reference):
            oracle.fit(fit_set, known)
        with located(valid or outputs):
            return oracle.trust_logit(held_out)

    with SEARCH.making(out, made, replace, console().print) as complete:
        if complete:
            return
        found = search_slopes(
            trust_logit_of, held_out.is_correct,
            negatives=negatives, positives=positives, alpha_pos=alpha_pos, criterion=criterion,
        )  # fmt: skip
        _publish(Path(out), found, oracles[found.alpha_pos, found.alpha_neg], held_out, made)


def _parts(
    rows: ClassifierOutputs, held_out: ClassifierOutputs | None, seed: int
) -> tuple[ClassifierOutputs, ClassifierOutputs]:
    """Return the rows to fit on and the held-out ones: by default a fifth of all, of errors and others."""
    from steepslope.oracle.evidence.states import fold_of
    from steepslope.outputs.copies import rows_together

    if held_out is not None:
        return rows, held_out
    held_back = fold_of(rows.is_correct, seed, rows_together(rows)) == 0
    return rows.subset(~held_back), rows.subset(held_back)


def _require_new(held_out: ClassifierOutputs, valid: str, others: dict[str, ClassifierOutputs]) -> None:
    """Raise if held-out rows are among rows that something is fitted to."""
    from steepslope.outputs.row_hashes import shared_rows

    for path, other in others.items():
        if shared := shared_rows(held_out, other):
            why = "slopes are chosen by rows that nothing was fitted to"
            raise SteepslopeError(f"expected other rows than those of {path}, found {shared:,} of them: {why}", valid)


def _publish(out: Path, found: Search, oracle: Oracle, held_out: ClassifierOutputs, made: dict[str, Any]) -> None:
    """Write the search, its table and the chosen oracle together, and print the table and what was chosen."""
    from steepslope.lab.paper.tables import search_grid
    from steepslope.lab.search import CARD, ORACLE, TABLE
    from steepslope.report.grid import markdown
    from steepslope.report.screen import screen_of, show_grid

    rows, errors = len(held_out), int((~held_out.is_correct).sum())
    summary = (
        f"Chosen by {found.criterion}: alpha_pos {found.alpha_pos:g}, alpha_neg {found.alpha_neg:g} "
        f"(on {rows:,} held-out predictions, {errors:,} of them wrong)."
    )
    assert oracle.record_ is not None
    oracle.record_ = changed(oracle.record_, made=made)
    grid, screen = search_grid(found), screen_of()
    with staged_folder(out, last=CARD) as staging:
        oracle.save(staging / ORACLE)
        (staging / TABLE).write_text(f"{markdown(grid)}\n\n{summary}\n", encoding="utf-8")
        write_json(staging / CARD, {**found.as_json(), "held_out_rows": rows, "held_out_errors": errors, MADE: made})
    show_grid(grid, grid.columns, screen)
    for line in (summary, f"oracle: {out / ORACLE}"):
        screen.print(line, soft_wrap=True)
