"""`steepslope calibrate`."""

from pathlib import Path

from steepslope.files.artifact import made_by
from steepslope.files.progress import console
from steepslope.gate.aims import Aims
from steepslope.outputs.reading import ReadingOptions, require_files


def calibrate(
    outputs: str,
    out: str,
    aims: Aims,
    reading: ReadingOptions,
    oracle: str = "mcp",
    fit: str | None = None,
    reference: str | None = None,
    by: str | None = None,
    backbones: tuple[str, ...] = (),
    seed: int = 0,
    replace: bool = False,
) -> None:
    """Find the threshold from which on predictions may be used, with a promise of how many of them are wrong.

    Parameters
    ----------
    outputs
        Folder or file of outputs (.npz, .csv, .parquet) with labels, of rows that nothing was fitted on or chosen by.
        They have to be drawn as the predictions to come will be. Rows that the oracle was fitted on are left out.
    out
        Folder for the gate: all that predict needs but the classifier's weights.
    aims
        What is promised.
    reading
        How files of outputs are read.
    oracle
        Folder of a fitted oracle, or the name of a score, such as mcp.
    fit
        Outputs of held-out rows, other than those to calibrate on, to which a score that learns from errors is fitted
        (temperature_scaled_mcp, max_logit_pnorm, rel_u, knn_density_ratio), and by which any score's thresholds are
        spaced.
    reference
        The classifier's training outputs, from whose features some scores learn (trust_score, knn_distance,
        mahalanobis_ratio).
    by
        A threshold and a promise for each group: predicted (each predicted class), a column of the outputs' file, or a
        .csv or .parquet file with a column named group. They share delta, so they take more rows.
    backbones
        Specs (module:…) of code of your own that an oracle on images may run; a file cannot name it.
    seed
        Seed of what is drawn: rows that space the thresholds, where nothing else does.
    replace
        Replace a gate that the folder holds already, calibrated otherwise or on other outputs.
    """
    made = made_by("calibrate", locals())
    from steepslope.cli.gates import groups_for, judge_for, unseen
    from steepslope.files.folders import locked
    from steepslope.gate import Gate, Origin
    from steepslope.gate.storage import GATE
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.folder import require_one_classifier

    require_files(reading, outputs, fit, reference)
    require_one_classifier(outputs, fit, reference)
    rows = ClassifierOutputs.load(outputs, reading, labelled=True)
    rows.require_labels()
    held_out, known = (None if path is None else ClassifierOutputs.load(path, reading) for path in (fit, reference))
    with locked(out):
        if GATE.is_complete(out, made, replace):
            console().print(f"{out}: already complete")
            return
        judge = judge_for(oracle, rows, Path(outputs), held_out, known, backbones)
        groups, seen = groups_for(by, rows, Path(outputs), reading), judge.fitted_on(rows)
        if seen.any():
            rows, groups = unseen(rows, groups, seen, console().print)
        gate = Gate.of(
            judge, rows, aims.max_risk, aims.delta, by=by, groups=groups, origin=Origin.of_folder(Path(outputs)),
            seed=seed, coverage=aims.coverage, costs=aims.costs, reject=aims.reject,
        )  # fmt: skip
        gate.save(out, made)
    print(gate.words())
    console().print(f"{out}: gate calibrated on {len(rows):,} predictions")
