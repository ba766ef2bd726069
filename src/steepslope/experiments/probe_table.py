"""The fused oracle for a probed ImageNet backbone: a linear classifier on its frozen features, over seeds.

Run ``python -m steepslope.experiments.probe_table --help``, after ``steepslope.experiments.fused_table`` with the same
work folder. The foreign backbone is a small net of the same data.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from steepslope.cli import run
from steepslope.data.classifier_specs import load_classifier
from steepslope.data.classifiers import Classifier
from steepslope.data.datasets import parse_dataset
from steepslope.data.extraction import named_data
from steepslope.data.options import ExtractionOptions
from steepslope.evaluation import Resources, Scored, score_predictions, table_rows
from steepslope.experiments.common import write_results
from steepslope.experiments.fused_table import against_best, foreign_at, gains, outputs_at, score_table
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs, blocks
from steepslope.scores import SCORES
from steepslope.training.linear import fit_standardised_softmax

PENALTY = 1e-3
SHARE = 0.8  # of the training rows, drawn anew for each seed's probe
ORACLES = {"fused": True, "fused without a foreign backbone": False}


class FeaturesAsLogits(nn.Module):
    """A net whose logits are its features, so that views keep the features of changed images."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features twice."""
        features, _ = self.net(images)
        return features, features


def probe_table(
    data: str,
    classifiers: str,
    work: str,
    out: str,
    backbone: str,
    size: int = 96,
    mean: float = 0.5,
    std: float = 0.5,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Extract what is missing, fit probes and oracles, evaluate, and write rows.json and table.md.

    Parameters
    ----------
    data
        A data spec.
    classifiers
        Folder with seed0/classifier and so on: small nets, the foreign backbones.
    work
        Folder for outputs; what is there already is not made again.
    out
        Folder for the results.
    backbone
        Classifier spec of the backbone that is probed.
    size
        Side of its input.
    mean
        Of its input.
    std
        Of its input.
    seeds
        One probe and one foreign net for each.
    """
    net = load_classifier(backbone).with_transform(size, mean, std)
    parts = _backbone_outputs(net, data, Path(classifiers), Path(work))
    rows = [row for seed in seeds for row in _seed_rows(parts, Path(work), seed)]
    write_results(out, rows, "\n\n".join([score_table(rows), gains(rows)]) + "\n")


def _backbone_outputs(
    net: Classifier, data: str, classifiers: Path, work: Path
) -> dict[str, tuple[ClassifierOutputs, ClassifierOutputs | None]]:
    """Return the backbone's outputs of each split and, of those to judge, the views of its features."""
    split_by = load_classifier(f"checkpoint:{classifiers / 'seed0' / 'classifier'}")
    named = named_data(split_by, parse_dataset(data), None)
    views = ExtractionOptions(evidence="views", batch_size=64, backend="onnx")
    width = foreign_at(net, named["test"], work / "probed" / "test").require_features().shape[1]
    wide = replace(net, net=FeaturesAsLogits(net.net).eval(), num_classes=width, classes=None)
    return {
        name: (
            foreign_at(net, split, work / "probed" / name),
            None if name == "train" else outputs_at(wide, split, work / "probed-views" / name, views, _said_of_views),
        )
        for name, split in named.items()
    }


def _said_of_views(outputs: ClassifierOutputs) -> str:
    return f"views of {len(outputs):,} images"


def _seed_rows(
    parts: dict[str, tuple[ClassifierOutputs, ClassifierOutputs | None]], work: Path, seed: int
) -> list[dict[str, Any]]:
    weights, bias = probe(parts["train"][0], seed)
    sets = {
        name: judged(base, changed, weights, bias).with_foreign(ClassifierOutputs.load(work / f"seed{seed}" / name))
        for name, (base, changed) in parts.items()
    }
    test = sets["test"]
    names = [name for name in SCORES if name != "mc_dropout"]  # a linear probe has no dropout
    scored = score_predictions(names, test, Resources(sets["holdout"], sets["train"]))
    for name, foreign in ORACLES.items():
        known, fit_set, unseen = (
            sets[part] if foreign else replace(sets[part], foreign=None) for part in ("train", "holdout", "test")
        )
        oracle = Oracle.fused(seed=seed).fit(fit_set, known)
        scored.append(Scored(name, oracle.loss, oracle.trust_logit(unseen), oracle.scale))
    rows = [row.as_json() for row in table_rows(scored, test.is_correct, seed=seed)]
    for index in range(len(names), len(rows)):
        rows[index]["best_single"] = against_best(scored, rows, index, len(names), test.is_correct, seed)
    return [{"seed": seed, **row} for row in rows]


def probe_rows(n: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of the training split that a seed's probe is fitted to, in the order in which they were drawn."""
    return np.random.default_rng(seed).permutation(n)[: round(SHARE * n)]


def probe(train: ClassifierOutputs, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights and bias of a linear classifier on the features of a share of the rows, drawn by the seed."""
    rows = np.sort(probe_rows(len(train), seed))
    classes = int(train.labels.max()) + 1
    return fit_standardised_softmax(train.require_features()[rows], train.labels[rows], classes, PENALTY)


def judged(
    base: ClassifierOutputs,
    changed: ClassifierOutputs | None,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
) -> ClassifierOutputs:
    """Return the probe's outputs from the backbone's, with views where there are those of its features."""
    logits = np.asarray(base.require_features()) @ weights + bias
    plain = ClassifierOutputs(logits, base.labels, base.features, base.ids)
    if changed is None or changed.views is None:
        return plain
    views = changed.views
    seen = [np.asarray(views[rows]) @ weights + bias for rows in blocks(len(views), 1_000)]
    return replace(plain, views=np.concatenate(seen), noise=changed.noise)


if __name__ == "__main__":
    sys.exit(run(probe_table, sys.argv[1:], "python -m steepslope.experiments.probe_table"))
