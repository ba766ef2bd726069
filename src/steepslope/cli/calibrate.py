"""`steepslope calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steepslope.cli.fit import further_outputs_to_fit
from steepslope.cli.parser import showing_first
from steepslope.errors import SteepslopeError, explained, located
from steepslope.files.artifact import made_by_command
from steepslope.files.progress import say
from steepslope.outputs.options import ReadingOptions
from steepslope.promise.objectives import Objectives

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from steepslope.gate.confidence_source import ConfidenceSource
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.table import Table


@showing_first("oracle", "outputs", "max_risk", "out")
def calibrate(
    outputs: str,
    out: str,
    objectives: Objectives,
    reading: ReadingOptions,
    oracle: str = "mcp",
    fit: str | None = None,
    reference: str | None = None,
    groups: str | None = None,
    class_mix: str | None = None,
    target: str | None = None,
    backbones: tuple[str, ...] = (),
    replace: bool = False,
) -> None:
    """Find the threshold above which predictions may be used, with a promise about how many of them are wrong.

    Parameters
    ----------
    outputs
        Folder or file of outputs (.npz, .csv, .parquet) with labels. Nothing may have been fitted on its rows, or
        chosen by them, and they have to be drawn as later predictions will be. Rows that the oracle was fitted on are
        left out. Out-of-class rows (label -1 or unknown) count as wrong.
    out
        Folder for the gate: all that predict needs, except the classifier's weights.
    objectives
        What is promised.
    reading
        How files of outputs are read.
    oracle
        Folder of a fitted oracle, or the name of a score, such as mcp.
    fit
        Outputs of held-out rows, other than the calibration rows. A score that learns from errors is fitted to them
        (temperature_scaled_mcp, max_logit_pnorm), and any score's thresholds come from them.
    reference
        The classifier's training outputs, from whose features some scores learn (trust_score, knn_distance,
        mahalanobis_ratio, sirc).
    groups
        A threshold and a promise for each group: predicted (each predicted class), a column of the outputs' file, or a
        .csv or .parquet file with a column named group. They share delta, so they take more rows.
    class_mix
        File with the share of each class among the target rows, if it differs from that among these rows: lines such
        as fraud=0.05, or a .csv file with columns class,share. The promise is then about that mix. Of the objectives,
        only max_risk and delta can be used with it.
    target
        Outputs of target rows without labels, if their class mix differs from that of the calibration rows. The promise
        holds for the mix of these rows, which is estimated. It needs at least 200 of these rows, and 30 calibration
        rows of each class. To accept much, it needs some hundreds of calibration rows of each class. If no mix explains
        the predictions for these rows, no gate is made.
    backbones
        Specs (module:…) of your own code that an oracle on images may run; a file cannot name it.
    replace
        Replace a gate that the folder holds already, calibrated with other options or on other outputs.
    """
    made = made_by_command("calibrate", locals())
    from steepslope.gate import Gate
    from steepslope.gate.confidence_source import Origin
    from steepslope.gate.storage import GATE
    from steepslope.oracle.storage import classes_of_oracle, names_oracle
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.dependence import warn_of_dependent_outputs
    from steepslope.outputs.table import read_table

    classes = classes_of_oracle(oracle) if names_oracle(oracle) else None
    others = fit, reference, target
    held_out, known, unlabelled = further_outputs_to_fit(reading, outputs, *others, judged=target, known=classes)
    table = read_table(Path(outputs), reading, (groups,), classes)
    rows = ClassifierOutputs.of_table(table.require_labels())
    with GATE.making(out, made, replace, say) as complete:
        if complete:
            return
        source = source_to_calibrate(oracle, rows, Path(outputs), held_out, known, backbones)
        named, seen = groups_to_calibrate(groups, rows, table), source.fitted_on(rows)
        if seen.all():
            expected = "expected rows that the oracle was not fitted on (fit --hold-back leaves some)"
            raise SteepslopeError(f"{expected}, found none among {len(rows):,}", "outputs")
        if seen.any():
            rows, named = rows.subset(np.flatnonzero(~seen)), None if named is None else named[~seen]
            say(f"{int(seen.sum()):,} rows that the oracle was fitted on are left out")
        warn_of_dependent_outputs(rows)
        origin = Origin.from_folder(Path(outputs), table.nets)
        gate = Gate.of(
            source, rows, **vars(objectives), by=groups, groups=named, origin=origin,
            class_mix=None if class_mix is None else read_class_mix_to_calibrate(Path(class_mix)), target=unlabelled,
        )  # fmt: skip
        gate.save(out, made)
    print(gate.sentences())
    nothing = "" if any(one.is_given for one in gate.promises) else ", which accepts nothing"
    say(f"{out}: gate calibrated on {len(rows):,} predictions{nothing}")


def source_to_calibrate(
    name: str,
    rows: ClassifierOutputs,
    path: Path,
    held_out: ClassifierOutputs | None,
    reference: ClassifierOutputs | None,
    backbones: Sequence[str],
) -> ConfidenceSource:
    """Return the oracle in a folder, or the score with a name, fitted to other outputs if it learns."""
    from steepslope.gate.confidence_source import ConfidenceSource
    from steepslope.nets.training.images import open_images_of_outputs
    from steepslope.nets.training.loading import load_oracle
    from steepslope.oracle.evidence.fitting import require_other_rows
    from steepslope.report.confidences import Resources, fit_set_for_confidences, oracle_for_confidences
    from steepslope.scores import SCORES

    oracle = oracle_for_confidences(
        name, partial(load_oracle, backbones=backbones, images=partial(open_images_of_outputs, path=path))
    )
    if oracle is not None:
        with located(f"oracle {name}"):
            return ConfidenceSource.from_model(oracle, rows.num_classes)
    fit_set = fit_set_for_confidences(name, rows, Resources(held_out, reference))
    if held_out is not None:
        require_other_rows("fit", rows, held_out, "nothing may be fitted on those to calibrate on")
    with located(name):
        return ConfidenceSource.from_model(SCORES[name]().fit(fit_set), rows.num_classes, held_out)


def read_class_mix_to_calibrate(path: Path) -> dict[str, float]:
    """Read the share of each class: lines class=share, or a .csv file with two columns, class,share."""
    from steepslope.outputs.opinion_files import read_mapping

    lines = read_mapping(path, "class=share").items()
    shares = {name: share for name, share in lines if (name.lower(), share) != ("class", "share")}
    with explained("expected a number for each class", path, (TypeError, ValueError)):
        return {name: float(share or "none") for name, share in shares.items()}


def groups_to_calibrate(by: str | None, rows: ClassifierOutputs, table: Table) -> NDArray[np.str_] | None:
    """Return the group of each prediction, (n,), by the option's value; None without groups or for predicted."""
    from steepslope.gate.decisions import PREDICTED, names_of_classes
    from steepslope.outputs.predictions import groups_of_predictions

    if by is None or by == PREDICTED:
        return None
    if by in ("label", table.options.label_column):
        expected = "expected groups that are known for a new input, such as predicted or a column"
        raise SteepslopeError(f"{expected}, found the true class", "groups")
    groups = groups_of_predictions(by, rows, table)
    assert groups is not None
    return names_of_classes(np.asarray(groups.codes), None if groups.names is None else tuple(groups.names))
