"""`predict` beside `extract`, and beside itself on Ray, where the gate needs one forward pass (budget free).

All run whole on the same image files, from decoding to what they write, with the same net, batches and backend.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.nets import LITE0, load
from benchmarks.timing import Comparison, medians_in_turn
from steepslope.gate import Gate, Origin
from steepslope.nets.classifiers import Classifier
from steepslope.nets.data import parse_data
from steepslope.nets.extraction import ExtractionOptions, extract_to_folder
from steepslope.nets.predict import ClusterOptions, FromCluster, FromImages, ImageGate
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.predict import Made, PredictOptions, predict_to_file

FIT_ROWS, BATCH = 2_000, 32
EVIDENCE = ("features",)  # what the free budget needs, and so what is extracted, too


@dataclass(frozen=True, eq=False)
class Setup:
    """A folder with images, the gate for them, and how to extract and predict."""

    home: Path
    extract: Callable[[], object]
    source: FromImages


@contextmanager
def _set_up(net: str, count: int, **further: Any) -> Iterator[Setup]:
    """Write smooth images, which decode about as photographs do, extract, and make a gate of no use."""
    classifier, small = load(net), net == "mnist-net"
    backend: Any = "torch" if small else "onnx"
    rng, size = np.random.default_rng(0), classifier.transform.size
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "images").mkdir()
        for number in range(count):
            coarse = Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8)).resize(size)
            coarse.convert("L" if small else "RGB").save(home / "images" / f"{number:06d}.jpg")
        spec = parse_data(f"images:{home / 'images'}")
        options = ExtractionOptions(evidence=EVIDENCE, batch_size=BATCH, backend=backend)

        def extract() -> None:
            shutil.rmtree(home / "outputs", ignore_errors=True)
            extract_to_folder(classifier, spec, home / "outputs", options)

        extract()
        gate = _random_gate(classifier, ClassifierOutputs.load(home / "outputs"), Origin.from_folder(home / "outputs"))
        judge = replace(ImageGate.of(gate, classifier), options=options)
        chosen = PredictOptions(batch_size=BATCH, backend=backend, **further)
        yield Setup(home, extract, FromImages(judge, spec.open(), str(spec), chosen))


def _random_gate(classifier: Classifier, outputs: ClassifierOutputs, origin: Origin) -> Gate:
    """Return a gate with a free fused oracle, fitted to random features."""
    rng, width, classes = np.random.default_rng(0), outputs.require_features().shape[1], outputs.num_classes
    logits = rng.standard_normal((3 * FIT_ROWS, classes), dtype=np.float32)
    labels = np.where(rng.random(3 * FIT_ROWS) < 0.9, logits.argmax(axis=1), 0)
    features = rng.standard_normal((3 * FIT_ROWS, width), dtype=np.float32)
    drawn = ClassifierOutputs(logits, labels, features).of_classifier(classifier.digest)
    fit_set, reference, rows = (drawn.subset(slice(at, at + FIT_ROWS)) for at in range(0, 3 * FIT_ROWS, FIT_ROWS))
    return Gate.of(Oracle.fused(budget="free").fit(fit_set, reference), rows, 0.5, origin=origin)


def predict_against_extract(net: str = LITE0, count: int = 512, rounds: int = 7) -> Comparison:
    """Compare them on some image files; predict may take 5 % longer."""
    with _set_up(net, count) as made:

        def predict() -> None:
            predict_to_file(made.source, made.home / "found.parquet", made.source.key(), replace=True)

        ours, theirs = medians_in_turn(predict, made.extract, rounds)
    rates = f"{count / ours:.0f} images/s, against extract ({count / theirs:.0f} images/s)"
    return Comparison(f"predict, budget free, {net}, {count} JPEG files, {rates}", ours, theirs, goal=0.95)


def ray_against_one_process(net: str = LITE0, count: int = 768, chunks: int = 24) -> Comparison:
    """Compare `predict --engine ray` with one process that has the same cores, from the first chunk to the last.

    What each run costs once, to start Ray and to load nets in each actor, is not in it. The threads of one process fill
    all cores where the net is large; of small images it decodes on one core.
    """
    cores = len(os.sched_getaffinity(0))
    with _set_up(net, count, shard_rows=count // chunks) as made:
        start = time.perf_counter()
        made.extract()
        extracted = count / (time.perf_counter() - start)
        theirs = _seconds_an_image(made.source.missing)
        cluster = ClusterOptions(engine="ray", actors=cores)
        ours = _seconds_an_image(FromCluster(**vars(made.source), cluster=cluster).missing)
    rates = f"{1 / ours:.0f} images/s, against one process of {torch.get_num_threads()} threads ({1 / theirs:.0f})"
    title = f"ray, {cores} actors, budget free, {net}, {rates}; extract ({extracted:.0f})"
    return Comparison(title, ours, theirs, goal=0.9)


def _seconds_an_image(missing: Callable[[Path], Made]) -> float:
    """Return the time an image from the first chunk, which waits for all that is loaded once, to the last."""
    moments, counts = [], []
    for _, table in missing(Path("nowhere")):
        moments.append(time.perf_counter())
        counts.append(len(table["id"]))
    return (moments[-1] - moments[0]) / sum(counts[1:])
