"""A gate's decisions on the outputs that a command names, written to a file, with a summary in sentences."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from steepslope.errors import SteepslopeError
from steepslope.files import digest_of, say
from steepslope.gate import CHANGE_UNKNOWN, NO_CHANGE, PREDICTED, Gate, digest_of_gate, stopped_sentence
from steepslope.outputs import (
    FOLDER,
    TABLES,
    ClassifierOutputs,
    ReadingOptions,
    TableBlocks,
    is_signal_array,
    opinion_of_array,
    read_groups_by_id,
)
from steepslope.predict._chunks import FromOutputs, Source
from steepslope.predict._options import PredictOptions
from steepslope.predict._prediction_file import Summary, predict_to_file
from steepslope.promise import CROSS, AnyGroups, as_percent, crossed_groups

_FURTHER_COUNTS = {
    "failed": "of these could not be read",
    "lacking": "lack an opinion that nearly all calibration rows had",
    "unanswered": "with an answer that is none of the classes",
    "stopped": "that would be accepted otherwise",
    "below_limit": "below the limit of --follow",
    "audited": "to label (column audit)",
}  # fields of a summary


def source_of_outputs(
    gate: Gate, rows: TableBlocks, groups: str | None, reading: ReadingOptions, options: PredictOptions
) -> FromOutputs:
    """Return the source of decisions on the rows of some outputs, whose groups come from a column or a file."""
    if not rows.path.exists():
        raise SteepslopeError("no such file or folder", rows.path)
    columns, by_id = groups_of_source(gate, groups, True, reading)
    together = things_by_id(options, reading)
    named = [] if together is not None or options.together in (None, FOLDER) else [options.together]
    signals = [opinion_of_array(name) for name in filter(is_signal_array, gate.require_source().arrays)]
    options_of_rows = rows.options.with_signals(signals, rows.path)
    read = replace(rows, options=options_of_rows, further=(*columns, *named), known=gate.class_names)
    read.require_ids()
    return FromOutputs(gate, read, options, by_id, columns, together)


def key_of_source(source: Source, folder: Path) -> dict[str, Any]:
    """Return all that determines the decisions of the gate in a folder, as JSON."""
    chosen = {name: value for name, value in asdict(source.options).items() if name not in ("workers", "verify")}
    key = {"gate": digest_of_gate(folder), **source.key(), **chosen, "groups": digest_of(source.groups)}
    key |= {} if source.together is None else {"things": digest_of(source.together)}
    key |= {} if source.gate.stopped is None else {"stopped": source.gate.stopped}
    return dict(json.loads(json.dumps(key)))


def write_decisions_on_outputs(
    gate: Gate, outputs: ClassifierOutputs, groups: AnyGroups | None, out: Path, options: PredictOptions
) -> Summary:
    """Write a gate's decisions on outputs in memory, with groups (m,), to a file, and replace an earlier one.

    It is the same file as ``predict --outputs`` would write for a folder with these outputs.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        gate.save(folder / "gate")
        outputs.save(folder / "outputs")
        ids = range(len(outputs)) if outputs.ids is None else outputs.ids
        names = crossed_groups(groups, len(outputs), gate.by)
        by_id = None if names is None else dict(zip(map(str, ids), names.tolist(), strict=True))
        source = FromOutputs(gate, TableBlocks(folder / "outputs"), options, by_id)
        return predict_to_file(source, out, key_of_source(source, folder / "gate"), replace=True)


def write_source_decisions(source: Source, key: dict[str, Any], file: Path, replace: bool) -> Summary:
    """Write the decisions to a file, and say their summary, which is returned."""
    summary = predict_to_file(source, file, key, replace, say)
    for line in [*_decision_sentences(source.gate, summary), *_change_sentences(source.gate, summary)]:
        say(line)
    return summary


def _decision_sentences(gate: Gate, summary: Summary) -> list[str]:
    """Return a sentence with the numbers of decisions, and one that says why if the gate promises nothing."""
    review = summary.rows - summary.accepted - summary.rejected
    counts = [f"{summary.accepted:,} accepted ({as_percent(summary.accepted / max(1, summary.rows))})"]
    counts += [f"{summary.rejected:,} rejected"] if gate.rejection is not None else []
    counts.append(f"{review:,} to review")
    words = _FURTHER_COUNTS if gate.stopped is None else {**_FURTHER_COUNTS, "stopped": "only because it is stopped"}
    counts += [f"{getattr(summary, name):,} {text}" for name, text in words.items() if getattr(summary, name)]
    left = []
    if summary.unreviewed:
        over = f"{summary.unreviewed:,} of the {review:,} to review are more than can be reviewed"
        left = [f"{over}. About {summary.unreviewed_wrong:,.0f} of these are wrong, by P(correct)."]
    nothing = [] if any(each.is_given for each in gate.promises) else [f"This gate accepts nothing: {gate.advice}."]
    return [f"{summary.rows:,} predictions: {', '.join(counts)}.", *left, *nothing]


def _change_sentences(gate: Gate, summary: Summary) -> list[str]:
    """Return whether inputs have changed, or that the gate is stopped, in a sentence.

    There is none if the gate promises nothing, or no row was judged.
    """
    if gate.stopped is not None:
        return [stopped_sentence(gate.stopped)]
    if summary.rows == summary.failed or not any(each.is_given for each in gate.promises):
        return []
    return [summary.change or (CHANGE_UNKNOWN if gate.calibration_rows is None else NO_CHANGE)]


def things_by_id(options: PredictOptions, reading: ReadingOptions) -> dict[str, str] | None:
    """Return the name of what each id belongs to, if a file tells it, else None."""
    named = options.together or ""
    if named.endswith(TABLES):
        return read_groups_by_id(Path(named), reading)
    return None


def groups_of_source(
    gate: Gate, groups: str | None, has_columns: bool, reading: ReadingOptions
) -> tuple[tuple[str, ...], dict[str, str] | None]:
    """Return the columns of the outputs that have the groups, or none, and the group of each id, or None."""
    if not gate.has_groups or gate.by == PREDICTED:
        if groups is not None:
            raise SteepslopeError("expected none, since the gate has none, or those of the predicted classes", "groups")
        return (), None
    named = groups or gate.by or ""
    if not named.endswith(TABLES):
        by = (gate.by or "").split(CROSS)
        columns = tuple(by if groups is None else groups.split(","))
        if len(columns) != len(by):
            raise SteepslopeError(f"expected columns for {gate.by}, found {named}", "groups")
        if not has_columns:
            expected = f"expected a .csv or .parquet file with columns id and group, as the gate is by {gate.by}"
            raise SteepslopeError(f"{expected}, found {'none' if groups is None else named}", "groups")
        return columns, None
    return (), read_groups_by_id(Path(named), reading)
