"""The fused oracle against every single score, on clean and on distorted images, over seeds.

Run ``python -m steepslope.experiments.fused_table --help``. It starts from the classifiers that
``steepslope.experiments.loss_table`` has trained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.data.datasets import parse_dataset
from steepslope.data.images import Dataset, Images
from steepslope.evaluation.score import Resources, Scored, score_predictions
from steepslope.experiments import common
from steepslope.experiments.common import Row, grouped, metric_cell, outputs_of, shown_metrics
from steepslope.experiments.distortions import DISTORTIONS, distorted
from steepslope.extraction.auxiliary import summary_of_features
from steepslope.extraction.extraction import named_data
from steepslope.extraction.options import ExtractionOptions
from steepslope.finetuning.sources import TRAIN
from steepslope.metrics import METRICS, auroc
from steepslope.metrics.intervals import BOUNDS
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report.grid import Cell, Grid, markdown
from steepslope.scores import SCORES
from steepslope.utilities.progress import console

SHIFTED = ("accuracy", "mcp", "trust_score", "fused")
MAIN = ("auc", "aurc", "fpr_at_95tpr", "aupr_error")
DISTORTED_ROWS = 3_000
LEVELS = (0, 1)
PASSES = 50

PLAIN = ExtractionOptions(batch_size=256, backend="onnx")
WITH_VIEWS = replace(PLAIN, evidence=("features", "views", "noise"))
AUXILIARY = ExtractionOptions(evidence=("features",), batch_size=64, backend="onnx")


def fused_table(
    data: str,
    classifiers: str,
    work: str,
    out: str,
    auxiliary: str,
    auxiliary_size: int = 160,
    auxiliary_mean: float = 0.5,
    auxiliary_std: float = 0.5,
    seeds: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Extract what is missing, fit, evaluate, and write rows.json, shifted.json and table.md.

    Parameters
    ----------
    data
        Data spec that the classifiers were trained on.
    classifiers
        Folder of the classifiers: seed0/classifier and so on.
    work
        Folder for outputs and oracles; outputs that are there already are not made again.
    out
        Folder for the results.
    auxiliary
        Classifier spec of the auxiliary backbone.
    auxiliary_size
        Side of the auxiliary backbone's input, in pixels.
    auxiliary_mean
        Mean of the auxiliary backbone's input.
    auxiliary_std
        Standard deviation of the auxiliary backbone's input.
    seeds
        Seeds of the classifiers.
    """
    common.require_seeds(seeds)
    spec, folder = parse_dataset(data), Path(work)
    nets = {seed: small_net(classifiers, seed) for seed in seeds}
    backbone = load_classifier(auxiliary).with_transform(auxiliary_size, auxiliary_mean, auxiliary_std)
    images = {**named_data(nets[seeds[0]], spec, None), **_distorted(spec.load_into_memory("test"))}
    auxiliary_outputs = outputs_of(backbone, images, folder / "auxiliary", AUXILIARY, summary_of_features)
    rows: list[Row] = []
    shifted: list[Row] = []
    for seed, net in nets.items():
        clean, on_shifted = seed_rows(net, images, auxiliary_outputs, folder / f"seed{seed}", seed)
        rows += clean
        shifted += on_shifted
    common.write_results(out, rows, tables(rows, shifted), {"shifted.json": shifted})


def small_net(classifiers: str, seed: int) -> Classifier:
    """Load one seed's classifier."""
    return load_classifier(f"checkpoint:{Path(classifiers) / f'seed{seed}' / 'classifier'}").with_transform()


def _distorted(test: Images) -> dict[str, Images]:
    """Return the first test images in each distortion and severity, by names such as blur0."""
    some = test.subset(np.arange(min(len(test), DISTORTED_ROWS)))
    return {f"{name}{level}": distorted(some, name, level) for name in DISTORTIONS for level in LEVELS}


def outputs_of_small_net(net: Classifier, images: Mapping[str, Dataset], folder: Path) -> dict[str, ClassifierOutputs]:
    """Return the outputs of one of the small nets, with views of all but its training rows."""
    train = {TRAIN: images[TRAIN]}
    others = {name: data for name, data in images.items() if name != TRAIN}
    return outputs_of(net, train, folder, PLAIN) | outputs_of(net, others, folder, WITH_VIEWS)


def seed_rows(
    net: Classifier, images: Mapping[str, Dataset], auxiliary: Mapping[str, ClassifierOutputs], folder: Path, seed: int
) -> tuple[list[Row], list[Row]]:
    """Fit on one classifier's held-out rows; return the test split's rows, and the AUCs on distorted images."""
    own = outputs_of_small_net(net, images, folder)
    passes = ExtractionOptions(evidence=("dropout",), passes=PASSES, batch_size=256)
    dropout = outputs_of(net, {"test-dropout": images["test"]}, folder, passes)["test-dropout"].dropout
    outputs = {name: one.with_auxiliary(auxiliary[name]) for name, one in own.items()}
    oracle, resources = folder / "fused", Resources(outputs["holdout"], outputs[TRAIN])
    Oracle.fused(seed=seed).fit(outputs["holdout"], outputs[TRAIN]).save(oracle)
    rows = _clean_rows(seed, oracle, outputs["test"].changed(dropout=dropout), resources)
    console().print(f"seed {seed}: {rows[0]['auc']['value']:.4f} MCP, {rows[-1]['auc']['value']:.4f} fused")
    return rows, [
        _shifted(seed, name, level, oracle, outputs[f"{name}{level}"], resources)
        for name in DISTORTIONS
        for level in LEVELS
    ]


def _clean_rows(seed: int, oracle: Path, test: ClassifierOutputs, resources: Resources) -> list[Row]:
    evaluation = common.evaluate(test, [*SCORES, str(oracle)], seed, resources)
    rows = [row.as_json() for row in evaluation.rows]
    last = len(rows) - 1
    rows[last]["best_single"] = against_best(evaluation.scored, rows, last, last, test, seed)
    return [{"seed": seed, **row} for row in rows]


def against_best(
    scored: Sequence[Scored], rows: Sequence[Row], index: int, singles: int, outputs: ClassifierOutputs, seed: int
) -> Row:
    """Compare one of the scored with the best by AURC of the first ``singles``."""
    best = min(range(singles), key=lambda row: rows[row]["aurc"]["value"])
    against = common.compared(scored[index], scored[best], outputs, seed)
    return {"score": rows[best]["score"], **{name: dict(against[name]) for name in MAIN}}


def _shifted(seed: int, name: str, level: int, oracle: Path, outputs: ClassifierOutputs, resources: Resources) -> Row:
    scored = score_predictions(["trust_score", str(oracle)], outputs, resources)
    aucs = {one.name: auroc(one.confidence, outputs.is_correct) for one in scored}
    delta = dict(common.compared(scored[-1], scored[0], outputs, seed)["auc"])
    accuracy = float(outputs.is_correct.mean())
    return {"seed": seed, "distortion": name, "level": level, "accuracy": accuracy, **aucs, "delta": delta}


def tables(rows: Sequence[Row], shifted: Sequence[Row]) -> str:
    """Return all tables as Markdown."""
    return "\n\n".join([score_table(rows), gains(rows), _distortions(shifted)]) + "\n"


def score_table(rows: Sequence[Row]) -> str:
    """Return each score's means over seeds."""
    shown, by_score = shown_metrics(rows), grouped(rows, "score")
    lines = [[Cell(name), *(metric_cell(own, metric) for metric in shown)] for name, own in by_score.items()]
    note = f"{rows[0]['n']:,} test rows; mean ± standard deviation over {len({row['seed'] for row in rows})} seeds."
    return markdown(Grid("", ["score", *(metric.heading for metric in shown.values())], lines, note))


def gains(rows: Sequence[Row]) -> str:
    """Return the paired differences of each fused oracle to MCP and to the best single score, seed by seed."""
    lines = []
    for row in (row for row in rows if "best_single" in row):
        best = row["best_single"]
        for rival, values in (("mcp", row["vs_mcp"]), (f"{best['score']} (best single)", best)):
            cells = [_difference_cell(values[name], METRICS[name].scale) for name in MAIN]
            lines.append([Cell(f"{row['score']}, seed {row['seed']}"), Cell(rival), *cells])
    titles = ["", "against", *(METRICS[name].heading for name in MAIN)]
    return markdown(Grid("", titles, lines, "Paired differences with 95 % intervals; the best single score by AURC."))


def _difference_cell(value: dict[str, float], scale: float) -> Cell:
    middle, low, high = (f"{scale * value[bound]:+.1f}" for bound in BOUNDS)
    return Cell(middle, f"({low} to {high})")


def _distortions(shifted: Sequence[Row]) -> str:
    lines = []
    for name, some in grouped(shifted, "distortion").items():
        values = [100 * float(np.mean([row[key] for row in some])) for key in SHIFTED]
        clear = sum(row["delta"]["low"] > 0 for row in some), sum(row["delta"]["high"] < 0 for row in some)
        delta = Cell(f"{values[-1] - values[1]:+.1f}", f"({clear[0]} above, {clear[1]} below of {len(some)})")
        lines.append([Cell(name), *(Cell(f"{value:.1f}") for value in values), delta])
    mean = float(np.mean([100 * (row["fused"] - row["mcp"]) for row in shifted]))
    note = (
        f"AUC in percent on distorted images, mean of two severities and all seeds; mean difference {mean:+.1f}. In "
        "brackets: how many paired 95 % intervals of the difference are above or below 0."
    )
    return markdown(Grid("", ["distortion", "Acc", "MCP", "TrustScore", "fused", "fused − MCP"], lines, note))


if __name__ == "__main__":
    common.main(fused_table)
