"""What steps have made, by name: nets, images and outputs below one work folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.files import Notice, load_arrays, silent
from steepslope.nets.classifiers import Classifier, load_classifier
from steepslope.nets.data import (
    SPLIT_SEED,
    Augmented,
    ClassNames,
    Dataset,
    DatasetSpec,
    Divisible,
    holdout_split,
    parse_data,
)
from steepslope.nets.extraction import data_by_split
from steepslope.outputs import ClassifierOutputs
from steepslope_lab.paper.preset import Preset

TRAIN, HOLDOUT, TEST = SPLITS = "train", "holdout", "test"
COPIES = "-copies"
STYLIZED, ADVERSARIAL = "stylized", "adversarial"
AUXILIARY = "auxiliary"  # the budget of a fused oracle that pays for a second backbone
TITLES = {TEST: "clean", HOLDOUT: "held-out rows", STYLIZED: "stylized", ADVERSARIAL: "adversarial"}
PROBE = "probe.safetensors"
OF_COPIES = ("logits", "features", "auxiliary", "noise")


@dataclass(frozen=True)
class Case:
    """A classifier, a set of images and a seed; and the oracle's backbone, where that is one on images."""

    oracle: str | None
    classifier: str
    where: str
    seed: int


def data_comes_in_splits(spec: DatasetSpec) -> bool:
    """Return whether held-out images are cut from the training split; those of a folder are test images."""
    return bool(spec.splits) and not spec.is_named


def title_of_images(where: str) -> str:
    """Return a set of images in words: test, holdout, stylized, adversarial, or a shift such as corrupt:fog:5.

    >>> title_of_images("corrupt:defocus_blur:5"), title_of_images("test")
    ('defocus blur, severity 5', 'clean')
    """
    if where in TITLES:
        return TITLES[where]
    _, kind, level = where.split(":")
    return f"{kind.replace('_', ' ')}, severity {level}"


@dataclass(frozen=True, eq=False)
class Workspace:
    """A preset, and the folder where all that is made of it lies."""

    preset: Preset
    root: Path
    notice: Notice = silent
    workers: int = 0  # processes that decode images
    _nets: dict[tuple[str, int | None], Classifier] = field(default_factory=dict, init=False, repr=False)
    _sets: dict[tuple[str, int | None], Mapping[str, Dataset]] = field(default_factory=dict, init=False, repr=False)

    def place(self, case: Case) -> str:
        """Return the name of a set of images on disk: attacked ones are others for each classifier."""
        if case.where != ADVERSARIAL:
            return case.where.replace(":", "-")
        name = f"{ADVERSARIAL}-{case.classifier}"
        return f"{name}-{case.seed}" if self.preset.nets[case.classifier].is_seeded else name

    def folder(self, kind: str, name: str, seed: int | None) -> Path:
        """Return the folder of a kind of results of a net, such as its outputs."""
        return self.root / kind / (name if seed is None else f"{name}-{seed}")

    def spec(self, name: str, seed: int) -> str:
        """Return the classifier spec of a net; of one that is trained here, its checkpoint."""
        net = self.preset.nets[name]
        return f"checkpoint:{self.folder('nets', name, seed)}" if net.train else net.spec

    def net(self, name: str, seed: int) -> Classifier:
        """Load a net, its input changed as the preset has it, once."""
        wanted = self.preset.nets[name]
        key = name, seed if wanted.train else None
        if key not in self._nets:
            net = load_classifier(self.spec(name, seed))
            self._nets[key] = net.with_transform(wanted.size, wanted.mean, wanted.std, wanted.resize)
        return self._nets[key]

    @cached_property
    def data(self) -> DatasetSpec:
        """The spec of the data set, or of its training images."""
        return parse_data(self._train_and_test[0]).look()

    @cached_property
    def _train_and_test(self) -> tuple[str, str]:
        spec, test = parse_data(self.preset.data), self.preset.test_data
        if data_comes_in_splits(spec) or test is not None:
            return self.preset.data, test or self.preset.data
        if spec.scheme != "imagefolder":
            raise SteepslopeError(f"expected the spec of the test images next to {spec}, found none", "test_data")
        return f"{spec}/{TRAIN}", f"{spec}/{TEST if spec.splits == (TRAIN, TEST) else 'val'}"

    @property
    def held_out_data(self) -> str:
        """The spec of the data from which images are held out: the training images, or of a folder the test images."""
        train, test = self._train_and_test
        return train if data_comes_in_splits(self.data) else test

    def sets(self, name: str, seed: int) -> Mapping[str, Dataset]:
        """Return the training, held-out and test images, as a net knows them."""
        key = name, seed if self.preset.nets[name].train else None
        if key not in self._sets:
            net = self.net(name, seed)
            own = ClassNames(None, net.classes, net.num_classes)
            names = ClassNames() if self.preset.is_backbone(name) else own
            self._sets[key] = (
                data_by_split(net, self.data, None)
                if data_comes_in_splits(self.data)
                else self._sets_of_two_parts(names)
            )
        return self._sets[key]

    def _sets_of_two_parts(self, names: ClassNames) -> dict[str, Dataset]:
        """Return the same of data in two parts: a pre-trained classifier has seen all that it could be trained on."""
        train, test = (parse_data(spec).look().open(names=names) for spec in self._train_and_test)
        if not isinstance(test, Divisible):
            expected = "expected images that can be divided, such as imagefolder:DIR"
            raise SteepslopeError(expected, self._train_and_test[1])
        others, held_out = holdout_split(len(test), self.preset.holdout, SPLIT_SEED)
        return {TRAIN: train, HOLDOUT: test.subset(held_out), TEST: test.subset(others)}

    def require_images(self) -> None:
        """Raise where there are no images of the data, before anything is loaded or trained."""
        for spec in self._train_and_test:
            parse_data(spec).look()

    def images(self, name: str, seed: int, place: str) -> Dataset:
        """Return a set of images: a split, its augmented copies, or what a shift has written."""
        sets = self.sets(name, seed)
        if place.endswith(COPIES):
            return Augmented(sets[place.removesuffix(COPIES)], 1)
        return sets[place] if place in sets else parse_data(f"imagefolder:{self.shifted(place)}").open()

    def drawn(self, n: int, count: int) -> NDArray[np.int64]:
        """Return so many of n rows, or all for 0, in their order: drawn, since folders are sorted by class."""
        drawn = np.random.default_rng(SPLIT_SEED).permutation(n)[: count or n]
        return np.sort(drawn)

    def shifted(self, place: str) -> Path:
        """Return the folder of shifted images."""
        return self.root / "shifted" / place

    def extracted(self, name: str, seed: int, place: str) -> Path:
        """Return the folder of a net's outputs; of a probed net, those of the net itself."""
        return self.folder("outputs", name, seed if self.preset.nets[name].train else None) / place

    def own_outputs(self, name: str, seed: int, place: str) -> ClassifierOutputs:
        """Return a classifier's outputs; a probe's from the features of its net, with the labels of the images."""
        outputs = ClassifierOutputs.load(self.extracted(name, seed, place))
        if not self.preset.nets[name].probe:
            return outputs
        arrays = load_arrays(self.folder("nets", name, seed) / PROBE)
        logits = np.asarray(outputs.require_features(), dtype=np.float32) @ arrays["weights"] + arrays["bias"]
        images = self.images(name, seed, place)
        found = ClassifierOutputs(logits, images.labels, outputs.features, outputs.ids, images.classes)
        return found if outputs.noise is None else found.changed(noise=outputs.noise)

    def outputs(self, name: str, seed: int, place: str, budget: str) -> ClassifierOutputs:
        """Return a classifier's outputs, with the features of its auxiliary net where a budget pays for these."""
        own = self.own_outputs(name, seed, place)
        other = self.preset.nets[name].auxiliary
        if budget != AUXILIARY or other is None:
            return own
        return own.with_auxiliary(self.own_outputs(other, seed, place))

    def to_fit(self, name: str, seed: int, place: str, budget: str) -> ClassifierOutputs:
        """Return the same of a split that fused oracles learn from, with what was seen of its augmented copies."""
        originals = self.outputs(name, seed, place, budget)
        if not self.preset.copies:
            return originals
        copies = self.outputs(name, seed, f"{place}{COPIES}", budget).arrays
        return originals.changed(**{f"augmented_{one}": copies[one][:, None] for one in OF_COPIES if one in copies})

    def fit_rows(self, name: str, seed: int, count: int | None) -> NDArray[np.int64]:
        """Return the training rows that oracles are trained on: the first of a permutation that the seed draws.

        A probe is fitted to the first 80 % of it, so it has seen them.
        """
        n = len(self.sets(name, seed)[TRAIN])
        return np.sort(np.random.default_rng(seed).permutation(n)[: n if count is None else count])
