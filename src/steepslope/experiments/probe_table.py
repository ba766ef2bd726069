"""The fused oracle for a probed ImageNet backbone: a linear classifier on its frozen features, over seeds.

Run ``python -m steepslope.experiments.probe_table --help``. It starts from the classifiers that
``steepslope.experiments.loss_table`` has trained, which are its auxiliary backbones; their outputs are found in a
work folder of ``steepslope.experiments.fused_table``.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.classifiers.specs import load_classifier
from steepslope.data.datasets import parse_dataset
from steepslope.estimators.linear import fit_standardised_softmax
from steepslope.evaluation.rows import table_rows
from steepslope.evaluation.score import Resources, Scored, score_predictions
from steepslope.experiments import common
from steepslope.experiments.common import Row, outputs_of
from steepslope.experiments.fused_table import AUXILIARY, PLAIN, against_best, at_budgets, gains, score_table, small_net
from steepslope.extraction.auxiliary import summary_of_features
from steepslope.extraction.extraction import named_data
from steepslope.finetuning.sources import TRAIN
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES

Outputs = Mapping[str, ClassifierOutputs]  # by the names of their data
PENALTY = 1e-3
PROBED_FRACTION = 0.8  # of the training rows, drawn anew for each seed's probe


def probe_table(
    data: str,
    classifiers: str,
    work: str,
    out: str,
    backbone: str,
    size: int = 160,
    mean: float = 0.5,
    std: float = 0.5,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Extract what is missing, fit probes and oracles, evaluate, and write rows.json and table.md.

    Parameters
    ----------
    data
        Data spec that the classifiers were trained on.
    classifiers
        Folder of small nets, the auxiliary backbones: seed0/classifier and so on.
    work
        Folder for outputs, that of ``fused_table``; those that are there already are not made again.
    out
        Folder for the results.
    backbone
        Classifier spec of the backbone that is probed.
    size
        Side of the probed backbone's input, in pixels.
    mean
        Mean of the probed backbone's input.
    std
        Standard deviation of the probed backbone's input.
    seeds
        Seeds, each with a probe and an auxiliary net of its own.
    """
    common.require_seeds(seeds)
    net, folder = load_classifier(backbone).with_transform(size, mean, std), Path(work)
    nets = {seed: small_net(classifiers, seed) for seed in seeds}
    images = named_data(nets[seeds[0]], parse_dataset(data), None)
    plain = outputs_of(net, images, folder / "auxiliary", AUXILIARY, summary_of_features)
    rows: list[Row] = []
    for seed, small in nets.items():
        rows += _seed_rows(plain, outputs_of(small, images, folder / f"seed{seed}", PLAIN), seed)
        common.write_results(out, rows, "\n\n".join([score_table(rows), gains(rows)]) + "\n")


def _seed_rows(plain: Outputs, auxiliary: Outputs, seed: int) -> list[Row]:
    weights, bias = probe(plain[TRAIN], seed)
    sets = {name: probed_outputs(base, weights, bias).with_auxiliary(auxiliary[name]) for name, base in plain.items()}
    test = sets["test"]
    names = [name for name in SCORES if name != "mc_dropout"]  # a linear probe has no dropout
    scored = score_predictions(names, test, Resources(sets["holdout"], sets[TRAIN]))
    auxiliary_oracle = Oracle.fused(seed=seed, budget="auxiliary").fit(sets["holdout"], sets[TRAIN])
    for budget, oracle in at_budgets(auxiliary_oracle).items():
        scored.append(Scored(f"fused-{budget}", oracle.loss, oracle.trust_logit(test), oracle.scale))
    rows = [row.as_json() for row in table_rows(scored, test, bootstrap=common.RESAMPLES, seed=seed)]
    for index in range(len(names), len(rows)):
        rows[index]["best_single"] = against_best(scored, rows, index, len(names), test, seed)
    return [{"seed": seed, **row} for row in rows]


def probe_rows(n: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of the training split that a seed's probe is fitted to, in the order in which they were drawn."""
    return np.random.default_rng(seed).permutation(n)[: round(PROBED_FRACTION * n)]


def probe(train: ClassifierOutputs, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights and bias of a linear classifier on the features of some of the rows, drawn by the seed."""
    rows = np.sort(probe_rows(len(train), seed))
    labels = train.require_labels()
    classes = int(labels.max()) + 1
    weights, bias = fit_standardised_softmax(train.require_features()[rows], labels[rows], classes, PENALTY)
    return weights, bias.astype(np.float32)


def probed_outputs(
    base: ClassifierOutputs, weights: NDArray[np.float32], bias: NDArray[np.float32]
) -> ClassifierOutputs:
    """Return the probe's outputs from the backbone's."""
    logits = np.asarray(base.require_features(), dtype=np.float32) @ weights + bias
    return ClassifierOutputs(logits, base.labels, base.features, base.ids)


if __name__ == "__main__":
    common.main(probe_table)
