"""One block of the paper's Table 1 on a small data set: MCP and the losses, over seeds.

Run ``python -m steepslope.experiments.loss_table --help``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.cli import run
from steepslope.data.classifier_specs import load_classifier
from steepslope.data.classifiers import CARD as CLASSIFIER_CARD
from steepslope.data.datasets import parse_dataset
from steepslope.data.extraction import extract_to_folder
from steepslope.errors import SteepslopeError, unknown_name
from steepslope.evaluation import BASELINE, score_predictions, table_rows
from steepslope.files import staged_folder, write_json
from steepslope.losses import PAPER_LOSSES
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs_io import MANIFEST
from steepslope.report.grid import UNDEFINED, Cell, Grid, markdown
from steepslope.report.table import COLUMNS, SCALES
from steepslope.training.classifier import recipe_for, train_classifier
from steepslope.trust import CARD as ORACLE_CARD


@dataclass(frozen=True)
class Block:
    """A net and how to train it, its data, the split that oracles are fitted on, and their settings."""

    net: str
    data: str
    flip: bool
    fit_split: str
    oracle: dict[str, Any]


def loss_table(
    data: str,
    work: str,
    out: str,
    net: str = "mnist-net",
    fit_split: str = "train",
    seeds: tuple[int, ...] = (0, 1, 2),
    flip: bool = False,
    hidden: tuple[int, ...] = (64,),
) -> None:
    """Train classifiers and oracles, and write rows.json and table.md.

    Parameters
    ----------
    data
        A data spec that the net fits.
    work
        Folder for checkpoints and outputs; what is there already is not made again.
    out
        Folder for the results.
    net
        mnist-net or digits-net.
    fit_split
        train: the rows the classifier was fitted to, as in the paper; holdout: rows that it never saw.
    seeds
        One classifier, and one oracle a loss, for each.
    flip
        Mirror images at random when the classifiers are trained.
    hidden
        Widths of the oracles' ReLU layers.
    """
    if fit_split not in ("train", "holdout"):
        raise unknown_name("fit split", fit_split, ("train", "holdout"))
    if not seeds:
        raise SteepslopeError("seeds: expected at least one, found none")
    block = Block(net, data, flip, fit_split, {"hidden": tuple(hidden)})
    rows = [row for seed in seeds for row in seed_rows(block, seed, Path(work) / f"seed{seed}")]
    with staged_folder(out, last="table.md") as staging:
        write_json(staging / "rows.json", rows)
        (staging / "table.md").write_text(mean_table(rows), encoding="utf-8")


def seed_rows(block: Block, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Make or reuse everything of one seed, and evaluate on the test split."""
    outputs = _outputs(block, seed, folder)
    oracles = [folder / f"oracles-{block.fit_split}" / name for name in PAPER_LOSSES]
    for path in oracles:
        oracle = Oracle(loss=PAPER_LOSSES[path.name], seed=seed, **block.oracle)
        if not (path / ORACLE_CARD).exists() or Oracle.load(path) != oracle:
            oracle.fit(outputs[block.fit_split]).save(path)
    test = outputs["test"]
    rows = table_rows(score_predictions([str(path) for path in oracles], test), test.is_correct, seed=seed)
    return [{"seed": seed, "fit_split": block.fit_split, **row.as_json()} for row in rows]


def _outputs(block: Block, seed: int, folder: Path) -> dict[str, ClassifierOutputs]:
    """Make or reuse a classifier of exactly this recipe and data, and its outputs."""
    splits = {name: folder / "outputs" / name for name in ("train", "holdout", "test")}
    recipe, spec = recipe_for(block.net, seed=seed, flip=block.flip), parse_dataset(block.data)
    if not (folder / "classifier" / CLASSIFIER_CARD).exists():
        train_classifier(block.net, block.data, folder / "classifier", recipe)
    classifier = load_classifier(f"checkpoint:{folder / 'classifier'}")
    card = classifier.card
    if card is None or (card.net, card.training, card.fingerprint) != (
        block.net,
        asdict(recipe),
        spec.load("train").fingerprint(),
    ):
        raise SteepslopeError(
            f"{folder / 'classifier'}: expected {block.net} trained on {block.data} with {recipe}, "
            f"found {card}; choose another work folder"
        )
    if not all((path / MANIFEST).exists() for path in splits.values()):
        extract_to_folder(classifier, spec, folder / "outputs")
    return {name: ClassifierOutputs.load(path) for name, path in splits.items()}


def mean_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the mean and standard deviation over seeds of each score as Markdown."""
    names = list(dict.fromkeys(row["score"] for row in rows))
    lines = [_mean_line([row for row in rows if row["score"] == name]) for name in names]
    note = (
        f"{rows[0]['n']:,} test rows; mean ± standard deviation over {len({row['seed'] for row in rows})} seeds, in "
        "percent. In brackets: in how many seeds the 95 % interval of the paired difference excludes 0."
    )
    return markdown(Grid("", ["score", "Acc ↑", *COLUMNS.values(), "ΔAUC to MCP"], lines, note)) + "\n"


def _mean_line(rows: Sequence[dict[str, Any]]) -> list[Cell]:
    loss, name = rows[0]["loss"], rows[0]["score"]
    numbers = [_mean([row[key]["value"] for row in rows], SCALES.get(key, 100)) for key in ("accuracy", *COLUMNS)]
    deltas = [row["delta_auc_vs_mcp"] for row in rows]
    clear = sum(delta["low"] > 0 or delta["high"] < 0 for delta in deltas)
    shift = _mean([delta["value"] for delta in deltas], 100, "+")
    delta = UNDEFINED if name == BASELINE else Cell(shift, f"({clear} of {len(rows)})")
    return [Cell(name, "" if loss is None else f"({loss})"), *map(Cell, numbers), delta]


def _mean(values: Sequence[float | None], scale: float, sign: str = "") -> str:
    numbers = scale * np.array([np.nan if value is None else value for value in values])
    spread = np.std(numbers, ddof=1) if len(numbers) > 1 else np.nan
    return f"{np.mean(numbers):{sign}.1f} ± {spread:.1f}"


if __name__ == "__main__":
    sys.exit(run(loss_table, sys.argv[1:], "python -m steepslope.experiments.loss_table"))
