"""Helpers of all experiments: trainings and outputs that are found again, rows that are kept, and cells of means."""

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.classifiers.checkpoints import CARD as CLASSIFIER_CARD
from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.classifiers.training import ClassifierTraining, train_classifier
from steepslope.data.datasets import SPLIT_SEED, holdout_split, parse_dataset
from steepslope.data.images import Dataset
from steepslope.errors import SteepslopeError
from steepslope.evaluation.evaluation import Evaluation, evaluate_predictions
from steepslope.evaluation.score import NOTHING, Resources, Scored
from steepslope.extraction.extraction import extract, summary
from steepslope.extraction.options import ExtractionOptions
from steepslope.finetuning.launch import train_stages
from steepslope.finetuning.request import FinetuneRequest
from steepslope.finetuning.sources import digest_of
from steepslope.metrics.intervals import BOUNDS, Difference, Estimate, compare
from steepslope.metrics.measures import METRICS, Metric, table_metrics
from steepslope.oracle.storage import CARD as ORACLE_CARD
from steepslope.outputs import ClassifierOutputs
from steepslope.report.grid import UNDEFINED, Cell, estimate_cell
from steepslope.utilities.command_line import run
from steepslope.utilities.files import read_json, staged_folder, write_json
from steepslope.utilities.progress import console

ROWS = "rows.json"
TABLE = "table.md"
RESAMPLES = 1_000  # for the intervals of every table
Row = dict[str, Any]


def main(table: Callable[..., None]) -> None:
    """Run a table's function, which has its module's name, by the words of the command line."""
    sys.exit(run(table, sys.argv[1:], f"python -m steepslope.experiments.{table.__name__}"))


def require_seeds(seeds: Sequence[int]) -> None:
    """Raise unless there is at least one."""
    if not seeds:
        raise SteepslopeError("seeds: expected at least one, found none")


def trained_classifier(
    net: str,
    data: str,
    folder: Path,
    recipe: ClassifierTraining,
    holdout: int | None = None,
    split_seed: int = SPLIT_SEED,
) -> Classifier:
    """Train a classifier, or find one of exactly this net, recipe, data and held-out rows in the folder.

    Raises
    ------
    SteepslopeError
        If the folder holds another.
    """
    if not (folder / CLASSIFIER_CARD).exists():
        train_classifier(net, data, folder, recipe, holdout, split_seed)
    classifier, images = load_classifier(f"checkpoint:{folder}"), parse_dataset(data).load("train")
    held_out = len(holdout_split(len(images), holdout, split_seed)[1])
    card, wanted = classifier.card, (net, asdict(recipe), images.fingerprint(), held_out, split_seed)
    if card is None or (card.net, card.training, card.fingerprint, card.holdout, card.split_seed) != wanted:
        raise SteepslopeError(
            f"{folder}: expected {net} trained on {data} less {held_out:,} rows (split seed {split_seed}) with "
            f"{recipe}, found {card}; choose another work folder"
        )
    return classifier


def outputs_of(
    net: Classifier,
    images: Mapping[str, Dataset],
    folder: Path,
    options: ExtractionOptions,
    describe: Callable[[ClassifierOutputs], str] = summary,
) -> dict[str, ClassifierOutputs]:
    """Extract each data set to the subfolder of its name, or find it there; a folder with other outputs is refused."""
    sources = {folder / name: (name, data) for name, data in images.items()}
    found = extract(net, sources, options, describe, console().print)
    return {name: found[folder / name] for name in images}


def train_by_preset(settings: Mapping[str, Any], out: Path, **others: Any) -> FinetuneRequest:
    """Train by the settings of a preset and others, or find what was trained; return the whole request."""
    request = FinetuneRequest.of(**{**settings, **others})
    train_stages(request, out, console().print)
    return request


def evaluate(outputs: ClassifierOutputs, names: Sequence[str], seed: int, resources: Resources = NOTHING) -> Evaluation:
    """Evaluate scores, by name, and oracles, by folder, with a table's resamples."""
    return evaluate_predictions(outputs, names, resources, bootstrap=RESAMPLES, seed=seed)


def compared(
    one: Scored, other: Scored, outputs: ClassifierOutputs, seed: int, **thresholds: tuple[float, float]
) -> dict[str, Difference]:
    """Return each metric of one less that of the other, paired, with a table's resamples."""
    confidence = one.confidence, other.confidence
    return compare(*confidence, outputs.is_correct, bootstrap=RESAMPLES, seed=seed, **thresholds)  # type: ignore[arg-type]


def rows_key(outputs: ClassifierOutputs, names: Sequence[str], seed: int) -> Row:
    """Return what decides the rows of scores, by name, and of oracles, by folder, on some outputs; as JSON holds it."""
    scores = {Path(name).name: _card_digest(name) for name in names}
    return {"outputs": digest_of(outputs), "scores": scores, "seed": seed}


def _card_digest(name: str) -> str | None:
    """Return the SHA-256 of an oracle's card, which holds what decided its weights; None for a score."""
    card = Path(name) / ORACLE_CARD
    return hashlib.sha256(card.read_bytes()).hexdigest() if card.exists() else None


def kept_rows(folder: Path, key: Row, make: Callable[[], list[Row]]) -> list[Row]:
    """Return the rows that the folder keeps under this key, or make and keep them."""
    path = folder / ROWS
    if path.exists():
        found = read_json(path, "rows of an experiment")
        if found.get("key") == key:
            return list(found["rows"])
    rows = make()
    with staged_folder(folder, last=ROWS) as staging:
        write_json(staging / ROWS, {"key": key, "rows": rows})
    return rows


def write_results(out: str, rows: Sequence[Row], table: str, others: Mapping[str, Sequence[Row]] | None = None) -> None:
    """Write rows.json, other rows under their names, and table.md."""
    with staged_folder(out, last=TABLE) as staging:
        for name, some in {ROWS: rows, **(others or {})}.items():
            write_json(staging / name, some)
        (staging / TABLE).write_text(table, encoding="utf-8")


def grouped(rows: Sequence[Row], *columns: str) -> dict[Any, list[Row]]:
    """Return the rows that agree in the columns, by what they have there, in the order in which that first comes.

    >>> grouped([{"score": "a", "seed": 0}, {"score": "b", "seed": 0}, {"score": "a", "seed": 1}], "score")["a"]
    [{'score': 'a', 'seed': 0}, {'score': 'a', 'seed': 1}]
    """
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(itemgetter(*columns)(row), []).append(row)
    return groups


def shown_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, Metric]:
    """Return the main table's metrics as far as all rows have them: rows may have been kept before a metric was new."""
    return {name: metric for name, metric in table_metrics().items() if all(name in row for row in rows)}


def metric_cell(rows: Sequence[Mapping[str, Any]], name: str) -> Cell:
    """Return the mean of a metric over rows, one a seed; see :func:`mean_cell`."""
    return mean_cell([row[name]["value"] for row in rows], METRICS[name].scale)


def mean_cell(values: Sequence[float | None], scale: float = 100, sign: str = "", digits: int = 1) -> Cell:
    """Return mean ± standard deviation over seeds; the mean alone of one, a dash where one of them is undefined.

    >>> str(mean_cell([0.5, 0.7])), str(mean_cell([0.5])), str(mean_cell([0.5, None]))
    ('60.0 ± 14.1', '50.0', '–')
    """
    numbers = scale * np.array(values, dtype=np.float64)
    if np.isnan(numbers).any():
        return UNDEFINED
    mean = f"{np.mean(numbers):{sign}.{digits}f}"
    return Cell(mean if len(numbers) == 1 else f"{mean} ± {np.std(numbers, ddof=1):.{digits}f}")


def interval_cell(value: Mapping[str, float | None], scale: float = 100, sign: str = "") -> Cell:
    """Return a value with its interval, as JSON holds them: null where undefined."""
    middle, low, high = np.array([value[bound] for bound in BOUNDS], dtype=np.float64).tolist()
    return estimate_cell(Estimate(value=middle, low=low, high=high), scale, sign)
