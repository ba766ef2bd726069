"""`steepslope evaluate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steepslope.evaluation.evaluation import Evaluation
    from steepslope.evaluation.score import Predictions
    from steepslope.metrics import Groups
    from steepslope.outputs import ClassifierOutputs


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
    """Evaluate scores and oracles, and write metrics.json, details.json, table.md and report.html.

    Parameters
    ----------
    outputs
        Folder or file of outputs (.npz, .csv, .parquet), of rows that nothing was fitted to. A file may hold confidence
        and is_correct in place of logits and label.
    out
        Folder for the results.
    scores
        Names of scores and folders of oracles, separated by commas; mcp is always among them.
    fit
        Outputs of held-out rows, to which scores that learn from errors are fitted (temperature_scaled_mcp,
        max_logit_pnorm).
    reference
        The classifier's training outputs, in which some scores look up neighbours (trust_score, knn_distance).
    data
        Data spec of the images of the outputs, for oracles on images; by default the one that the outputs name.
    backbones
        Specs (module:…), separated by commas, of code of your own that oracles on images may run; files cannot name it.
    groups
        Groups whose coverage and risk are shown: label (the default where there are labels), predicted, a column of the
        outputs' file, or a .csv or .parquet file with a column named group.
    paper
        Also show the metrics as the paper's code computes them.
    bootstrap
        Number of resamples for the intervals; 0 leaves the intervals out.
    seed
        Seed of the resamples.
    """
    from steepslope.evaluation.evaluation import evaluate_predictions
    from steepslope.evaluation.score import Resources
    from steepslope.oracle.base import CARD, looks_at_images, require_allowed
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.formats import ids_of, load_predictions, require_one_classifier

    path = Path(outputs)
    require_one_classifier(outputs, fit, reference)
    held_out, known = (None if given is None else ClassifierOutputs.load(given) for given in (fit, reference))
    names, allowed = _listed(scores), _listed(backbones)
    resources = Resources(held_out, known, partial(_images, path=path, data=data), allowed)
    on_images = [Path(name) for name in names if (Path(name) / CARD).exists() and looks_at_images(Path(name))]
    for folder in on_images:
        require_allowed(folder, allowed)
    predictions = load_predictions(path, ids=bool(fit or reference or on_images))
    evaluation = evaluate_predictions(
        predictions,
        names,
        resources,
        groups=_groups(groups, predictions, path),
        paper=paper,
        bootstrap=bootstrap,
        seed=seed,
        title=f"Trust in {outputs}",
        ids=partial(ids_of, path),
    )
    publish(evaluation, Path(out))


def publish(evaluation: Evaluation, out: Path) -> None:
    """Write the report, and print the table with what it means in words."""
    from rich.console import Console

    from steepslope.evaluation.verdicts import verdicts
    from steepslope.report.grid import terminal
    from steepslope.report.page import write_report
    from steepslope.report.table import heading, main_grid, terminal_titles

    write_report(evaluation, out)
    screen = Console(highlight=False, markup=False)
    screen.print(heading(evaluation.rows))
    screen.print(terminal(main_grid(evaluation.rows), terminal_titles()))
    for line in verdicts(evaluation.rows):
        screen.print(line, soft_wrap=True)
    screen.print(f"report: {out / 'report.html'}", soft_wrap=True)


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _images(outputs: ClassifierOutputs, path: Path, data: str | None) -> Any:
    from steepslope.finetuning.sources import open_images

    return open_images(outputs, path, data)


def _groups(named: str | None, predictions: Predictions, path: Path) -> Groups | None:
    """Return the groups that ``--groups`` names; the labels if it names none and there are labels."""
    from steepslope.errors import SteepslopeError
    from steepslope.metrics import Groups
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.tables import read_groups

    if isinstance(predictions, ClassifierOutputs) and named in (None, "label", "predicted"):
        return Groups(predictions.predictions if named == "predicted" else predictions.labels)
    if named is None:
        return None
    source, column = (Path(named), "group") if named.endswith((".csv", ".parquet")) else (path, named)
    if source.suffix not in (".csv", ".parquet"):
        raise SteepslopeError(f"groups {named!r}: {path} has no columns; give a .csv or .parquet file of groups")
    found = Groups(*read_groups(source, column))
    if len(found.codes) != len(predictions):
        raise SteepslopeError(f"expected {len(predictions)} groups, one a prediction, found {len(found.codes)}", source)
    return found
