"""Table 2 of the paper on another data set: its recipe for small nets from the classifier on, over seeds.

Run ``python -m steepslope.experiments.recipe_table --help``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from steepslope.cli import run
from steepslope.data.classifier_specs import load_classifier
from steepslope.data.classifiers import CARD
from steepslope.data.datasets import parse_dataset
from steepslope.data.extraction import named_data
from steepslope.data.options import ExtractionOptions
from steepslope.evaluation import BASELINE, FitSets, score_predictions, table_rows
from steepslope.experiments.fused_table import outputs_at
from steepslope.experiments.loss_table import mean_table
from steepslope.files import staged_folder, write_json
from steepslope.metrics.intervals import Estimate
from steepslope.presets import preset
from steepslope.report.grid import UNDEFINED, Cell, Grid, estimate_cell, markdown
from steepslope.report.table import COLUMNS, SCALES
from steepslope.training.classifier import recipe_for, train_classifier
from steepslope.training.launch import train_stages
from steepslope.training.request import FinetuneRequest

SCORES = ("mc_dropout", "trust_score")
PASSES = 50  # paper, Section 4


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
        A data spec that the classifier preset's net fits.
    work
        Folder for checkpoints, outputs and oracles; what is there already is not made again.
    out
        Folder for the results.
    classifier_preset
        Of train-classifier.
    oracle_preset
        Of finetune; the oracle of each stage gets a row.
    seeds
        One classifier, and one oracle a stage, for each.
    """
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        folder = Path(work) / f"seed{seed}"
        if not (folder / "classifier" / CARD).exists():
            _train_classifier(data, folder / "classifier", preset(classifier_preset), seed)
        rows += seed_rows(data, folder, preset(oracle_preset), seed)
        with staged_folder(out, last="table.md") as staging:
            write_json(staging / "rows.json", rows)
            (staging / "table.md").write_text(tables(rows), encoding="utf-8")


def _train_classifier(data: str, out: Path, says: dict[str, Any], seed: int) -> None:
    kept = {name: value for name, value in says.items() if name not in ("net", "holdout", "split_seed")}
    recipe = recipe_for(says["net"], **kept, seed=seed)
    train_classifier(says["net"], data, out, recipe, says.get("holdout"), says.get("split_seed", 42))


def seed_rows(data: str, folder: Path, says: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """Train one seed's oracles, or find them, and evaluate beside the paper's baselines."""
    spec = f"checkpoint:{folder / 'classifier'}"
    classifier, parsed = load_classifier(spec).with_transform(), parse_dataset(data)
    images, plain = named_data(classifier, parsed, None), ExtractionOptions(batch_size=256)
    train, held_out, test = (outputs_at(classifier, images[name], folder / name, plain) for name in images)
    passes = ExtractionOptions(evidence="features,dropout", passes=PASSES, batch_size=256)
    dropped = outputs_at(classifier, images["test"], folder / "test-dropout", passes)
    asked = FinetuneRequest(
        **{**says, "oracle": spec, "data": parsed.name, "outputs": str(folder / "train"),
           "valid": str(folder / "holdout"), "seed": seed}
    )  # fmt: skip
    train_stages(asked, folder / "oracles", Fabric(accelerator="auto", devices=1, precision="32-true"))
    names = [*SCORES, *(str(folder / "oracles" / name) for name in asked.recipes)]
    scored = score_predictions(names, dropped, FitSets(held_out, train), lambda _: images["test"])
    return [{"seed": seed, **row.as_json()} for row in table_rows(scored, test.is_correct, seed=seed)]


def tables(rows: Sequence[dict[str, Any]]) -> str:
    """Return the means over seeds, and every seed's rows with their intervals."""
    lines = [
        [Cell(f"{row['score']}, seed {row['seed']}"), *(_cell(row[key], key) for key in COLUMNS), _delta(row)]
        for row in rows
    ]
    columns = ["score", *COLUMNS.values(), "ΔAUC to MCP"]
    note = "In percent, with 95 % bootstrap intervals; TPR and TNR at each score's own threshold."
    return "\n\n".join([mean_table(rows).strip(), markdown(Grid("Seed by seed", columns, lines, note))]) + "\n"


def _cell(value: dict[str, float | None], key: str, sign: str = "") -> Cell:
    low, middle, high = (float("nan") if value[one] is None else value[one] for one in ("low", "value", "high"))
    return estimate_cell(Estimate(value=middle, low=low, high=high), SCALES.get(key, 100), sign)  # type: ignore[typeddict-item]


def _delta(row: dict[str, Any]) -> Cell:
    return UNDEFINED if row["score"] == BASELINE else _cell(row["delta_auc_vs_mcp"], "auc", "+")


if __name__ == "__main__":
    sys.exit(run(recipe_table, sys.argv[1:], "python -m steepslope.experiments.recipe_table"))
