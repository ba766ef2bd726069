"""The model card of what is shared: what it promises, for which classifier, how good it is, and what it does not do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from steepslope.errors import SteepslopeError, require_known
from steepslope.files.artifact import MADE
from steepslope.files.extras import require_extra
from steepslope.files.folders import read_json
from steepslope.files.hub import LIBRARY
from steepslope.gate import Gate
from steepslope.gate.certificate import ASSUMES
from steepslope.metrics.intervals import BOUNDS
from steepslope.metrics.measures import METRICS, table_metrics
from steepslope.predict.options import CardOptions
from steepslope.report.confidences import BASELINE
from steepslope.report.grid import Cell, Grid, estimate_cell, markdown
from steepslope.report.page import REPORT
from steepslope.report.runs import METRICS_FILE, read_metrics
from steepslope.share.card_facts import about, inside, limits, plain, python_code, shell_lines, usage_note
from steepslope.share.sharing import Shared, local_paths, tensor_shapes

TASK = "selective-classification"
TAGS = (LIBRARY, TASK, "failure-prediction", "uncertainty-estimation")
UNNAMED = "not named"
TABLE = table_metrics()


@dataclass(frozen=True)
class Evaluated:
    """A report's row on what is shared, that of MCP, how many scores the report has, and which rows it is about."""

    row: Mapping[str, Any]
    baseline: Mapping[str, Any]
    scores: int
    dataset: str

    @property
    def is_baseline(self) -> bool:
        """Whether what is shared ranks by MCP itself."""
        return bool(self.row["score"] == self.baseline["score"])

    @classmethod
    def of(cls, shared: Shared, options: CardOptions) -> Evaluated | None:
        """Return what a report has about it; None where no report is given.

        Raises
        ------
        SteepslopeError
            If the folder holds no report, or which of its scores this is cannot be told.
        """
        if options.report is None:
            given = [name for name in ("row", "dataset") if getattr(options, name) is not None]
            if given:
                raise SteepslopeError("expected --report with it, found none", given[0])
            return None
        folder = Path(options.report)
        rows = {str(row["score"]): row for row in read_metrics(folder)}
        row = rows[_name(shared, options.row, rows, folder)]
        oracle = shared.oracle
        if row.get("loss") != (None if oracle is None else oracle.loss):
            expected = "no loss" if oracle is None else f"the loss {oracle.loss}"
            found = f"expected the row of what is shared, of {expected}, found {row.get('loss')} in {row['score']}"
            raise SteepslopeError(found, folder / METRICS_FILE)
        baseline = rows.get(BASELINE, row)
        return cls(row, baseline, len(rows), options.dataset or _recorded(folder))


def _name(shared: Shared, given: str | None, rows: Mapping[str, Any], folder: Path) -> str:
    if given is not None:
        require_known(f"row in {folder / METRICS_FILE}:", given, rows)
        return given
    judge = None if shared.gate is None else shared.gate.source
    names = [Path(shared.name).resolve().name, shared.name, *([] if judge is None else [judge.name])]
    found = next((name for name in names if name in rows), None)
    if found is None:
        raise SteepslopeError(f"which score is what is shared? Give --row with one of {', '.join(rows)}", folder)
    return found


def _recorded(folder: Path) -> str:
    """Return the last two names of the outputs that a report was made of: cards are public, and paths tell too much."""
    made = read_json(folder / REPORT.card, REPORT.what).get(MADE) if (folder / REPORT.card).exists() else None
    outputs = (made or {}).get("outputs")
    return "/".join(Path(outputs).parts[-2:]) if isinstance(outputs, str) else UNNAMED


def model_card(shared: Shared, folder: Path, place: str, options: CardOptions) -> str:
    """Return the text of ``README.md``: metadata for the Hub, then what people have to know.

    ``folder`` is the one that is shared, ``place`` what it will be loaded by, ``hub:user/name`` or a folder.
    """
    hub = require_extra("huggingface_hub", "hub", "a model card")
    evaluated = Evaluated.of(shared, options)
    name = place.rstrip("/").split("/")[-1].partition("@")[0]
    data = hub.ModelCardData(
        library_name=LIBRARY, license=options.license, tags=[*TAGS, shared.kind], model_name=name,
        eval_results=None if evaluated is None else list(_results(hub, evaluated)) or None,
    )  # fmt: skip
    body = _body(shared, folder, place, name, evaluated)
    return str(hub.ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}")).rstrip() + "\n"


def _body(shared: Shared, folder: Path, place: str, name: str, evaluated: Evaluated | None) -> str:
    gate = shared.gate
    shapes, paths = tensor_shapes(folder), local_paths(folder)
    templates = Environment(
        loader=PackageLoader("steepslope.share", "."), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=False, keep_trailing_newline=True,
    )  # fmt: skip
    return templates.get_template("model_card.md.jinja").render(
        title=name, gate=gate, place=place, about=about(shared), assumes=ASSUMES,
        is_given=gate is not None and any(one.is_given for one in gate.certificates),
        promises=[] if gate is None else _promises(gate),
        shell=shell_lines(shared, place), python=python_code(shared, place), usage_note=usage_note(shared),
        evaluation=None if evaluated is None else _evaluation(evaluated), limits=list(limits(shared)),
        inside=list(inside(shared, shapes, bool(paths))),
    )  # fmt: skip


def _promises(gate: Gate) -> list[str]:
    return [plain(line) for line in gate.sentences().split("\nThis assumes that")[0].splitlines()]


def _results(hub: Any, evaluated: Evaluated) -> Iterator[Any]:
    """Yield the metrics as the Hub's metadata has them, fractions in [0, 1]."""
    for name, metric in {"accuracy": METRICS["accuracy"], **TABLE}.items():
        value = _estimate(evaluated.row, name)["value"]
        if not isnan(value):
            yield hub.EvalResult(
                task_type=TASK, task_name="Selective classification", dataset_type="custom",
                dataset_name=evaluated.dataset, metric_type=name, metric_name=metric.title, metric_value=value,
            )  # fmt: skip


def _estimate(row: Mapping[str, Any], name: str) -> Any:
    found = row.get(name) or {}
    return {bound: nan if found.get(bound) is None else float(found[bound]) for bound in BOUNDS}


def _evaluation(evaluated: Evaluated) -> dict[str, str]:
    """Return the heading, the table, what explains it, and what it comes to, in Markdown."""
    row, accuracy = evaluated.row, _estimate(evaluated.row, "accuracy")["value"]
    errors = "" if isnan(accuracy) else f", {round(row['n'] * (1 - accuracy)):,} of them wrong"
    heading = (
        f"On {row['n']:,} labelled predictions{errors} (data set: {evaluated.dataset}), beside the classifier's own "
        "confidence, the maximum class probability (MCP):"
    )
    seen = row.get("fit_rows")
    note = "In percent unless stated otherwise; in brackets 95 % intervals by bootstrap. TPR and TNR are at each "
    note += "score's own threshold, which is not a gate's."
    note += f" **{seen:,} of these rows are those it was fitted on: the numbers are too good.**" if seen else ""
    note += "\n\n" + "\n".join(f"- {metric.title}: {metric.definition}" for metric in TABLE.values())
    return {"heading": heading, "table": _table(evaluated), "note": note, "ranking": _ranking(evaluated)}


def _table(evaluated: Evaluated) -> str:
    names = [name for name in TABLE if name in evaluated.row]
    if evaluated.is_baseline:
        lines = [[Cell(METRICS[name].heading), _cell(evaluated.row, name)] for name in names]
        return markdown(Grid("", ["", "MCP, by which it ranks"], lines))
    lines = [
        [Cell(METRICS[name].heading), _cell(evaluated.row, name), _cell(evaluated.baseline, name),
         _cell(evaluated.row.get("vs_mcp") or {}, name, "+")]
        for name in names
    ]  # fmt: skip
    return markdown(Grid("", ["", str(evaluated.row["score"]), "MCP", "difference"], lines))


def _cell(row: Mapping[str, Any], name: str, sign: str = "") -> Cell:
    return estimate_cell(_estimate(row, name), METRICS[name].scale, sign)


def _ranking(evaluated: Evaluated) -> str:
    """Return in a sentence whether it ranks better than MCP, and how it came to be chosen."""
    if evaluated.is_baseline:
        return "It ranks by the classifier's own confidence, and so no better than that."
    found = _estimate(evaluated.row, "delta_auc_vs_mcp")
    interval = f"{100 * found['value']:+.1f} AUC points, 95 % interval {100 * found['low']:+.1f} to "
    interval += f"{100 * found['high']:+.1f}"
    if isnan(found["low"]):
        sentence = "Whether it ranks better than MCP was not measured."
    elif found["low"] > 0:
        sentence = f"It ranks better than MCP ({interval})."
    elif found["high"] < 0:
        sentence = f"**It ranks worse than MCP** ({interval})."
    else:
        sentence = f"**It does not beat MCP**: no significant difference ({interval})."
    others = evaluated.scores - 1
    chosen = f" The report compares {others} scores with MCP; if this is the best, its lead looks larger than it is."
    return sentence + (chosen if others > 1 else "")
