"""The fused oracle against every single score, on clean and on distorted images, over seeds.

Run ``python -m steepslope.experiments.fused_table --help``. It starts from the classifiers that
``steepslope.experiments.loss_table`` has trained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.data.augmentation import AUGMENTATIONS, Augmented
from steepslope.data.datasets import DatasetSpec, parse_dataset
from steepslope.data.images import Dataset, Images
from steepslope.estimators.small_net import fit_small_net, small_net_logits
from steepslope.evaluation.score import Resources, Scored, score_predictions
from steepslope.evidence.copies import joined
from steepslope.evidence.joint_opinion import INPUTS, WIDTH
from steepslope.experiments import common
from steepslope.experiments.common import Row, grouped, metric_cell, outputs_of, shown_metrics
from steepslope.experiments.distortions import DISTORTIONS, distorted
from steepslope.extraction.auxiliary import summary_of_features
from steepslope.extraction.extraction import named_data
from steepslope.extraction.options import ExtractionOptions
from steepslope.finetuning.sources import TRAIN
from steepslope.metrics import METRICS, auroc
from steepslope.metrics.intervals import BOUNDS, compare
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle.storage import CARD as ORACLE_CARD
from steepslope.outputs import ClassifierOutputs
from steepslope.report.grid import Cell, Grid, markdown
from steepslope.scores import MCP, SCORES
from steepslope.utilities.progress import console

HOLDOUT = "holdout"
RETRAINED = "mcp of a net on both, in its place"
MAIN = ("auc", "aurc", "fpr_at_95tpr", "aupr_error")
BUDGETS = ("free", "auxiliary")
DISTORTED_ROWS = 500
LEVELS = (0, 1)
PASSES = 10
DROPOUT = 0.3  # of the net in the classifier's place
FAMILIAR = ("noise", "blur", "contrast", "rotate", "erase", "scale", "perspective")  # kinds that copies have

PLAIN = ExtractionOptions(batch_size=256, backend="onnx")
AUXILIARY = ExtractionOptions(batch_size=64, backend="onnx", evidence=("features",), features="float16")


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
    images = all_images(nets[seeds[0]], spec)
    auxiliary_outputs = outputs_of(backbone, images, folder / "auxiliary", AUXILIARY, summary_of_features)
    rows: list[Row] = []
    shifted: list[Row] = []
    for seed, net in nets.items():
        own = outputs_of(net, images, folder / f"seed{seed}", PLAIN)
        outputs = {name: one.with_auxiliary(auxiliary_outputs[name]) for name, one in own.items()}
        rows += clean_rows(net, images, outputs, folder / f"seed{seed}", seed)
        shifted += shifted_rows(outputs, folder / f"seed{seed}", seed)
        common.write_results(out, rows, tables(rows, shifted), {"shifted.json": shifted})


def all_images(net: Classifier, spec: DatasetSpec) -> dict[str, Dataset]:
    """Return the three splits, their copies, and distorted images."""
    return {**split_images(net, spec), **_distorted(spec.load_into_memory("test"))}


def split_images(net: Classifier, spec: DatasetSpec) -> dict[str, Dataset]:
    """Return the three splits, and copies of those that oracles are fitted on, by names such as train-copies."""
    images = named_data(net, spec, None)
    fitted_on = {name: images[name] for name in (TRAIN, HOLDOUT)}
    copies = {f"{name}-copies": Augmented(data, 1, tuple(AUGMENTATIONS), 0) for name, data in fitted_on.items()}
    return {**images, **copies}


def small_net(classifiers: str, seed: int) -> Classifier:
    """Load one seed's classifier."""
    return load_classifier(f"checkpoint:{Path(classifiers) / f'seed{seed}' / 'classifier'}").with_transform()


def _distorted(test: Images) -> dict[str, Images]:
    """Return the first test images in each distortion and severity, by names such as blur0."""
    some = test.subset(np.arange(min(len(test), DISTORTED_ROWS)))
    return {f"{name}{level}": distorted(some, name, level) for name in DISTORTIONS for level in LEVELS}


def fitted(outputs: Mapping[str, ClassifierOutputs], folder: Path, seed: int, budget: str = "auxiliary") -> FusedOracle:
    """Return the oracle of a budget that is fitted on all copies, or find it."""
    path = folder / "fused"
    if not (path / ORACLE_CARD).exists():
        held_out, known = (with_copies(outputs, name) for name in (HOLDOUT, TRAIN))
        Oracle.fused(seed=seed, budget=budget).fit(held_out, known).save(path)
    oracle = Oracle.load(path)
    assert isinstance(oracle, FusedOracle)
    return oracle


def with_copies(outputs: Mapping[str, ClassifierOutputs], name: str) -> ClassifierOutputs:
    """Return a split's outputs with those of their copies beside them."""
    copies = outputs[f"{name}-copies"]
    arrays = {"logits", "features", "auxiliary", "noise"} & copies.arrays.keys()
    return outputs[name].changed(**{f"augmented_{one}": copies.arrays[one][:, None] for one in arrays})


def at_budgets(oracle: FusedOracle) -> dict[str, FusedOracle]:
    """Return an oracle of the auxiliary budget, and the same without all that needs a second backbone."""
    found = oracle.fitted_
    assert found is not None
    free = FusedOracle(**oracle.settings.as_json())
    free.fitted_ = replace(found, budget="free", pool=found.fallback or found.pool, fallback=None, handover=None)
    return {"free": free, "auxiliary": oracle}


def clean_rows(
    net: Classifier, images: Mapping[str, Dataset], outputs: Mapping[str, ClassifierOutputs], folder: Path, seed: int
) -> list[Row]:
    """Return the test split's rows: every single score, the oracle at each budget, and a classifier in its place."""
    passes = ExtractionOptions(evidence=("dropout",), passes=PASSES, batch_size=256)
    dropout = outputs_of(net, {"test-dropout": images["test"]}, folder, passes)["test-dropout"].dropout
    test = outputs["test"].changed(dropout=dropout)
    oracles = at_budgets(fitted(outputs, folder, seed))
    for name, oracle in oracles.items():
        oracle.save(folder / f"fused-{name}")
    names = [*SCORES, *(str(folder / f"fused-{name}") for name in BUDGETS)]
    evaluation = common.evaluate(test, names, seed, Resources(outputs[HOLDOUT], outputs[TRAIN]))
    rows = [row.as_json() for row in evaluation.rows]
    for index in range(len(SCORES), len(rows)):
        rows[index]["best_single"] = against_best(evaluation.scored, rows, index, len(SCORES), test, seed)
        calibrated = oracles[BUDGETS[index - len(SCORES)]].p_correct(test)
        rows[index]["ece"] = calibration_error(calibrated, test.is_correct)
    console().print(f"seed {seed}: AUC {', '.join(str(row['auc']['value']) for row in rows)}")
    return [{"seed": seed, **row} for row in [*rows, _retrained(outputs, seed)]]


def _retrained(outputs: Mapping[str, ClassifierOutputs], seed: int) -> Row:
    """Return MCP's row of a net on both nets' features, fitted on the same labels, as a classifier of its own."""
    known, test = joined([outputs[TRAIN], outputs[HOLDOUT]], INPUTS), outputs["test"]
    net = fit_small_net(_columns(known), known.require_labels(), known.num_classes, WIDTH, DROPOUT)
    instead = ClassifierOutputs(small_net_logits(_columns(test).astype(np.float64), net), test.labels)
    return {**common.evaluate(instead, [], seed).rows[0].as_json(), "score": RETRAINED}


def _columns(outputs: ClassifierOutputs) -> NDArray[np.float32]:
    return np.concatenate([np.asarray(outputs.require(name), dtype=np.float32) for name in INPUTS], axis=1)


def calibration_error(probability: NDArray[np.float64], is_correct: NDArray[np.bool_], bins: int = 15) -> float:
    """Return the expected calibration error over bins of equal numbers, in [0, 1]."""
    parts = np.array_split(np.argsort(probability, kind="stable"), bins)
    gaps = [abs(probability[part].mean() - is_correct[part].mean()) * len(part) for part in parts if len(part)]
    return float(sum(gaps) / len(probability))


def shifted_rows(outputs: Mapping[str, ClassifierOutputs], folder: Path, seed: int) -> list[Row]:
    """Return the AUCs on distorted images."""
    resources = Resources(outputs[HOLDOUT], outputs[TRAIN])
    oracles = at_budgets(fitted(outputs, folder, seed))
    return [
        _shifted(seed, name, level, oracles, outputs[f"{name}{level}"], resources)
        for name in DISTORTIONS
        for level in LEVELS
    ]


def against_best(
    scored: Sequence[Scored], rows: Sequence[Row], index: int, singles: int, outputs: ClassifierOutputs, seed: int
) -> Row:
    """Compare one of the scored with the best by AURC of the first ``singles``."""
    best = min(range(singles), key=lambda row: rows[row]["aurc"]["value"])
    against = common.compared(scored[index], scored[best], outputs, seed)
    return {"score": rows[best]["score"], **{name: dict(against[name]) for name in MAIN}}


def _shifted(
    seed: int,
    name: str,
    level: int,
    oracles: Mapping[str, FusedOracle],
    outputs: ClassifierOutputs,
    resources: Resources,
) -> Row:
    row: Row = {"seed": seed, "distortion": name, "level": level, "accuracy": float(outputs.is_correct.mean())}
    for scored in score_predictions(["trust_score"], outputs, resources):
        row[scored.name] = auroc(scored.confidence, outputs.is_correct)
    mcp = MCP().confidence(outputs)
    for budget, oracle in oracles.items():
        confidence = oracle.trust_logit(outputs)
        row[budget] = auroc(confidence, outputs.is_correct)
        row[f"delta_{budget}"] = dict(compare(confidence, mcp, outputs.is_correct, bootstrap=400, seed=seed)["auc"])
    handed_over = oracles["auxiliary"].handed_over(outputs)
    return {**row, "handed_over": 0.0 if handed_over is None else float(handed_over.mean())}


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
        values = [_mean(some, key) for key in ("accuracy", "mcp", "trust_score")]
        deltas = [_delta_cell(some, budget) for budget in BUDGETS]
        last = Cell(f"{_mean(some, 'handed_over'):.0f}")
        kind = Cell(f"{name} *" if name in FAMILIAR else name)
        lines.append([kind, *(Cell(f"{value:.1f}") for value in values), *deltas, last])
    titles = ["distortion", "Acc", "MCP", "TrustScore", *(f"{budget} − MCP" for budget in BUDGETS), "handed over"]
    note = (
        "AUC in percent on distorted images, mean of two severities and all seeds. A star: the oracle was fitted on "
        "copies of this kind. In brackets: how many paired 95 % intervals of the difference are above or below 0. "
        + " ".join(_summary(shifted, budget) for budget in BUDGETS)
    )
    return markdown(Grid("", titles, lines, note))


def _mean(rows: Sequence[Row], key: str) -> float:
    return 100 * float(np.mean([row[key] for row in rows]))


def _delta_cell(rows: Sequence[Row], budget: str) -> Cell:
    own = [row[f"delta_{budget}"] for row in rows]
    clear = sum(one["low"] > 0 for one in own), sum(one["high"] < 0 for one in own)
    mean = 100 * float(np.mean([one["value"] for one in own]))
    return Cell(f"{mean:+.1f}", f"({clear[0]} above, {clear[1]} below of {len(own)})")


def _summary(shifted: Sequence[Row], budget: str) -> str:
    """Return the mean gain with and without inversion, the worst kind, and how many are clearly below MCP."""
    by_kind = {
        name: 100 * float(np.mean([row[f"delta_{budget}"]["value"] for row in some]))
        for name, some in grouped(shifted, "distortion").items()
    }
    others = [value for name, value in by_kind.items() if name != "invert"]
    new = [value for name, value in by_kind.items() if name not in FAMILIAR]
    worst = min(by_kind, key=lambda name: by_kind[name])
    below = sum(row[f"delta_{budget}"]["high"] < 0 for row in shifted)
    return (
        f"Budget {budget}: mean {np.mean([*by_kind.values()]):+.1f}, without inversion {np.mean(others):+.1f}, of "
        f"kinds without a star {np.mean(new):+.1f}, worst {worst} {by_kind[worst]:+.1f}, {below} of {len(shifted)} "
        "clearly below."
    )


if __name__ == "__main__":
    common.main(fused_table)
