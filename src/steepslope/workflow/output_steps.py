"""The steps to a classifier's outputs: extraction, a linear probe, and the rows that oracles learn from."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from steepslope.estimators.linear import fit_standardised_softmax
from steepslope.extraction.auxiliary import Unlabelled, summary_of_features
from steepslope.extraction.extraction import extract, summary
from steepslope.extraction.options import ExtractionOptions
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.folder import MANIFEST
from steepslope.utilities.files import staged_folder
from steepslope.utilities.weights import save_arrays
from steepslope.workflow.lab import ADVERSARIAL, COPIES, PROBE, TRAIN, Case, Lab
from steepslope.workflow.net_step import net_steps
from steepslope.workflow.shift_steps import shift_steps
from steepslope.workflow.step import Cost, Step, told

PROBED = 0.8  # of the training rows
PENALTY = 1e-3


def output_steps(lab: Lab, case: Case, wheres: Sequence[str], auxiliary: bool = False) -> list[Step]:
    """Return the steps to a classifier's outputs on some sets of images, with those of its auxiliary net if wanted."""
    own = lab.preset.nets[case.classifier]
    names = [case.classifier, *([own.auxiliary] if auxiliary and own.auxiliary else [])]
    steps = [extract_step(lab, name, replace(case, where=where)) for where in wheres for name in names]
    return [*([probe_step(lab, case.classifier, case.seed)] if own.probe else []), *steps]


def extract_step(lab: Lab, name: str, case: Case) -> Step:
    """Return the step that runs a net over the images of a case; seeds share what does not depend on them."""
    net, preset, where = lab.preset.nets[name], lab.preset, case.where
    seed = case.seed if net.train else preset.seeds[0]
    images = case if where == ADVERSARIAL else Case(None, "", where, seed)
    learns = where == TRAIN or where.endswith(COPIES)  # passes with dropout are of images that are judged
    passes = 0 if learns else net.passes
    about = f"extract {name} on {where}{f', {passes} passes with dropout' if passes else ''}: "
    place = lab.place(images)
    run = partial(extract_images, name=name, seed=seed, place=place, passes=passes)
    needs = *net_steps(lab, name, seed), *shift_steps(lab, images)
    costs = (Cost(name, where, 1 + passes),)
    return Step(lab.extracted(name, seed, place), MANIFEST, about + told(net.input or {"input": "its own"}), run,
                needs, costs)  # fmt: skip


def extract_images(lab: Lab, name: str, seed: int, place: str, passes: int) -> None:
    """Run a net over a set of images, and keep its outputs."""
    net, out, images = lab.preset.nets[name], lab.extracted(name, seed, place), lab.images(name, seed, place)
    evidence = ("features", "noise", *(["dropout"] if passes else []))
    options = ExtractionOptions(
        evidence=evidence, passes=passes or 2, batch_size=net.batch_size, features=net.features, workers=lab.workers
    )
    is_backbone = lab.preset.is_backbone(name)
    data = Unlabelled(images, np.arange(len(images))) if is_backbone else images
    describe = summary_of_features if is_backbone else summary
    extract(lab.net(name, seed), {out: (place, data)}, options, describe, lab.notice)


def probe_step(lab: Lab, name: str, seed: int) -> Step:
    """Return the step that fits a linear classifier on the features of a frozen net."""
    about = f"fit a linear probe on {name}: {PROBED:.0%} of the training rows, L2 penalty {PENALTY:g}"
    needs = (extract_step(lab, name, Case(None, "", TRAIN, seed)),)
    return Step(lab.folder("nets", name, seed), PROBE, about, partial(fit_probe, name=name, seed=seed), needs)


def fit_probe(lab: Lab, name: str, seed: int) -> None:
    """Fit a linear classifier to the first rows of a permutation that the seed draws."""
    outputs, images = ClassifierOutputs.load(lab.extracted(name, seed, TRAIN)), lab.images(name, seed, TRAIN)
    rows, labels = lab.fit_rows(name, seed, round(PROBED * len(outputs))), np.asarray(images.labels)
    features = np.asarray(outputs.require_features()[rows], dtype=np.float32)
    count = len(images.classes or ()) or int(labels.max()) + 1
    weights, bias = fit_standardised_softmax(features, labels[rows], count, PENALTY)
    with staged_folder(lab.folder("nets", name, seed), last=PROBE) as staging:
        save_arrays({"weights": weights, "bias": bias.astype(np.float32)}, staging / PROBE)


def rows_step(lab: Lab, classifier: str, count: int | None, seed: int) -> Step:
    """Return the step that writes the outputs of the rows that a pair's oracles are trained on."""
    about = f"draw {'all' if count is None else f'{count:,}'} of the training rows of {classifier}"
    needs = output_steps(lab, Case(None, classifier, TRAIN, seed), [TRAIN])
    folder = lab.folder("fit-rows", classifier, seed) / str(count or "all")
    return Step(folder, MANIFEST, about, partial(write_rows, name=classifier, count=count, seed=seed), tuple(needs))


def write_rows(lab: Lab, name: str, count: int | None, seed: int) -> None:
    """Write the outputs of some training rows, without features, which oracles on images do not see."""
    some = lab.own_outputs(name, seed, TRAIN).subset(lab.fit_rows(name, seed, count))
    some.changed(features=None).save(lab.folder("fit-rows", name, seed) / str(count or "all"))
