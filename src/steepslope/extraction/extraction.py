"""Run a frozen classifier over images once, so that everything later works on arrays.

Outputs are written in shards of fixed rows, each by an atomic rename, and joined at the end with the manifest last.
Killed at any moment and run again, an extraction goes on after its whole shards and ends in the same bytes. Several
processes divide the shards among them; the first joins them.
"""

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from steepslope.classifiers.classifier import Classifier
from steepslope.data.class_names import ClassNames
from steepslope.data.datasets import SPLIT_SEED, DatasetSpec, holdout_split
from steepslope.data.images import Dataset
from steepslope.errors import SteepslopeError
from steepslope.extraction.engine import Engine, on_backend
from steepslope.extraction.machines import launched, together
from steepslope.extraction.options import ExtractionOptions
from steepslope.extraction.shards import KEY, SHARDS, STOPPED, extraction_key, is_complete, join, plan, write_shards
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.folder import MANIFEST
from steepslope.utilities.files import staged_folder, write_json
from steepslope.utilities.progress import Notice, silent

Sources = Mapping[Path, tuple[str, Dataset]]  # where the outputs go -> the data set's name, and the data set
Describe = Callable[[ClassifierOutputs], str]  # outputs -> words for whoever waits


def extract_to_folder(
    classifier: Classifier,
    spec: DatasetSpec,
    out: Path,
    options: ExtractionOptions | None = None,
    classes: dict[str, int] | None = None,
    notice: Notice = silent,
) -> dict[Path, ClassifierOutputs]:
    """Write the outputs of a data set to ``out``, or of its three splits to its subfolders; see :func:`extract`."""
    named = named_data(classifier, spec, classes)
    sources = {out / name: (f"{spec.name}:{name}" if name else str(spec), data) for name, data in named.items()}
    return extract(classifier, sources, options or ExtractionOptions(), notice=notice)


def summary(outputs: ClassifierOutputs) -> str:
    """Return the number of predictions and their accuracy, in words."""
    return f"{len(outputs):,} predictions, accuracy {100 * outputs.is_correct.mean():.2f} %"


def extract(
    classifier: Classifier,
    sources: Sources,
    options: ExtractionOptions,
    describe: Describe = summary,
    notice: Notice = silent,
) -> dict[Path, ClassifierOutputs]:
    """Write the outputs of data sets, each with its name, to their folders, or find them complete there.

    All that can be checked beforehand is checked before the first is written. ``describe`` puts each into words for
    ``notice``, which is also told of images that could not be read and of a backend that cannot run.

    Raises
    ------
    SteepslopeError
        If a folder holds outputs of another classifier, transform, data set or option; if a label is none of the
        classifier's; or, unless errors are skipped, if an image cannot be read.
    """
    with launched(options, options.backend) as fabric:
        complete = _extract_all(classifier, sources, options, fabric, notice)
        outputs = {out: ClassifierOutputs.load(out) for out in sources}
        if fabric.is_global_zero:
            for out in sources:
                notice(f"{out}: {'already complete, ' if complete[out] else ''}{describe(outputs[out])}")
        return outputs


def _extract_all(
    classifier: Classifier, sources: Sources, options: ExtractionOptions, fabric: Fabric, notice: Notice
) -> dict[Path, bool]:
    """Extract what is missing; return which were complete before."""
    with together(fabric):
        classifier = classifier if classifier.num_classes else classifier.with_transform()
        run = on_backend(classifier, options, fabric, notice)
        keys = {out: extraction_key(run, data, source, options) for out, (source, data) in sources.items()}
    _require_one_task(fabric, keys)
    with together(fabric):
        complete = {out: is_complete(out, key) for out, key in keys.items()}
        for source, data in sources.values():
            if len(data) == 0:
                raise SteepslopeError("expected images, found none", source)
            classifier.check_labels(data.labels, source)
        engine = Engine.on(run, options, fabric)
    complete = fabric.broadcast(complete)
    for out, (source, data) in sources.items():
        if not complete[out]:
            _extract(engine, data, source, out, keys[out], notice)
    engine.net.cpu()
    return complete


def _require_one_task(fabric: Fabric, keys: dict[Path, dict[str, Any]]) -> None:
    """Raise unless all processes have the same classifier, data and options before them."""
    with together(fabric):
        first: dict[Path, dict[str, Any]] = fabric.broadcast(keys)
        for out, key in keys.items():
            for name in (name for name in key if first[out][name] != key[name]):
                found = f"{key[name]} and {first[out][name]}"
                raise SteepslopeError(f"expected the same {name} in all processes, found {found}", out)


def _extract(engine: Engine, data: Dataset, source: str, out: Path, key: dict[str, Any], notice: Notice) -> None:
    fabric, folder = engine.fabric, out / SHARDS
    with together(fabric):
        if fabric.is_global_zero:
            with staged_folder(folder, last=KEY) as staging:
                write_json(staging / KEY, key)
            (folder / STOPPED).unlink(missing_ok=True)
    with together(fabric):
        shards = plan(data, engine.options, folder)
        try:
            write_shards(shards, engine, data, source)
        except Exception:
            with suppress(OSError):  # a full disk may have no room for this either
                (folder / STOPPED).touch()
            raise
    with together(fabric):
        if fabric.is_global_zero:
            about = {"views": list(engine.options.views)} if "views" in engine.options.evidence else {}
            skipped = join(shards, data, out, key, about)
            if skipped:
                notice(f"{out}: {skipped:,} images could not be read and are listed in {MANIFEST}")
            shutil.rmtree(folder)


def named_data(classifier: Classifier, spec: DatasetSpec, classes: Mapping[str, int] | None) -> dict[str, Dataset]:
    """Return the data set under the name "", or the splits "train", "holdout" and "test" where the spec names none.

    Where the training images are those that a checkpoint was made from, "train" are the rows that it was fitted to and
    "holdout" those that it never saw. Other training images are cut in the same way; whether others' classifiers were
    trained on them, is not known here.
    """
    if not spec.splits:
        return {"": spec.open(names=ClassNames(classes, classifier.classes, classifier.num_classes))}
    if classes is not None:
        raise SteepslopeError(f"expected none for {spec}, whose labels are numbers already", "classes")
    if spec.split:
        return {"": spec.open()}
    images, card = spec.load("train"), classifier.card
    own = card is not None and images.fingerprint() == card.fingerprint
    seed = SPLIT_SEED if card is None else card.split_seed
    fitted, held_out = holdout_split(len(images), card.holdout if own and card else None, seed)
    return {"train": images.subset(fitted), "holdout": images.subset(held_out), "test": spec.open("test")}
