"""The steps to a classifier's outputs: nets are trained, images shifted, outputs extracted, probes fitted."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import sklearn.datasets
from PIL import Image

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.files import save_arrays, staged_folder
from steepslope.nets.classifiers import CARD, recipe_of_settings, train_classifier
from steepslope.nets.data import CARD as SHIFT_CARD, Divisible, Shift, Shifted, ShiftSpec, parse_data
from steepslope.nets.extraction import ExtractionOptions, Unlabelled, extract, summary_of_features, summary_of_outputs
from steepslope.numerics import fit_standardised_softmax
from steepslope.outputs import MANIFEST, UNKNOWN, ClassifierOutputs
from steepslope_lab.paper.steps import Step, settings_in_words
from steepslope_lab.paper.workspace import ADVERSARIAL, COPIES, PROBE, SPLITS, STYLIZED, TEST, TRAIN, Case, Workspace
from steepslope_lab.shifts.options import RecolorOptions, StylizeOptions, StylizerTraining
from steepslope_lab.shifts.recolor import Recoloring
from steepslope_lab.shifts.stylization import Stylization, style_data_spec
from steepslope_lab.shifts.stylizer import CARD as STYLIZER_CARD
from steepslope_lab.shifts.stylizer_training import train_stylizer
from steepslope_lab.shifts.writing import write_shifted


def net_steps(work: Workspace, name: str, seed: int) -> list[Step]:
    """Return the steps before a net can be run as a backbone: none where its weights are there."""
    settings = work.preset.nets[name].train
    if not settings:
        return []
    with located(f"nets.{name}.train"):
        recipe = recipe_of_settings(settings, seed)

    def train(out: Path) -> None:
        data, holdout = work.preset.data, settings.get("holdout")
        _, accuracy = train_classifier(settings["net"], data, out, recipe, holdout, replace=False)
        work.notice(f"{out}: classifier with {100 * accuracy:.2f} % accuracy on its held-out rows")

    about = f"train classifier {name}: {settings_in_words(settings)}"
    return [Step(work.folder("nets", name, seed), CARD, about, train)]


CONTENT = 2_000  # training images that a stylizer is trained on
PHOTOGRAPHS = ("china", "flower")  # those that come with scikit-learn


def shift_steps(work: Workspace, case: Case) -> list[Step]:
    """Return the step that makes the images of a case; none for splits and their copies."""
    where, preset = case.where, work.preset
    if where.removesuffix(COPIES) in SPLITS:
        return []
    attacks = where == ADVERSARIAL
    if attacks and preset.nets[case.classifier].probe:
        raise SteepslopeError(f"expected a net to attack, found {case.classifier}, a probe", ADVERSARIAL)
    name, seed = (case.classifier, case.seed) if attacks else (preset.pairs[0].classifier, preset.seeds[0])
    settings = preset.recolor if attacks else {"alpha": 1.0} if where == STYLIZED else {}
    rows = f"{preset.rows:,} of the" if preset.rows else "all"
    against = f" against {name}" if attacks else ""
    about = f"shift {rows} test images: {where}{against} {settings_in_words(settings)}".rstrip()
    if not attacks and where != STYLIZED:
        _shift_by_spec(work, where).look()  # whether what it needs is installed
    needs = [*net_steps(work, name, seed), *([stylizer_step(work)] if where == STYLIZED else [])]

    def write(out: Path) -> None:
        test = work.sets(name, seed)[TEST]
        assert isinstance(test, Divisible)
        chosen = test.subset(work.drawn(len(test), preset.rows))
        shifted = Shifted(chosen, _shift_of_images(work, where, name, seed))
        write_shifted(shifted, f"{work.data}:{TEST}", out, notice=work.notice)

    return [Step(work.shifted(work.place(case)), SHIFT_CARD, about, write, tuple(needs))]


def _shift_of_images(work: Workspace, where: str, name: str, seed: int) -> Shift:
    """Return the shift of a set of images, against a classifier where they are attacked."""
    preset = work.preset
    if where == ADVERSARIAL:
        return Recoloring(work.net(name, seed), RecolorOptions(**preset.recolor))
    if where == STYLIZED:
        stylizer, styles = str(stylizer_step(work).folder), styles_of_preset(work)
        options = StylizeOptions(stylizer=stylizer, styles=styles, side=preset.side, crop=preset.crop)
        return Stylization.of(options)
    return _shift_by_spec(work, where)


def _shift_by_spec(work: Workspace, where: str) -> ShiftSpec:
    """Return a shift that is named by its spec, such as corrupt:fog:5."""
    crop = f"?crop={work.preset.crop}" if work.preset.crop else ""
    return parse_data(f"{where}{crop}/digits").shifts[0]  # the data play no part


def stylizer_step(work: Workspace) -> Step:
    """Return the step that trains a stylizer, or the one that has made what is given."""
    preset = work.preset
    folder = Path(preset.trained_stylizer or work.root / "stylizer")
    if preset.trained_stylizer and not (folder / STYLIZER_CARD).exists():
        raise SteepslopeError(f"expected the folder of a stylizer with {STYLIZER_CARD}, found none", folder)
    if preset.styles:
        parse_data(style_data_spec(preset.styles)).look()
    about = f"train a stylizer, styles {preset.styles or 'two photographs'}: {settings_in_words(preset.stylizer)}"
    require_known("net of the stylizer:", preset.stylizer.get("net"), preset.nets)
    names = dict.fromkeys([preset.pairs[0].classifier, preset.stylizer["net"]])
    needs = [step for name in names for step in net_steps(work, name, preset.seeds[0])]
    options = StylizerTraining(**{name: value for name, value in preset.stylizer.items() if name != "net"})

    def train(out: Path) -> None:
        images = work.sets(preset.pairs[0].classifier, preset.seeds[0])[TRAIN]
        assert isinstance(images, Divisible)
        content = images.subset(work.drawn(len(images), min(CONTENT, len(images))))
        styles = parse_data(style_data_spec(styles_of_preset(work))).open()
        backbone = work.net(preset.stylizer["net"], preset.seeds[0])
        train_stylizer(backbone, content, styles, out, options, work.notice)

    return Step(folder, STYLIZER_CARD, about, train, tuple(needs))


def styles_of_preset(work: Workspace) -> str:
    """Return the folder of styles, after writing the photographs to one where none is given."""
    folder, last = work.root / "styles", f"{PHOTOGRAPHS[-1]}.png"
    if work.preset.styles is None and not (folder / last).exists():
        with staged_folder(folder, last=last) as staging:
            for name in PHOTOGRAPHS:
                Image.fromarray(sklearn.datasets.load_sample_image(f"{name}.jpg")).save(staging / f"{name}.png")
    return work.preset.styles or str(folder)


PROBED = 0.8  # of the training rows
PENALTY = 1e-3


def output_steps(work: Workspace, case: Case, wheres: Sequence[str], auxiliary: bool = False) -> list[Step]:
    """Return the steps to a classifier's outputs on some sets of images, with those of its auxiliary net if wanted."""
    net = work.preset.nets[case.classifier]
    names = [case.classifier, *([net.auxiliary] if auxiliary and net.auxiliary else [])]
    steps = [extract_step(work, name, replace(case, where=where)) for where in wheres for name in names]
    return [*([probe_step(work, case.classifier, case.seed)] if net.probe else []), *steps]


def extract_step(work: Workspace, name: str, case: Case) -> Step:
    """Return the step that runs a net over the images of a case; seeds share what does not depend on them."""
    net, preset, where = work.preset.nets[name], work.preset, case.where
    seed = case.seed if net.train else preset.seeds[0]
    images = case if where == ADVERSARIAL else Case(None, "", where, seed)
    learns = where == TRAIN or where.endswith(COPIES)  # passes with dropout are of images that are judged
    passes = 0 if learns else net.passes
    about = f"extract {name} on {where}{f', {passes} passes with dropout' if passes else ''}: "
    about += settings_in_words(net.input or {"input": "its own"})
    place = work.place(images)
    needs = *net_steps(work, name, seed), *shift_steps(work, images)
    evidence = ("features", "noise", *(["dropout"] if passes else []))
    options = ExtractionOptions(
        evidence=evidence, passes=passes or 2, batch_size=net.batch_size, features=net.features, workers=work.workers
    )

    def run(out: Path) -> None:
        data, describe = work.images(name, seed, place), summary_of_outputs
        if preset.is_backbone(name):
            data, describe = Unlabelled(data, np.arange(len(data))), summary_of_features
        extract(work.net(name, seed), {out: (place, data)}, options, describe, work.notice)

    return Step(work.extracted(name, seed, place), MANIFEST, about, run, needs)


def probe_step(work: Workspace, name: str, seed: int) -> Step:
    """Return the step that fits a linear classifier on the features of a frozen net."""
    about = f"fit a linear probe on {name}: {PROBED:.0%} of the training rows, L2 penalty {PENALTY:g}"
    needs = (extract_step(work, name, Case(None, "", TRAIN, seed)),)
    return Step(work.folder("nets", name, seed), PROBE, about, partial(fit_probe, work, name=name, seed=seed), needs)


def fit_probe(work: Workspace, out: Path, name: str, seed: int) -> None:
    """Fit a linear classifier to the first rows of a permutation that the seed draws."""
    outputs = ClassifierOutputs.load(work.extracted(name, seed, TRAIN))
    images = work.images(name, seed, TRAIN)
    rows = work.fit_rows(name, seed, round(PROBED * len(outputs)))
    labels = np.asarray(images.labels)
    rows = rows[labels[rows] != UNKNOWN]
    features = np.asarray(outputs.require_features()[rows], dtype=np.float32)
    count = len(images.classes or ()) or int(labels.max()) + 1
    weights, bias = fit_standardised_softmax(features, labels[rows], count, PENALTY)
    with staged_folder(out, last=PROBE) as staging:
        save_arrays({"weights": weights, "bias": bias.astype(np.float32)}, staging / PROBE)


def fit_rows_step(work: Workspace, classifier: str, count: int | None, seed: int) -> Step:
    """Return the step that writes the outputs of the rows that a pair's oracles are trained on."""
    about = f"draw {'all' if count is None else f'{count:,}'} of the training rows of {classifier}"
    needs = output_steps(work, Case(None, classifier, TRAIN, seed), [TRAIN])
    folder = work.folder("fit-rows", classifier, seed) / str(count or "all")

    def write(out: Path) -> None:
        rows = work.own_outputs(classifier, seed, TRAIN).subset(work.fit_rows(classifier, seed, count))
        rows.changed(features=None).save(out)  # oracles on images do not see features

    return Step(folder, MANIFEST, about, write, tuple(needs))
