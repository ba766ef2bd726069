"""Outputs to be frozen for ``steepslope.benchmark``: each preset's classifier on rows that it never saw, made small."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.utils import _safe_indexing

from steepslope.errors import read_fields
from steepslope.files import Notice, read_yaml, staged_folder
from steepslope.outputs import ClassifierOutputs, is_opinion_array, opinion_of_array
from steepslope.score_benchmark import FILE, About, FrozenPair, save_frozen_pairs
from steepslope.sklearn import Features, Reader, Responses, copies_in_inputs
from steepslope_lab.benchmark.estimators import ESTIMATORS
from steepslope_lab.benchmark.nets import outputs_of_images
from steepslope_lab.benchmark.preset import Preset, read_evidence_preset
from steepslope_lab.benchmark.rows import Rows, read_rows
from steepslope_lab.benchmark.trial import labelled_outputs, stored_probabilities

PAIRS = Path(__file__).parent / "frozen.yaml"
SEED = 0
DIRECTIONS = 24
MANY_CLASSES = 20  # of which an opinion is kept as its vote alone
LOG_FLOOR = -16.0  # of a probability of 0, as one of float16 could be
HALF = 60_000.0  # nearly the largest float16


@dataclass(frozen=True)
class FrozenRows:
    """How many rows of a preset are frozen: training rows, to train on and as ``reference``; to ``fit`` on; ``judged``.

    ``kind`` is that of the input. ``opinions`` are those of the preset that are kept, and ``unknown`` is a label that
    the classifier never learns.
    """

    kind: str
    licence: str
    train: int
    reference: int
    fit: int
    judged: int
    opinions: tuple[str, ...]
    unknown: str | None


def freeze_benchmark(folder: Path, out: Path, work: Path, notice: Notice) -> None:
    """Make all pairs from the data sets in ``folder``, each in a subfolder of its preset's name, and write one file."""
    pairs = []
    for name, settings in read_yaml(PAIRS).items():
        rows = read_fields(FrozenRows, {"opinions": [], "unknown": None, **settings}, PAIRS)
        preset = read_evidence_preset(name)
        kept = {one: preset.opinions[one] for one in rows.opinions}
        pairs.append(frozen_pair(replace(preset, opinions=kept), rows, folder / name, work / name, notice))
        notice(f"{name}: {len(pairs[-1].judged):,} judged rows, {pairs[-1].judged.is_correct.mean():.1%} right")
    with staged_folder(out, last=FILE.name) as staging:
        save_frozen_pairs(pairs, staging / FILE.name)


def frozen_pair(preset: Preset, rows: FrozenRows, folder: Path, work: Path, notice: Notice) -> FrozenPair:
    """Run a preset's classifier, and keep a draw of its outputs in few bytes."""
    if preset.kind == "image":
        few = replace(preset, most_rows=rows.fit + rows.judged, references=rows.reference, passes=0)
        outputs, reference, _ = outputs_of_images(few, folder, work, SEED, notice)
        assert outputs.ids is not None
        ids = np.array([int(re.sub(r"\D", "", one)) for one in outputs.ids.tolist()])
    elif preset.kind == "probabilities":
        outputs, reference = stored_probabilities(folder, preset), None
        ids = np.arange(len(outputs))
    else:
        outputs, reference, ids = _outputs_of_estimator(preset, rows, folder)
    drawn = np.random.default_rng(SEED).permutation(len(outputs))[: rows.fit + rows.judged]
    first = None if reference is None else reference.subset(slice(0, rows.reference))
    directions = None if first is None or first.features is None else _directions_of(first)
    kept = {"ids": ids[drawn].astype(np.int32), **_small_arrays(outputs.subset(drawn), directions)}
    about = About(preset.title, rows.kind, preset.source, rows.licence, rows.fit)
    return FrozenPair(preset.name, about, kept, {} if first is None else _small_arrays(first, directions))


def _directions_of(reference: ClassifierOutputs) -> PCA:
    features = reference.require_features()
    return PCA(min(DIRECTIONS, *features.shape), random_state=SEED).fit(features)


def _outputs_of_estimator(
    preset: Preset, wanted: FrozenRows, folder: Path
) -> tuple[ClassifierOutputs, ClassifierOutputs, NDArray[np.int64]]:
    """Return the outputs of new rows and of training rows, and the numbers of the new ones in the source."""
    rows = read_rows(folder, preset.read)
    firsts = np.unique(copies_in_inputs(rows.X), return_index=True)[1]  # a copy of a fit row would tell its label
    order = np.random.default_rng(SEED).permutation(np.sort(firsts))
    train = order[rows.y[order] != wanted.unknown][: wanted.train]
    new = np.sort(order[~np.isin(order, train)])
    X, y = _safe_indexing(rows.X, train), rows.y[train]
    makers = ESTIMATORS[preset.kind]
    model, *others = (makers[one](SEED).fit(X, y) for one in (preset.classifier, *preset.opinions.values()))
    features = Features.of(model, X, y, SEED)
    reader = Reader(model, model.classes_, LOG_FLOOR, features, {})

    def outputs(some: NDArray[np.int64]) -> ClassifierOutputs:
        inputs = _safe_indexing(rows.X, some)
        labelled = labelled_outputs(reader, Rows(inputs, rows.y[some]))
        for name, other in zip(preset.opinions, others, strict=True):
            said = Responses.of(other, inputs, other.classes_).logits(LOG_FLOOR)
            classes = tuple(map(str, other.classes_))
            labelled = labelled.with_opinion(name, ClassifierOutputs.of({"logits": said}, classes))
        return labelled

    return outputs(new), outputs(train), new


def _small_arrays(outputs: ClassifierOutputs, directions: PCA | None) -> Mapping[str, NDArray[Any]]:
    """Return logits, labels, the features in their principal directions and opinions, in types of two bytes."""
    arrays: dict[str, NDArray[Any]] = {"logits": outputs.logits, "labels": outputs.require_labels()}
    if directions is not None:
        arrays["features"] = directions.transform(outputs.require_features())
    for name in filter(is_opinion_array, outputs.arrays):
        values = outputs.require(name)
        if values.ndim > 1 and values.shape[1] > MANY_CLASSES:
            name, values = f"vote_{opinion_of_array(name)}", values.argmax(axis=1)
        arrays[name] = values
    return {
        name: np.clip(array, -HALF, HALF).astype(np.float16) if array.dtype.kind == "f" else array.astype(np.int16)
        for name, array in arrays.items()
    }
