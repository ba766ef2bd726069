"""Table 2 of the paper on another data set: its recipe for small nets from the classifier on, over seeds.

Run ``python -m steepslope.experiments.recipe_table --help``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.training import recipe_for
from steepslope.data.datasets import SPLIT_SEED, parse_dataset
from steepslope.data.images import Dataset
from steepslope.evaluation.rows import nan_to_none
from steepslope.evaluation.score import BASELINE, Resources
from steepslope.experiments import common
from steepslope.experiments.common import Row, interval_cell, outputs_of, shown_metrics
from steepslope.experiments.loss_table import mean_table
from steepslope.extraction.extraction import named_data
from steepslope.extraction.options import ExtractionOptions
from steepslope.metrics import METRICS, Metric
from steepslope.outputs import ClassifierOutputs
from steepslope.presets import preset
from steepslope.report.grid import UNDEFINED, Cell, Grid, markdown
from steepslope.report.tables import DELTA

SCORES = ("mc_dropout", "trust_score")
PASSES = 50  # paper, Section 4
TCP, STEEP = "confidnet-tuned", "steep-slope"  # as the presets name their stages
COMPARED = ("auc", "aupr_error", "fpr_at_95tpr")
NAMES = "`confidnet-tuned` is the paper's TCP, `confidnet` its first stage, where only the new layers are trained."


def recipe_table(
    data: str,
    work: str,
    out: str,
    classifier_preset: str = "fashion-mnist-classifier",
    oracle_preset: str = "fashion-mnist",
    seeds: tuple[int, ...] = (0, 1, 2),
) -> None:
    """Train classifiers and oracles by presets, evaluate on the test split, and write rows.json and table.md.

    Parameters
    ----------
    data
        Data spec that the net of the classifier preset fits.
    work
        Folder for checkpoints, outputs, oracles and their rows; those that are there already are not made again.
    out
        Folder for the results, written when all is there.
    classifier_preset
        Preset of train-classifier.
    oracle_preset
        Preset of finetune; the oracle of each stage gets a row.
    seeds
        Seeds, each with a classifier, and an oracle for each stage.
    """
    common.require_seeds(seeds)
    rows: list[Row] = []
    for seed in seeds:
        folder = Path(work) / f"seed{seed}"
        classifier = _classifier(data, folder / "classifier", preset(classifier_preset), seed)
        rows += seed_rows(data, classifier, folder, preset(oracle_preset), seed)
    common.write_results(out, rows, tables(rows))


def _classifier(data: str, folder: Path, settings: Mapping[str, Any], seed: int) -> Classifier:
    others = dict(settings)
    net, holdout, split_seed = others.pop("net"), others.pop("holdout", None), others.pop("split_seed", SPLIT_SEED)
    return common.trained_classifier(net, data, folder, recipe_for(net, **others, seed=seed), holdout, split_seed)


def seed_rows(data: str, classifier: Classifier, folder: Path, settings: Mapping[str, Any], seed: int) -> list[Row]:
    """Train one seed's oracles, or find them, and evaluate beside the paper's baselines."""
    spec = parse_dataset(data)
    images = named_data(classifier, spec, None)
    outputs = _extracted(classifier, images, folder)
    test = outputs["test"]
    given = {"oracle": classifier.spec, "data": spec.name, "seed": seed}
    splits = {"outputs": str(folder / "train"), "valid": str(folder / "holdout")}
    request = common.train_by_preset(settings, folder / "oracles", **given, **splits)
    names = [*SCORES, *(str(folder / "oracles" / name) for name in request.recipes)]
    resources = Resources(outputs["holdout"], outputs["train"], lambda _: images["test"])
    key, about = common.rows_key(test, names, seed), {"seed": seed, "split": "test", "fit_rows": len(outputs["train"])}
    rows = common.kept_rows(folder, key, lambda: block_rows(names, test, resources, seed))
    return [{**about, **row, **about} for row in rows]


def _extracted(classifier: Classifier, images: Mapping[str, Dataset], folder: Path) -> dict[str, ClassifierOutputs]:
    """Return the outputs of each split; those of the test split with dropout passes."""
    plain = ExtractionOptions(batch_size=256)
    passes = ExtractionOptions(evidence=("features", "dropout", "noise"), passes=PASSES, batch_size=256)
    net, test = classifier.with_transform(), "test-dropout"
    found = outputs_of(net, {name: images[name] for name in ("train", "holdout")}, folder, plain)
    return {**found, "test": outputs_of(net, {test: images["test"]}, folder, passes)[test]}


def block_rows(names: Sequence[str], seen: ClassifierOutputs, resources: Resources, seed: int) -> list[Row]:
    """Return a row a score or oracle; steep slope's has also its paired differences to TCP."""
    evaluation = common.evaluate(seen, names, seed, resources)
    rows = {row.name: row.as_json() for row in evaluation.rows}
    if {TCP, STEEP} <= rows.keys():
        scored = {one.name: one for one in evaluation.scored}
        differences = common.compared(scored[STEEP], scored[TCP], seen, seed)
        rows[STEEP]["minus_tcp"] = {name: nan_to_none(differences[name]) for name in COMPARED}
    return list(rows.values())


def tables(rows: Sequence[Row]) -> str:
    """Return the means over seeds, steep slope's differences to TCP, and every seed's rows with their intervals."""
    return "\n\n".join([mean_table(rows).strip(), NAMES, _differences(rows), _seed_by_seed(rows)]) + "\n"


def _differences(rows: Sequence[Row]) -> str:
    lines = [
        [Cell(f"seed {row['seed']}"), *(interval_cell(row["minus_tcp"][name], sign="+") for name in COMPARED)]
        for row in rows
        if "minus_tcp" in row
    ]
    columns = ["", *(METRICS[name].heading for name in COMPARED)]
    return markdown(Grid(f"{STEEP} − {TCP}", columns, lines, "Points, paired, with 95 % intervals."))


def _seed_by_seed(rows: Sequence[Row]) -> str:
    shown = shown_metrics(rows)
    columns = ["score", "errors", *(metric.heading for metric in shown.values()), DELTA]
    note = (
        "In percent, with 95 % bootstrap intervals; TPR and TNR at each score's own threshold; errors: how many "
        "predictions are wrong."
    )
    return markdown(Grid("Seed by seed", columns, [_line(row, shown) for row in rows], note))


def _line(row: Row, shown: Mapping[str, Metric]) -> list[Cell]:
    errors = round(row["n"] * (1 - row["accuracy"]["value"]))
    numbers = (interval_cell(row[name], metric.scale) for name, metric in shown.items())
    delta = UNDEFINED if row["score"] == BASELINE else interval_cell(row["delta_auc_vs_mcp"], sign="+")
    return [Cell(f"{row['score']}, seed {row['seed']}"), Cell(f"{errors:,}"), *numbers, delta]


if __name__ == "__main__":
    common.main(recipe_table)
