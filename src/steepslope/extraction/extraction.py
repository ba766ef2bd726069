"""Run a frozen classifier over images once, so that everything later works on arrays.

Outputs are written in shards of fixed rows, each by an atomic rename, and joined at the end with the manifest last.
Killed at any moment and run again, an extraction goes on after its whole shards and ends in the same bytes. Several
processes share the shards; the first joins them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.onnx_net import OnnxNet
from steepslope.data.datasets import DatasetSpec, holdout_split
from steepslope.data.images import ClassNames, Dataset
from steepslope.errors import SteepslopeError
from steepslope.extraction.engine import Engine, launched, on_backend, together
from steepslope.extraction.noise import ESTIMATES
from steepslope.extraction.options import ExtractionOptions
from steepslope.extraction.shards import STOPPED, join, plan, write_shards
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.folder import MANIFEST, VERSION
from steepslope.utilities.files import read_json, staged_folder, write_json
from steepslope.utilities.progress import console

SHARDS = ".shards"
KEY = "key.json"


def extract_to_folder(
    classifier: Classifier,
    spec: DatasetSpec,
    out: Path,
    options: ExtractionOptions | None = None,
    classes: dict[str, int] | None = None,
) -> dict[Path, ClassifierOutputs]:
    """Write the outputs of a data set to ``out``, or of its three splits to its subfolders; see :func:`extract`."""
    named = named_data(classifier, spec, classes)
    sources = {out / name: (f"{spec.name}:{name}" if name else str(spec), data) for name, data in named.items()}
    return extract(classifier, sources, options or ExtractionOptions())


def said(outputs: ClassifierOutputs) -> str:
    """Return what to say of finished outputs."""
    return f"{len(outputs):,} predictions, accuracy {100 * outputs.is_correct.mean():.2f} %"


def extract(
    classifier: Classifier,
    sources: Mapping[Path, tuple[str, Dataset]],
    options: ExtractionOptions,
    say: Callable[[ClassifierOutputs], str] = said,
) -> dict[Path, ClassifierOutputs]:
    """Write the outputs of data sets, each with its name, to their folders, or find them complete there.

    All that can be checked beforehand is checked before the first is written. ``say`` describes each of them.

    Raises
    ------
    SteepslopeError
        If a folder holds outputs of another classifier, transform, data set or option; if a label is none of the
        classifier's; or, unless errors are skipped, if an image cannot be read.
    """
    with launched(options) as fabric:
        complete = _extract_all(classifier, sources, options, fabric)
        outputs = {out: ClassifierOutputs.load(out) for out in sources}
        if fabric.is_global_zero:
            for out in sources:
                console().print(f"{out}: {'already complete, ' if complete[out] else ''}{say(outputs[out])}")
        return outputs


def _extract_all(
    classifier: Classifier, sources: Mapping[Path, tuple[str, Dataset]], options: ExtractionOptions, fabric: Fabric
) -> dict[Path, bool]:
    """Extract what is missing; return which were complete before."""
    with together(fabric):
        classifier = classifier if classifier.num_classes else classifier.with_transform()
        run = on_backend(classifier, options, fabric)
        keys = {out: extraction_key(run, data, source, options) for out, (source, data) in sources.items()}
    _require_one_task(fabric, keys)
    with together(fabric):
        complete = {out: is_complete(out, key) for out, key in keys.items()}
        for source, data in sources.values():
            if len(data) == 0:
                raise SteepslopeError(f"{source}: expected images, found none")
            classifier.check_labels(data.labels, source)
        engine = Engine.on(run, options, fabric)
    complete = fabric.broadcast(complete)
    for out, (source, data) in sources.items():
        if not complete[out]:
            _extract(engine, run, data, source, out, keys[out])
    engine.net.cpu()
    return complete


def _require_one_task(fabric: Fabric, keys: dict[Path, dict[str, Any]]) -> None:
    """Raise unless all processes have the same classifier, data and options before them."""
    with together(fabric):
        first: dict[Path, dict[str, Any]] = fabric.broadcast(keys)
        for out, key in keys.items():
            for name, value in key.items():
                if first[out][name] != value:
                    raise SteepslopeError(
                        f"{out}: expected the same {name} in all processes, found {value} and {first[out][name]}"
                    )


def _extract(
    engine: Engine, classifier: Classifier, data: Dataset, source: str, out: Path, key: dict[str, Any]
) -> None:
    fabric, folder = engine.fabric, out / SHARDS
    with together(fabric):
        if fabric.is_global_zero:
            with staged_folder(folder, last=KEY) as staging:
                write_json(staging / KEY, key)
            (folder / STOPPED).unlink(missing_ok=True)
    with together(fabric):
        shards = plan(data, engine.options, folder)
        try:
            write_shards(shards, engine, data, classifier.transform, source)
        except Exception:
            with suppress(OSError):  # a full disk may have no room for this either
                (folder / STOPPED).touch()
            raise
    with together(fabric):
        if fabric.is_global_zero:
            about = {"views": list(engine.options.views)} if "views" in engine.options.evidence else {}
            join(shards, data, out, key, about)
            shutil.rmtree(folder)


def extraction_key(classifier: Classifier, data: Dataset, source: str, options: ExtractionOptions) -> dict[str, Any]:
    """Return all that decides the outputs, as JSON holds it."""
    key = {
        "classifier": classifier.spec,
        "digest": classifier.digest,
        "transform": asdict(classifier.transform),
        "data": source,
        "fingerprint": data.fingerprint(),
        "evidence": options.evidence,
        "views": options.views if "views" in options.evidence else None,
        "noise": ESTIMATES if "views" in options.evidence else None,
        "passes": [options.passes, options.batch_size] if "dropout" in options.evidence else None,
        "features": options.features if "features" in options.evidence else None,
        "precision": options.precision,
        "on_error": options.on_error,
        "shard_rows": options.shard_rows,
        "versions": _versions(isinstance(classifier.net, OnnxNet)),
    }
    return dict(json.loads(json.dumps(key)))


def _versions(onnx: bool) -> dict[str, str]:
    backend = "onnxruntime" if onnx else "torch"
    return {"outputs": str(VERSION), backend: ".".join(version(backend).split(".")[:2])}


def is_complete(out: Path, key: Mapping[str, Any]) -> bool:
    """Say whether the folder holds these outputs; refuse one that holds others, whole or in part.

    An unfinished one may go on with repaired images, or skip those that stopped it: shards know their own rows.
    """
    if (out / MANIFEST).exists():
        found = read_json(out / MANIFEST, "classifier outputs").get("extraction") or {}
        _require_same(out, found, key, free=("classifier", "data", "shard_rows"))
        shutil.rmtree(out / SHARDS, ignore_errors=True)
        return True
    if (out / SHARDS / KEY).exists():
        found = read_json(out / SHARDS / KEY, "an unfinished extraction")
        skipping = ["on_error"] if key["on_error"] == "skip" else []
        _require_same(out, found, key, free=["classifier", "data", "fingerprint", *skipping])
    return False


def _require_same(out: Path, found: Mapping[str, Any], key: Mapping[str, Any], free: Sequence[str]) -> None:
    for name, value in key.items():
        if name not in free and found.get(name) != value:
            raise SteepslopeError(
                f"{out}: holds outputs of another extraction and is not mixed with this one: {name}: "
                f"expected {value}, found {found.get(name)}; choose another folder or delete this one"
            )


def named_data(classifier: Classifier, spec: DatasetSpec, classes: Mapping[str, int] | None) -> dict[str, Dataset]:
    """Give the data set under the name "", or the splits "train", "holdout" and "test" where the spec names none.

    Where the training images are those that a checkpoint was made from, "train" are the rows that it was fitted to and
    "holdout" those that it never saw. Other training images are cut in the same way; whether others' classifiers were
    trained on them, nobody here can know.
    """
    if spec.family.open_whole is not None:
        return {"": spec.open(ClassNames(classes, classifier.classes, classifier.num_classes))}
    if classes is not None:
        raise SteepslopeError(f"classes: expected none for {spec}, whose labels are numbers already")
    if spec.split:
        return {"": spec.load(spec.split)}
    images, card = spec.load("train"), classifier.card
    own = card is not None and images.fingerprint() == card.fingerprint
    seed = 42 if card is None else card.split_seed
    fitted, held_out = holdout_split(len(images), card.holdout if own and card else None, seed)
    return {"train": images.subset(fitted), "holdout": images.subset(held_out), "test": spec.load("test")}


def read_classes(path: Path) -> dict[str, int]:
    """Read a text file with the name of one class a line, in the order of the labels."""
    try:
        names = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SteepslopeError(f"{path}: expected a text file with one class a line ({error})") from error
    names = [name.strip() for name in names]
    for row, name in enumerate(names):
        if not name or name in names[:row]:
            raise SteepslopeError(f"{path}: expected one class a line, each once, found {name!r} in line {row + 1}")
    return {name: label for label, name in enumerate(names)}
