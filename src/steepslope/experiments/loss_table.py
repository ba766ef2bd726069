"""One block of the paper's Table 1 on a small data set: MCP and the losses, over seeds.

Run ``python -m steepslope.experiments.loss_table --help``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.training import recipe_for
from steepslope.data.datasets import parse_dataset
from steepslope.errors import require_known
from steepslope.evaluation.score import BASELINE
from steepslope.experiments import common
from steepslope.experiments.common import Row, grouped, mean_cell, metric_cell, shown_metrics
from steepslope.extraction.extraction import extract_to_folder
from steepslope.losses import PAPER_LOSSES
from steepslope.metrics import METRICS
from steepslope.oracle import Oracle
from steepslope.oracle.storage import CARD as ORACLE_CARD
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.folder import MANIFEST
from steepslope.report.grid import UNDEFINED, Cell, Grid, markdown
from steepslope.report.tables import DELTA
from steepslope.utilities.progress import console

SPLIT_WORDS = {"test": "test", "holdout": "held-out"}


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
        Data spec that the net fits.
    work
        Folder for checkpoints and outputs; those that are there already are not made again.
    out
        Folder for the results.
    net
        Net of the classifiers: mnist-net or digits-net.
    fit_split
        Split that oracles are fitted on: train, which the classifier was fitted to, as in the paper, or holdout.
    seeds
        Seeds, each with a classifier, and an oracle for each loss.
    flip
        Mirror images at random when the classifiers are trained.
    hidden
        Widths of the oracles' ReLU layers.
    """
    require_known("fit split", fit_split, ("train", "holdout"))
    common.require_seeds(seeds)
    rows: list[Row] = []
    for seed in seeds:
        folder = Path(work) / f"seed{seed}"
        classifier = common.trained_classifier(net, data, folder / "classifier", recipe_for(net, seed=seed, flip=flip))
        rows += seed_rows(_outputs(classifier, data, folder / "outputs"), fit_split, tuple(hidden), seed, folder)
    common.write_results(out, rows, mean_table(rows))


def _outputs(classifier: Classifier, data: str, folder: Path) -> dict[str, ClassifierOutputs]:
    """Make or reuse a classifier's outputs."""
    splits = {name: folder / name for name in ("train", "holdout", "test")}
    if not all((path / MANIFEST).exists() for path in splits.values()):
        extract_to_folder(classifier, parse_dataset(data), folder, notice=console().print)
    return {name: ClassifierOutputs.load(path) for name, path in splits.items()}


def seed_rows(
    outputs: Mapping[str, ClassifierOutputs], fit_split: str, hidden: tuple[int, ...], seed: int, folder: Path
) -> list[Row]:
    """Fit or reuse one seed's oracles, and evaluate on the test split."""
    oracles = [folder / f"oracles-{fit_split}" / name for name in PAPER_LOSSES]
    for path in oracles:
        oracle = Oracle(loss=PAPER_LOSSES[path.name], seed=seed, hidden=hidden)
        if not (path / ORACLE_CARD).exists() or getattr(Oracle.load(path), "settings", None) != oracle.settings:
            oracle.fit(outputs[fit_split]).save(path)
    evaluation = common.evaluate(outputs["test"], [str(path) for path in oracles], seed)
    return [{"seed": seed, "fit_split": fit_split, **row.as_json()} for row in evaluation.rows]


def mean_table(rows: Sequence[Row]) -> str:
    """Return the mean and standard deviation over seeds of each score as Markdown."""
    split = SPLIT_WORDS[rows[0].get("split", "test")]
    seeds = len({row["seed"] for row in rows})
    over = "one seed," if seeds == 1 else f"mean ± standard deviation over {seeds} seeds,"
    lines = [_mean_line(own) for own in grouped(rows, "score").values()]
    note = (
        f"{rows[0]['n']:,} {split} rows; {over} in percent. In brackets: in how many seeds the 95 % interval of the "
        "paired difference excludes 0."
    )
    titles = [METRICS[name].heading for name in ("accuracy", *shown_metrics(rows))]
    return markdown(Grid("", ["score", *titles, DELTA], lines, note)) + "\n"


def _mean_line(rows: Sequence[Row]) -> list[Cell]:
    loss, name = rows[0]["loss"], rows[0]["score"]
    numbers = [metric_cell(rows, name) for name in ("accuracy", *shown_metrics(rows))]
    deltas = [row["delta_auc_vs_mcp"] for row in rows]
    shift = mean_cell([delta["value"] for delta in deltas], 100, "+")
    undefined = name == BASELINE or shift == UNDEFINED
    delta = UNDEFINED if undefined else Cell(shift.text, f"({sum(map(_excludes_zero, deltas))} of {len(rows)})")
    return [Cell(name, "" if loss is None else f"({loss})"), *numbers, delta]


def _excludes_zero(delta: dict[str, float | None]) -> bool:
    low, high = delta["low"], delta["high"]
    return low is not None and high is not None and (low > 0 or high < 0)


if __name__ == "__main__":
    common.main(loss_table)
