"""Outputs of nets on images, for a preset: each net is run once over the images, and what it gave is kept."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.files import Notice
from steepslope.nets.classifiers import Classifier, load_classifier, recipe_of_settings, train_classifier
from steepslope.nets.data import Augmented, ClassNames, Dataset, Divisible, parse_data
from steepslope.nets.extraction import ExtractionOptions, extract, extract_opinion
from steepslope.outputs import (
    AUGMENTED,
    OF_COPIES,
    ClassifierOutputs,
    Opinion,
    ReadingOptions,
    array_of,
    is_array_of_opinion,
    is_opinion_array,
    read_opinions,
)
from steepslope_lab.benchmark.preset import Preset

LABELLED, REFERENCE, FILE = "labelled", "reference", "FILE:"
BATCH = 128
MOST_SHIFTED = 3_000  # images of each shift
INPUT = {"size": "image_size", "mean": "mean", "std": "std"}  # what ``with_transform`` calls them
Sets = tuple[ClassifierOutputs, ClassifierOutputs | None, dict[str, ClassifierOutputs]]


def outputs_of_images(preset: Preset, folder: Path, work: Path, seed: int, notice: Notice) -> Sets:
    """Return the outputs of labelled images, of training images, and of shifted ones by name, with all opinions.

    ``preset.read`` has the specs ``labelled`` and, if there is one, ``reference``, in which FOLDER stands for the data
    folder; those of ``preset.shifted`` are ``labelled`` of the same form. An opinion is the spec of a net, or FILE: and
    the file of an opinion on the labelled images, such as people's.

    Raises
    ------
    SteepslopeError
        If a spec or setting names nothing, or ``work`` holds what nets gave under other settings, such as other images.
    """
    sets = {
        LABELLED: preset.read[LABELLED],
        REFERENCE: preset.read.get(REFERENCE, ""),
        **{name: change[LABELLED] for name, change in preset.shifted.items()},
    }
    images = {name: spec.replace("FOLDER", str(folder)) for name, spec in sets.items() if spec}
    for spec in images.values():  # before any net is trained
        parse_data(spec).look()
    files = {name: spec.removeprefix(FILE) for name, spec in preset.opinions.items() if spec.startswith(FILE)}
    specs = {name: spec for name, spec in {"": preset.classifier, **preset.opinions}.items() if name not in files}
    nets = {name: _benchmark_net(preset, spec, folder, work, seed, name, notice) for name, spec in specs.items()}
    place = work / (f"seed{seed}" if preset.train else "outputs")
    outputs = {name: _extracted_images(preset, nets, spec, place / name, notice) for name, spec in images.items()}
    for name, file in files.items():
        options = ReadingOptions(opinion=(f"{name}={file.replace('FOLDER', str(folder))}",))
        arrays, _ = read_opinions(Opinion.of(outputs[LABELLED]), options)
        outputs[LABELLED] = outputs[LABELLED].changed(**arrays)
    if preset.restricted:
        known = np.unique(outputs[LABELLED].of_known_classes().require_labels())
        outputs = {name: restricted_to_classes(one, known) for name, one in outputs.items()}
    return outputs.pop(LABELLED), outputs.pop(REFERENCE, None), outputs


def only_opinions(outputs: ClassifierOutputs, names: Collection[str]) -> ClassifierOutputs:
    """Return the outputs with no other opinions than those of these names.

    >>> both = ClassifierOutputs([[1.0, 0.0]]).with_opinion("net", [[0.4, 0.6]]).with_opinion("people", [1])
    >>> only_opinions(both, ["people"]).opinions
    ('people',)
    """
    others = [name for name in outputs.opinions if name not in names]
    return outputs.changed(
        **{array: None for array in outputs.arrays for name in others if is_array_of_opinion(array, name)}
    )


def restricted_to_classes(outputs: ClassifierOutputs, known: NDArray[np.int64]) -> ClassifierOutputs:
    """Return the outputs of a net that knows some of its classes alone; rows of others are left out.

    >>> outputs = ClassifierOutputs([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0]], [2, 1])
    >>> restricted_to_classes(outputs, np.array([1, 2])).logits, restricted_to_classes(outputs, np.array([1, 2])).labels
    (array([[1., 2.],
           [5., 1.]]), array([1, 0]))
    """
    labels = outputs.require_labels()
    rows = np.flatnonzero(np.isin(labels, known))
    arrays = {name: _array_of_classes(name, array[rows], known) for name, array in outputs.arrays.items()}
    classes = None if outputs.classes is None else [outputs.classes[one] for one in known]
    return ClassifierOutputs.of({**arrays, "labels": np.searchsorted(known, labels[rows])}, classes)


def _array_of_classes(name: str, array: NDArray[Any], known: NDArray[np.int64]) -> NDArray[Any]:
    """Return what an array has of some classes; a vote for another class is one for a class that is lacking."""
    if array_of(name).axes[-1] == "K":
        return array[..., known]
    if is_opinion_array(name.removeprefix(OF_COPIES)):
        return np.where(np.isin(array, known), np.searchsorted(known, array), np.where(array < 0, array, len(known)))
    return array


def _benchmark_net(
    preset: Preset, spec: str, folder: Path, work: Path, seed: int, name: str, notice: Notice
) -> Classifier:
    """Return a net by its spec, or one that is trained: the classifier by the trial's seed, opinions by the next."""
    if spec:
        return load_classifier(spec.replace("FOLDER", str(folder))).with_transform(**_input_of_nets(preset.input))
    number = seed + (1 + [*preset.opinions].index(name) if name else 0)
    with located("train"):
        recipe = recipe_of_settings(preset.train, number)
    data = preset.read["train"].replace("FOLDER", str(folder))
    out = work / "nets" / f"seed{number}"
    return train_classifier(preset.train["net"], data, out, recipe, preset.train.get("holdout"), notice=notice)[0]


def _input_of_nets(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what changes a net's input, as its method ``with_transform`` takes it."""
    for name in settings:
        require_known("setting of input:", name, INPUT)
    return {INPUT[name]: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def _extracted_images(
    preset: Preset, nets: Mapping[str, Classifier], spec: str, out: Path, notice: Notice
) -> ClassifierOutputs:
    """Run all nets over a set of images, and over a copy of each image that oracles learn from."""
    data = parse_data(spec).look()
    net = nets[""]
    images = _images_of_preset(preset, spec, out.name, net)
    plain = ExtractionOptions(batch_size=BATCH)
    if out.name in (LABELLED, REFERENCE):
        copies = Augmented(images, 1)
        extract(net, {out / AUGMENTED: (f"{spec}, augmented", copies)}, plain, notice=notice)
    passes = 0 if out.name == REFERENCE else preset.passes
    evidence = ("features", "noise", *(["dropout"] if passes else []))
    extract(net, {out: (spec, images)}, replace(plain, evidence=evidence, passes=passes or 2), notice=notice)
    for name, other in nets.items() if out.name != REFERENCE else ():
        if name:
            extract_opinion(name, other, data, out, replace(plain, augment=0).keeping(), None, notice)
    return only_opinions(ClassifierOutputs.load(out), preset.opinions)  # the folder may have those of earlier settings


def _images_of_preset(preset: Preset, spec: str, role: str, net: Classifier) -> Dataset:
    """Open a set of images, at most as many as the preset wants, drawn from all."""
    data = parse_data(spec).look()
    most = {LABELLED: preset.most_rows, REFERENCE: preset.references}.get(role, MOST_SHIFTED)
    images: Dataset = data.open(data.split, names=ClassNames(None, net.classes, net.num_classes))
    if most is None or len(images) <= most:
        return images
    if not isinstance(images, Divisible):
        raise SteepslopeError("expected images that can be divided, such as imagefolder:DIR", spec)
    return images.subset(np.sort(np.random.default_rng(0).permutation(len(images))[:most]))
