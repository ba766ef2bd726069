"""Run a frozen classifier over images once, so that everything later works on arrays.

Outputs are written in shards of fixed rows, each by an atomic rename, and joined at the end with the manifest last.
Killed at any moment and run again, an extraction goes on after its whole shards and ends in the same bytes. Several
processes divide the shards among them; the first joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from steepslope.errors import SteepslopeError
from steepslope.files import Artifact, Notice, silent
from steepslope.nets.classifiers import Classifier
from steepslope.nets.data import (
    ADVICE,
    SPLIT_SEED,
    TEST,
    TRAIN,
    Augmented,
    ClassNames,
    Dataset,
    DatasetSpec,
    Divisible,
    holdout_split,
)
from steepslope.nets.extraction._engine import SIDE, Engine, classifier_on_backend
from steepslope.nets.extraction._machines import alone_in_folders, failing_together, launched_processes
from steepslope.nets.extraction._options import OF_COPIES, ExtractionOptions
from steepslope.nets.extraction._shards import (
    OUTPUTS,
    SHARDS,
    SKIPPING,
    STOPPED,
    extraction_key,
    join_shards,
    plan_shards,
    write_shards,
)
from steepslope.outputs import AUGMENTED, MANIFEST, ClassifierOutputs, extraction_of_folder

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Sources = Mapping[Path, tuple[str, Dataset]]  # where the outputs go -> the data set's name, and the data set
_Classes = tuple[str, ...] | None  # their names by label
_MOST_COPIED = 100_000  # images of which copies are made unasked: more would take long, and oracles use 50,000
_GAIN_BY_ORDER = 0.3  # accuracy that another order of the classes would gain
_ROWS_A_CLASS = 20  # rows a class, with which luck does not gain that much
_MOST_CLASSES = 2_000  # whose confusions are counted
_Describe = Callable[[ClassifierOutputs], str]  # outputs -> words for whoever waits


def extract_to_folder(
    classifier: Classifier,
    spec: DatasetSpec,
    out: Path,
    options: ExtractionOptions | None = None,
    classes: dict[str, int] | None = None,
    notice: Notice = silent,
) -> dict[Path, ClassifierOutputs]:
    """Write the outputs of a data set to ``out``, or of its three splits to its subfolders; see :func:`extract`.

    Augmented copies of what oracles may be fitted on go to a subfolder of each, as many as the options want, or one
    where they leave it open.
    """
    options = options or ExtractionOptions()
    named = data_by_split(classifier, spec, classes)
    classifier = classifier.named(classes)
    if spec.is_named and spec.splits and not spec.split:
        found = ", ".join(f"{len(data):,} in {name}" for name, data in named.items())
        notice(f"{spec} has the splits {', '.join(spec.splits)}: {found}")
    sources = {}
    for name, data in named.items():
        source = f"{spec.name}:{name}" if name else str(spec)
        sources[out / name] = source, data
    copies = _copies_to_extract(spec, sources, out, options.augment)
    return extract(classifier, {**sources, **copies}, options, notice=notice)


def _copies_to_extract(spec: DatasetSpec, sources: Sources, out: Path, augment: int | None) -> Sources:
    """Return augmented copies of all that oracles may be fitted on: as many as are asked for, or one by default.

    Raises
    ------
    SteepslopeError
        If copies are asked for of a test split, or of images without labels.
    """
    if augment and spec.split == TEST:
        raise SteepslopeError(f"expected images to fit oracles on, found the test split {spec}", "augment")
    if augment and any(data.labels is None for _, data in sources.values()):
        raise SteepslopeError(f"expected labelled images to fit oracles on, found {spec} without labels", "augment")
    copies: dict[Path, tuple[str, Dataset]] = {}
    if augment == 0 or spec.split == TEST:
        return copies
    for folder, (name, data) in sources.items():
        if spec.splits and folder == out / TEST:
            continue
        if augment or _is_copied_by_default(folder, data):
            copies[folder / AUGMENTED] = f"{name}, augmented", Augmented(data, augment or 1)
    return copies


def _is_copied_by_default(folder: Path, data: Dataset) -> bool:
    """Return whether a copy of each image is made unasked: not where others were asked for earlier."""
    made = extraction_of_folder(folder / AUGMENTED).get(AUGMENTED)
    if data.labels is None or len(data) > _MOST_COPIED:
        return False
    return made in (None, Augmented(data, 1).recipe)


def summary_of_outputs(outputs: ClassifierOutputs) -> str:
    """Return the number of predictions and, where there are labels, their accuracy, in words."""
    if outputs.labels is None:
        return f"{len(outputs):,} predictions, without labels"
    unknown = int(outputs.is_unknown.sum())
    of_none = f" ({unknown:,} out-of-class, which count as errors)" if unknown else ""
    accuracy = f"accuracy {100 * outputs.is_correct.mean():.2f} %{of_none}"
    return f"{len(outputs):,} predictions, {accuracy}{_order_of_classes_warning(outputs)}"


def _order_of_classes_warning(outputs: ClassifierOutputs) -> str:
    """Return a warning where labels seem to be those of the classes in another order than the classifier's."""
    labels = outputs.require_labels()
    k = outputs.num_classes
    known = ~outputs.is_unknown
    if k > _MOST_CLASSES or len(outputs) < _ROWS_A_CLASS * k:
        return ""
    cells = (labels * k + outputs.predictions)[known]
    counts = np.bincount(cells, minlength=k * k).reshape(k, k)
    accuracy = counts[linear_sum_assignment(-counts)].sum() / len(outputs)
    if accuracy < outputs.is_correct.mean() + _GAIN_BY_ORDER:
        return ""
    return f"; WARNING: {100 * accuracy:.2f} % if its classes were in another order than the labels': {ADVICE}"


def extract(
    classifier: Classifier,
    sources: Sources,
    options: ExtractionOptions,
    describe: _Describe = summary_of_outputs,
    notice: Notice = silent,
    about: Mapping[str, Any] | None = None,
) -> dict[Path, ClassifierOutputs]:
    """Write the outputs of data sets, each with its name, to their folders, or find them complete there.

    All that can be checked beforehand is checked before the first is written. ``describe`` puts each into words for
    ``notice``, which is also told of images that could not be read, of a backend that cannot run, and of noise that
    cannot be estimated. Of augmented copies, in a subfolder of their originals', no views or dropout passes are kept;
    their manifests record how they are made, and all manifests what else is to be known ``about`` the outputs.

    Raises
    ------
    SteepslopeError
        If a folder holds outputs of another classifier, transform, data set or option; if a label is none of the
        classifier's; or, unless errors are skipped, if an image cannot be read.
    """
    folders = []
    for out, (_, data) in sources.items():
        is_locked_with_originals = isinstance(data, Augmented) and AUGMENTED in out.parts[-2:]
        if not is_locked_with_originals:
            folders.append(out)
    with launched_processes(options, options.backend) as fabric, alone_in_folders(folders, fabric):
        complete = _extract_all(classifier, sources, options, fabric, notice, about or {})
        outputs = {out: ClassifierOutputs.load(out) for out in complete}
        if fabric.is_global_zero:
            for out, is_complete in complete.items():
                begin = "already complete, " if is_complete else ""
                notice(f"{out}: {begin}{describe(outputs[out])}")
        return outputs


def _extract_all(
    classifier: Classifier,
    sources: Sources,
    options: ExtractionOptions,
    fabric: Fabric,
    notice: Notice,
    about: Mapping[str, Any],
) -> dict[Path, bool]:
    """Extract what is missing; return which were complete before."""
    with failing_together(fabric):
        if not classifier.num_classes:
            classifier = classifier.with_transform()
        if "noise" in options.evidence and min(classifier.transform.size) < SIDE:
            if fabric.is_global_zero:
                notice(f"noise is not kept: expected images of at least {SIDE} × {SIDE} pixels to estimate it from")
            options = options.keeping("features", "views", "dropout")
        run = classifier_on_backend(classifier, options, fabric, notice)
        jobs = []
        for out, (source, data) in sources.items():
            kept = options.keeping(*OF_COPIES) if isinstance(data, Augmented) else options
            key = {**extraction_key(run, data, source, kept), **about}
            jobs.append(_Job(out, source, data, kept, key))
    _require_same_extraction(fabric, {job.out: job.key for job in jobs})
    with failing_together(fabric):
        complete = {job.out: job.artifact.is_complete(job.out, job.key) for job in jobs}
        classes = {job.out: _agreed_classes_of_source(classifier, job.source, job.data) for job in jobs}
        engine = Engine.on(run, options, fabric)
    complete = fabric.broadcast(complete)
    for job in jobs:
        if not complete[job.out]:
            _extract_job(replace(engine, options=job.options), job, classes[job.out], notice)
    engine.net.cpu()
    return complete


@dataclass(frozen=True)
class _Job:
    """One data set, with its name, to be extracted to a folder; the key is all that decides the outputs."""

    out: Path
    source: str
    data: Dataset
    options: ExtractionOptions
    key: dict[str, Any]

    @property
    def artifact(self) -> Artifact:
        if self.options.on_error == "skip":
            return SKIPPING
        return OUTPUTS


def _agreed_classes_of_source(classifier: Classifier, source: str, data: Dataset) -> _Classes:
    """Return the names of classes on which both agree; raise unless there are images, all of them of such classes."""
    if len(data) == 0:
        raise SteepslopeError("expected images, found none", source)
    classifier.check_labels(data.labels, source)
    return classifier.agreed_classes(data.classes, source)


def _require_same_extraction(fabric: Fabric, keys: dict[Path, dict[str, Any]]) -> None:
    """Raise unless all processes have the same classifier, data and options before them."""
    with failing_together(fabric):
        first: dict[Path, dict[str, Any]] = fabric.broadcast(keys)
        for out, key in keys.items():
            for name, value in key.items():
                other = first[out][name]
                if other != value:
                    hint = " (--verify where each machine has its own copy)" if name == "fingerprint" else ""
                    raise SteepslopeError(
                        f"expected the same {name} in all processes{hint}, found {value} and {other}", out
                    )


def _extract_job(engine: Engine, job: _Job, classes: _Classes, notice: Notice) -> None:
    fabric = engine.fabric
    folder = job.out / SHARDS
    with failing_together(fabric):
        if fabric.is_global_zero:
            job.artifact.begin(job.out, job.key)
            (folder / STOPPED).unlink(missing_ok=True)
    with failing_together(fabric):
        shards = plan_shards(job.data, job.options, folder)
        try:
            write_shards(shards, engine, job.data, job.source)
        except Exception:
            with suppress(OSError):  # a full disk may have no room for this either
                (folder / STOPPED).touch()
            raise
    with failing_together(fabric):
        if fabric.is_global_zero:
            about: dict[str, Any] = {"extraction": job.key}
            if "views" in job.options.evidence:
                about = {"views": list(job.options.views), **about}
            skipped = join_shards(shards, job.data, job.out, about, classes)
            if skipped:
                notice(f"{job.out}: {skipped:,} images could not be read and are listed in {MANIFEST}")
            OUTPUTS.end(job.out)


def data_by_split(classifier: Classifier, spec: DatasetSpec, classes: Mapping[str, int] | None) -> dict[str, Dataset]:
    """Return the data set under the name "", or the splits "train", "holdout" and "test" where the spec names none.

    A folder with the folders train, val or test has those that are there, next to "holdout".

    Where the training images are those that a checkpoint was made from, "train" are the rows that it was fitted to and
    "holdout" those that it never saw. Other training images are cut in the same way; whether others' classifiers were
    trained on them, is not known here. Shifted images are cut as those that they were made of.
    """
    if spec.shifts:
        originals = data_by_split(classifier, replace(spec, shifts=()), classes)
        return {name: spec.shifted(data) for name, data in originals.items()}
    names = ClassNames(classes, classifier.classes, classifier.num_classes)
    if not spec.is_named and classes is not None:
        raise SteepslopeError(f"expected none for {spec}, whose labels are numbers already", "classes")
    if not spec.splits or spec.split:
        return {"": _opened_split(spec, None, names)}
    images = _opened_split(spec, TRAIN, names)
    assert isinstance(images, Divisible)
    holdout = None
    seed = SPLIT_SEED
    if classifier.card is not None:
        seed = classifier.card.split_seed
        if images.fingerprint() == classifier.card.fingerprint:
            holdout = classifier.card.holdout
    fitted, held_out = holdout_split(len(images), holdout, seed)
    splits = {TRAIN: images.subset(fitted), "holdout": images.subset(held_out)}
    for split in spec.splits:
        if split != TRAIN:
            splits[split] = _opened_split(spec, split, names)
    return splits


def _opened_split(spec: DatasetSpec, split: str | None, names: ClassNames) -> Dataset:
    """Return a data set, or a split of it, whose names of classes are the classifier's, where it has such."""
    if not spec.is_named:
        return spec.open(split)
    data = spec.open(split, names)
    names.agreed(data.classes, str(spec))
    return data
