"""What a gate decides on, images or outputs, by what a command names; and the decisions written where it says."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from steepslope.errors import SteepslopeError, located
from steepslope.files.folders import digest_of
from steepslope.files.progress import console
from steepslope.gate import Gate
from steepslope.gate.decisions import PREDICTED
from steepslope.gate.storage import digest_of_gate
from steepslope.nets.data.class_names import ClassNames
from steepslope.nets.data.specs import parse_data
from steepslope.nets.predict.cluster import FromCluster
from steepslope.nets.predict.from_images import FromImages
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.options import TABLES
from steepslope.outputs.predictions import groups_by_id
from steepslope.outputs.table import TableBlocks, require_ids_once
from steepslope.predict.chunks import FromOutputs, Source
from steepslope.predict.options import ClusterOptions, PredictOptions
from steepslope.predict.prediction_file import STDOUT, See, Summary, predict_to_file, predict_to_stdout, unseen
from steepslope.predict.sentences import sentences


def source_of(
    folder: Path,
    data: str | None,
    rows: TableBlocks | None,
    classifier: str | None,
    auxiliary: str | None,
    groups: str | None,
    backbones: Sequence[str],
    options: PredictOptions,
    read_groups: Callable[[Path], dict[str, str]] = groups_by_id,
    opinions: Mapping[str, str] | None = None,
) -> tuple[Source, dict[str, Any]]:
    """Return what a gate is to decide on, and all that decides the decisions, as JSON holds it.

    ``opinions`` are specs of nets, by name, where there are images.
    """
    gate = Gate.load(folder, backbones=backbones)
    if options.explain:
        gate.require_source().require_explainable()
    column, by_id = _groups_by(gate, groups, rows is not None, read_groups)
    source: Source
    if data is None:
        assert rows is not None
        if classifier is not None or auxiliary is not None:
            raise SteepslopeError("expected none with --outputs, which need no net", "classifier")
        if not rows.path.exists():
            raise SteepslopeError("no such file or folder", rows.path)
        read = rows if column is None else replace(rows, further=(column,))
        read.require_ids()
        source = FromOutputs(gate, read, options, by_id, column)
    else:
        spec = parse_data(data).look()
        live = gate.load_nets(classifier, auxiliary, opinions)
        names = None if gate.classes is None else {name: label for label, name in enumerate(gate.classes)}
        images = spec.open(names=ClassNames(names, live.classifier.classes, live.classifier.num_classes))
        with located(str(spec)):
            require_ids_once(pa.array([str(name) for name in images.ids], pa.string()))
        source = FromImages(gate, live, images, str(spec), options, by_id)
    return source, _key_of(source, folder)


def _key_of(source: Source, folder: Path) -> dict[str, Any]:
    """Return all that decides the decisions of the gate in a folder, as JSON holds it."""
    chosen = {name: value for name, value in asdict(source.options).items() if name not in ("workers", "verify")}
    key = {"gate": digest_of_gate(folder), **source.key(), **chosen, "groups": digest_of(source.groups)}
    return dict(json.loads(json.dumps(key)))


def write_decisions(
    gate: Gate, outputs: ClassifierOutputs, groups: Iterable[str] | None, out: Path, audit: int | None
) -> None:
    """Write a gate's decisions on outputs in memory, with groups (m,), to a file; an earlier one is replaced.

    The file is the one that ``predict --outputs --audit`` would write for a folder with these outputs.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        gate.save(folder / "gate")
        outputs.save(folder / "outputs")
        ids = range(len(outputs)) if outputs.ids is None else outputs.ids
        by_id = None if groups is None else dict(zip(map(str, ids), groups, strict=True))
        source = FromOutputs(gate, TableBlocks(folder / "outputs"), PredictOptions(audit=audit), by_id)
        predict_to_file(source, out, _key_of(source, folder / "gate"), replace=True)


def require_for_cluster(cluster: ClusterOptions, outputs: str | None, out: str) -> None:
    """Raise where Ray would be of no use, or could not do it, and for what is chosen about it without it."""
    if cluster.engine == "local":
        chosen = [one.name for one in fields(cluster) if getattr(cluster, one.name) != one.default]
        if chosen:
            raise SteepslopeError("expected none without --engine ray, of which it is an option", chosen[0])
        return
    if outputs is not None:
        raise SteepslopeError("expected --data with ray: outputs are judged on one machine", "engine")
    if out == STDOUT:
        raise SteepslopeError("expected a file to write to with ray, since its chunks come in any order", "out")


def on_engine(source: Source, cluster: ClusterOptions) -> Source:
    """Return what makes the same decisions on the engine that was chosen."""
    if cluster.engine == "ray" and isinstance(source, FromImages):
        return FromCluster(**vars(source), cluster=cluster)
    return source


def decide(source: Source, key: dict[str, Any], out: str, replace: bool, see: See = unseen) -> Summary:
    """Write the decisions to a file or to standard output, and tell what they come to, which is returned.

    ``see`` is shown the tables that go to standard output.
    """
    notice = console().print
    if out == STDOUT:
        summary = predict_to_stdout(source, notice, see)
    else:
        summary = predict_to_file(source, Path(out), key, replace, notice)
    for line in sentences(source.gate, summary):
        notice(line)
    if out != STDOUT:
        notice(f"decisions: {out}")
    return summary


def _groups_by(
    gate: Gate, groups: str | None, of_outputs: bool, read_groups: Callable[[Path], dict[str, str]]
) -> tuple[str | None, dict[str, str] | None]:
    """Return the column of the outputs that has the groups, or the group of each id; None where there are none."""
    if not gate.has_groups or gate.by == PREDICTED:
        if groups is not None:
            raise SteepslopeError("expected none, since the gate has none, or those of the predicted classes", "groups")
        return None, None
    named = groups or gate.by or ""
    if not named.endswith(TABLES):
        if not of_outputs:
            expected = f"expected a .csv or .parquet file with columns id and group, as the gate is by {gate.by}"
            raise SteepslopeError(f"{expected}, found {'none' if groups is None else named}", "groups")
        return named, None
    return None, read_groups(Path(named))
