"""`steepslope calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as changed
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steepslope.cli._fit import further_outputs_to_fit, known_to_oracle
from steepslope.cli._parser import showing_first
from steepslope.errors import SteepslopeError, explained, located
from steepslope.files import made_by_command, say
from steepslope.outputs import ReadingOptions
from steepslope.promise import Objectives

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from steepslope.gate import ConfidenceSource
    from steepslope.outputs import ClassifierOutputs, Table


_PREDICTED_COLUMN = "predicted"  # of a table of costs


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
    together: str | None = None,
    class_mix: str | None = None,
    error_costs: str | None = None,
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
        .csv or .parquet file with a column named group. Those with enough rows share delta, so they take more rows. Of
        several columns, such as sex,race, each combination gets a threshold, so the promise also holds for each sex and
        each race.
    together
        Which rows belong together, such as several images of one patient: a column of the outputs' file, a .csv or
        .parquet file with a column named group, or the word folder for the folder in which an image lies
        (class/patient7/3.png). One row of each counts. With groups, one row of each counts in every group, such as the
        answers about a document to several questions. If the oracle was fitted on one of these rows, none counts.
    class_mix
        File with the share of each class among the target rows, if it differs from that among these rows: lines such
        as fraud=0.05, or a .csv file with columns class,share. The promise is then about that mix. Of the objectives,
        only max_risk and delta can be used with it.
    error_costs
        Table (.csv or .parquet) of what particular errors cost, with --costs: a row for each predicted class, named in
        the column predicted, and a column for each true class. Where a cell is empty, an error costs as much as the
        first of --costs. Each predicted class gets its own threshold.
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
    objectives = changed(objectives, error_costs=_read_error_costs(error_costs))
    from steepslope.gate import GATE, Gate, Origin
    from steepslope.outputs import ClassifierOutputs, read_table, rows_that_belong_together, warn_of_dependent_outputs
    from steepslope.promise import CROSS

    classes, reading = known_to_oracle([oracle], reading, outputs)
    others = fit, reference, target
    held_out, known, unlabelled = further_outputs_to_fit(reading, outputs, *others, judged=target, known=classes)
    columns = [] if groups is None else groups.split(",")
    table = read_table(Path(outputs), reading, (*columns, together), classes)
    rows = ClassifierOutputs.of_table(table.require_labels())
    with GATE.making(out, made, replace, say) as complete:
        if complete:
            return
        source = _source_to_calibrate(oracle, rows, Path(outputs), held_out, known, backbones)
        named, seen = _groups_to_calibrate(columns, rows, table), source.fitted_on(rows)
        belonging = rows_that_belong_together(together, table)
        if belonging is not None:
            seen = np.isin(belonging, belonging[seen])
        if seen.all():
            expected = "expected rows that the oracle was not fitted on (fit --hold-back leaves some)"
            raise SteepslopeError(f"{expected}, found none among {len(rows):,}", "outputs")
        if seen.any():
            rows, named = rows.subset(np.flatnonzero(~seen)), None if named is None else named[~seen]
            belonging = None if belonging is None else belonging[~seen]
            say(f"{int(seen.sum()):,} rows that the oracle was fitted on are left out")
        if belonging is None:
            warn_of_dependent_outputs(rows)
        origin = Origin.from_folder(Path(outputs), table.nets)
        gate = Gate.of(
            source, rows, **vars(objectives), by=CROSS.join(columns) or None, groups=named, together=belonging,
            origin=origin, class_mix=None if class_mix is None else _read_class_mix_to_calibrate(Path(class_mix)),
            target=unlabelled,
        )  # fmt: skip
        gate.save(out, made)
    print(gate.sentences())
    nothing = "" if any(one.is_given for one in gate.promises) else ", which accepts nothing"
    say(f"{out}: gate calibrated on {len(rows):,} predictions{nothing}")


@showing_first("gate", "outputs", "max_risk", "out")
def adapt(
    gate: str,
    outputs: str,
    out: str,
    reading: ReadingOptions,
    max_risk: float | None = None,
    together: str | None = None,
    backbones: tuple[str, ...] = (),
    replace: bool = False,
) -> None:
    """Go on after a change: make a gate for a new source from 50 to 500 labelled rows of it.

    A quarter of the rows, at most 100, adapts the ranking, and the others calibrate. The new gate promises the lowest
    risk that they support: the earlier gate's own, or 2, 4, 8 … times that, up to 50 %. It says how many more labels
    the next lower risk would take.

    Parameters
    ----------
    gate
        Folder of the earlier gate (calibrate), which stays as it is.
    outputs
        Folder or file of labelled outputs of the same classifier. Draw the rows of the new source at random, not by the
        gate's decisions.
    out
        Folder for the new gate.
    reading
        How files of outputs are read.
    max_risk
        The one risk to promise, in (0, 1), in place of several.
    together
        As in calibrate. All rows of a thing adapt, and one of them calibrates.
    backbones
        Specs (module:…) of your own code that an oracle on images may run; a file cannot name it.
    replace
        Replace a gate that the folder holds already, made with other options or on other outputs.
    """
    made = made_by_command("adapt", locals())
    from steepslope.gate import GATE, Gate
    from steepslope.nets.training import load_oracle, open_images_of_outputs
    from steepslope.outputs import ClassifierOutputs, read_table, rows_that_belong_together, warn_of_dependent_outputs

    images = partial(open_images_of_outputs, path=Path(outputs))
    earlier = Gate.load(gate, partial(load_oracle, backbones=backbones, images=images))
    table = read_table(Path(outputs), reading, (together,), earlier.class_names)
    rows = ClassifierOutputs.of_table(table.require_labels())
    with GATE.making(out, made, replace, say) as complete:
        if complete:
            return
        belonging = rows_that_belong_together(together, table)
        if belonging is None:
            warn_of_dependent_outputs(rows)
        with located(outputs):
            adapted = earlier.adapted(rows, max_risk, together=belonging)
        adapted.save(out, made)
    print(adapted.sentences())
    say(f"{out}: gate adapted to {len(rows):,} predictions of a new source")


def _source_to_calibrate(
    name: str,
    rows: ClassifierOutputs,
    path: Path,
    held_out: ClassifierOutputs | None,
    reference: ClassifierOutputs | None,
    backbones: Sequence[str],
) -> ConfidenceSource:
    """Return the oracle in a folder, or the score with a name, fitted to other outputs if it learns."""
    from steepslope.gate import ConfidenceSource
    from steepslope.nets.training import load_oracle, open_images_of_outputs
    from steepslope.oracle.evidence import require_other_rows
    from steepslope.report import Resources, fit_set_for_confidences, oracle_for_confidences
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


def _read_class_mix_to_calibrate(path: Path) -> dict[str, float]:
    """Read the share of each class: lines class=share, or a .csv file with two columns, class,share."""
    from steepslope.outputs import read_mapping

    lines = read_mapping(path, "class=share").items()
    shares = {name: share for name, share in lines if (name.lower(), share) != ("class", "share")}
    with explained("expected a number for each class", path, (TypeError, ValueError)):
        return {name: float(share or "none") for name, share in shares.items()}


def _read_error_costs(name: str | None) -> dict[str, dict[str, float]] | None:
    """Read what particular errors cost: by predicted class, in rows, then by true class, in columns; None for None."""
    if name is None:
        return None
    from steepslope.outputs import TABLES, read_table_columns, require_ids_once, table_file

    path = Path(name)
    if path.suffix.lower() not in TABLES:
        raise SteepslopeError("expected a .csv or .parquet file", path)
    file = table_file(path)
    table = read_table_columns(path, file.names)
    cells = {name: [texts.distinct[code] for code in texts.codes] for name, texts in table.texts.items()}
    if _PREDICTED_COLUMN not in cells:
        raise SteepslopeError(f"expected a column {_PREDICTED_COLUMN}, found {', '.join(file.names)}", path)
    predicted = cells.pop(_PREDICTED_COLUMN)
    with located(path):
        require_ids_once(predicted, _PREDICTED_COLUMN)
    with explained("expected a number, or nothing, in each cell", path, ValueError):
        return {
            name: {true: float(column[row]) for true, column in cells.items() if column[row].strip()}
            for row, name in enumerate(predicted)
        }


def _groups_to_calibrate(columns: Sequence[str], rows: ClassifierOutputs, table: Table) -> NDArray[np.str_] | None:
    """Return the group of each prediction, (n,), by one or several columns; None without any or for predicted."""
    from steepslope.gate import PREDICTED
    from steepslope.outputs import groups_of_predictions
    from steepslope.promise import crossed_groups

    if not columns or [*columns] == [PREDICTED]:
        return None
    names = {}
    for column in columns:
        if column in ("label", PREDICTED, table.options.label_column):
            expected = "expected groups that are known for a new input: predicted alone, or columns"
            raise SteepslopeError(f"{expected}, found {column}", "groups")
        groups = groups_of_predictions(column, rows, table)
        names[column] = np.array(groups.names, dtype=np.str_)[groups.codes]
    return crossed_groups(names, len(rows))
