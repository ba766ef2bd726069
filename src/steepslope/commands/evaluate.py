"""`steepslope evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from rich.console import Console

from steepslope.outputs import ClassifierOutputs, Confidences

if TYPE_CHECKING:
    from steepslope.evaluation.rows import Resources


@dataclass(frozen=True)
class Options:
    """How to evaluate: the groups asked for, the paper's variants, resamples and their seed, and what scores need."""

    groups: str | None = None
    paper: bool = False
    bootstrap: int = 1000
    seed: int = 0
    resources: Resources | None = None


def evaluate(
    outputs: str,
    out: str,
    scores: str = "mcp",
    fit: str | None = None,
    reference: str | None = None,
    data: str | None = None,
    backbones: str = "",
    groups: str | None = None,
    paper: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
) -> None:
    """Evaluate scores and oracles: metrics.json, details.json, table.md and report.html.

    Parameters
    ----------
    outputs
        Folder or file of outputs (.npz, .csv, .parquet), of rows that nothing was fitted to. A file may hold
        confidence and is_correct in place of logits and label.
    out
        Folder for the results.
    scores
        Names of scores and folders of oracles, separated by commas; mcp is always among them.
    fit
        Outputs of held-out rows, for scores that learn from errors (temperature_scaled_mcp, max_logit_pnorm).
    reference
        The classifier's training outputs, for scores that look up neighbours (trust_score, knn_distance).
    data
        Data spec of the outputs' images, for oracles that look at them; by default what the outputs say.
    backbones
        Specs of code of your own (module:…) that oracles on images may run, with commas: no file gets to name code.
    groups
        label (default where there are labels), predicted, a column of the outputs' file, or a .csv or .parquet
        file with a column named group: coverage and risk are shown for each of them.
    paper
        Also show the metrics as the paper's code computes them.
    bootstrap
        Resamples for the intervals; 0 leaves them out.
    seed
        Fixes the resamples.
    """
    from steepslope.evaluation.rows import Resources
    from steepslope.oracle.storage import CARD, is_image_oracle, require_allowed
    from steepslope.outputs.confidences import load_predictions
    from steepslope.outputs.folder import require_one_classifier

    path = Path(outputs)
    require_one_classifier(outputs, fit, reference)
    held_out, known = (None if given is None else ClassifierOutputs.load(given) for given in (fit, reference))
    names, allowed = _listed(scores), _listed(backbones)
    resources = Resources(held_out, known, partial(_images, path=path, data=data), allowed)
    options = Options(groups, paper, bootstrap, seed, resources)
    looking = [Path(name) for name in names if (Path(name) / CARD).exists() and is_image_oracle(Path(name))]
    for folder in looking:
        require_allowed(folder, allowed)
    predictions = load_predictions(path, ids=bool(fit or reference or looking))
    evaluate_predictions(predictions, path, names, Path(out), f"Trust in {outputs}", options)


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def evaluate_predictions(
    predictions: ClassifierOutputs | Confidences,
    path: Path,
    names: Sequence[str],
    out: Path,
    title: str,
    options: Options,
) -> None:
    """Score, evaluate, write the report, and print the table with what it says in words."""
    from steepslope.evaluation.details import Context, details
    from steepslope.evaluation.rows import score_predictions, table_rows, verdicts
    from steepslope.outputs.formats import ids_of
    from steepslope.report.grid import terminal
    from steepslope.report.page import Report, write_report
    from steepslope.report.table import TERMINAL_TITLES, heading, main_grid

    codes, group_names = _groups(options.groups, predictions, path)
    scored = score_predictions(names, predictions, options.resources)
    rows = table_rows(scored, predictions.is_correct, options.bootstrap, options.seed)
    num_classes = predictions.num_classes if isinstance(predictions, ClassifierOutputs) else None
    context = Context(predictions.is_correct, num_classes, codes, group_names, options.paper)
    rest = [details(one, row, context) for one, row in zip(scored, rows, strict=True)]
    report = Report(title, predictions, lambda some: ids_of(path, some), scored, rows, rest)
    write_report(report, out)
    screen = Console(highlight=False, markup=False)
    screen.print(heading(rows))
    screen.print(terminal(main_grid(rows), TERMINAL_TITLES))
    for line in verdicts(rows):
        screen.print(line, soft_wrap=True)
    screen.print(f"report: {out / 'report.html'}", soft_wrap=True)


def _images(outputs: ClassifierOutputs, path: Path, data: str | None) -> Any:
    from steepslope.finetuning.sources import open_images

    return open_images(outputs, path, data)


def _groups(
    asked: str | None, predictions: ClassifierOutputs | Confidences, path: Path
) -> tuple[NDArray[Any] | None, Sequence[str] | None]:
    """Return group codes (n,) and, where the groups have names, those."""
    from steepslope.errors import SteepslopeError
    from steepslope.outputs.tables import read_groups

    if isinstance(predictions, ClassifierOutputs) and asked in (None, "label", "predicted"):
        return (predictions.predictions if asked == "predicted" else predictions.labels), None
    if asked is None:
        return None, None
    source, column = (Path(asked), "group") if asked.endswith((".csv", ".parquet")) else (path, asked)
    if source.suffix not in (".csv", ".parquet"):
        raise SteepslopeError(f"groups {asked!r}: {path} has no columns; give a .csv or .parquet file of groups")
    codes, names = read_groups(source, column)
    if len(codes) != len(predictions):
        raise SteepslopeError(f"{source}: expected {len(predictions)} groups, one a prediction, found {len(codes)}")
    return codes, names
