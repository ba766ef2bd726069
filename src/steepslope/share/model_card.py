"""The model card of what is shared: what it promises, for which classifier, how good it is, and what it does not do.

Its prose is ``model_card.md.jinja``; here is what that reads off the gate or oracle, off its arrays and off a report.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from steepslope.errors import SteepslopeError, require_known
from steepslope.files.artifact import MADE
from steepslope.files.extras import require_extra
from steepslope.files.folders import read_json
from steepslope.files.hub import LIBRARY
from steepslope.gate import Gate
from steepslope.gate.confidence_source import NetRecord
from steepslope.metrics.measures import METRICS, table_metrics
from steepslope.nets.training.loading import CODE
from steepslope.oracle.handover import AUXILIARY
from steepslope.outputs.arrays import OPINION, is_opinion_array
from steepslope.report.confidences import BASELINE
from steepslope.report.grid import Cell, Grid, estimate_cell, grid_in_markdown, plain_in_markdown
from steepslope.report.page import REPORT
from steepslope.report.runs import METRICS_FILE, RunRow, read_run_metrics
from steepslope.report.sentences import mcp_sentence
from steepslope.share.options import CardOptions
from steepslope.share.sharing import Shared, local_paths_in_shared, shared_tensor_shapes

TASK = "selective-classification"
TAGS = (LIBRARY, TASK, "failure-prediction", "uncertainty-estimation")
UNNAMED = "not named"
TABLE = table_metrics()
PLACE = re.compile(r"(?<=^checkpoint:).*|(?<=^onnx:).*|(?<=[?&]weights=)[^&]*[/.][^&]*")  # on somebody's machine
BY_ROW = {"hashes": "fit_rows:", "calibration": "calibration_rows:"}  # how arrays begin
POINTS, SQUARES = "points", "squares"  # arrays of an index of neighbours, which have a row for each reference
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class CardEvaluation:
    """A report's row on what is shared, that of MCP, how many scores the report has, and which rows it is about."""

    row: RunRow
    baseline: RunRow
    scores: int
    dataset: str

    @property
    def is_baseline(self) -> bool:
        """Whether what is shared ranks by MCP itself."""
        return self.row.name == self.baseline.name

    @classmethod
    def of(cls, shared: Shared, options: CardOptions) -> CardEvaluation | None:
        """Return what a report has about it; None where no report is given.

        Raises
        ------
        SteepslopeError
            If the folder holds no report, or which of its scores this is cannot be told.
        """
        if options.report is None:
            without_report = [name for name in ("row", "dataset") if getattr(options, name) is not None]
            if without_report:
                raise SteepslopeError("expected --report with it, found none", without_report[0])
            return None
        folder = Path(options.report)
        rows = {row.name: row for row in map(RunRow, read_run_metrics(folder))}
        row = rows[_card_row_name(shared, options.row, rows, folder)]
        loss = None if shared.oracle is None else shared.oracle.loss
        if row.loss != loss:
            expected = f"expected the row of what is shared, of {'no loss' if loss is None else f'the loss {loss}'}"
            raise SteepslopeError(f"{expected}, found {row.loss} in {row.name}", folder / METRICS_FILE)
        return cls(row, rows.get(BASELINE, row), len(rows), options.dataset or _card_data_set_name(folder))

    def table(self) -> str:
        """Return all metrics that the report has, next to MCP's, in Markdown."""
        columns = {self.row.name: (self.row.metrics, ""), "MCP": (self.baseline.metrics, "")}
        columns["difference"] = self.row.vs_mcp, "+"
        if self.is_baseline:
            columns = {"MCP, by which it ranks": (self.row.metrics, "")}
        lines = [
            [Cell(metric.heading), *(estimate_cell(some[name], metric.scale, sign) for some, sign in columns.values())]
            for name, metric in TABLE.items() if name in self.row.content
        ]  # fmt: skip
        return grid_in_markdown(Grid("", ["", *columns], lines))

    def ranking(self) -> str:
        """Return whether it ranks better than MCP, and how it came to be chosen."""
        if self.is_baseline:
            return "It ranks by the classifier's own confidence, and so no better than that."
        chosen = f"The report compares {self.scores - 1} scores with MCP"
        looks = f" {chosen}; if this is the best, its lead looks larger than it is." if self.scores > 2 else ""
        return mcp_sentence(self.row) + looks


def _card_row_name(shared: Shared, given: str | None, rows: Mapping[str, Any], folder: Path) -> str:
    if given is not None:
        require_known(f"row in {folder / METRICS_FILE}:", given, rows)
        return given
    names = [Path(shared.name).resolve().name, shared.name, *([] if shared.source is None else [shared.source.name])]
    row = next((name for name in names if name in rows), None)
    if row is None:
        raise SteepslopeError(f"which score is what is shared? Give --row with one of {', '.join(rows)}", folder)
    return row


def _card_data_set_name(folder: Path) -> str:
    """Return the last two names of the outputs that a report was made of: cards are public, and paths tell too much."""
    made = read_json(folder / REPORT.card, REPORT.what).get(MADE) if (folder / REPORT.card).exists() else None
    outputs = (made or {}).get("outputs")
    return "/".join(Path(outputs).parts[-2:]) if isinstance(outputs, str) else UNNAMED


def model_card(shared: Shared, folder: Path, place: str, options: CardOptions) -> str:
    """Return the text of ``README.md``: metadata for the Hub, then what people have to know.

    ``folder`` is the one that is shared, ``place`` what it will be loaded by, ``hub:user/name`` or a folder.
    """
    hub = require_extra("huggingface_hub", "hub", "a model card")
    evaluated = CardEvaluation.of(shared, options)
    name = place.rstrip("/").split("/")[-1].partition("@")[0]
    data = hub.ModelCardData(
        library_name=LIBRARY, license=options.license, tags=[*TAGS, shared.kind], model_name=name,
        eval_results=None if evaluated is None else list(_card_eval_results(hub, evaluated)) or None,
    )  # fmt: skip
    environment = Environment(
        loader=PackageLoader("steepslope.share", "."), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=False, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"plain": plain_in_markdown, "number": "{:,}".format, "quote": shlex.quote}
    gate = shared.gate
    body = environment.get_template("model_card.md.jinja").render(
        title=name, place=place, shared=shared, gate=gate, oracle=shared.oracle, source=shared.source,
        nets={} if gate is None else card_specs_to_give(gate),
        words=card_specs_as_words,
        from_outputs=gate is not None and card_is_of_outputs(gate), code=CODE, spec_of=card_spec,
        assumes=() if gate is None else gate.assumptions,
        evaluated=evaluated, metrics=TABLE, has_paths=bool(local_paths_in_shared(folder)),
        **card_arrays(shared_tensor_shapes(folder)),
    )  # fmt: skip
    return str(hub.ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}")).rstrip() + "\n"


def _card_eval_results(hub: Any, evaluated: CardEvaluation) -> Iterator[Any]:
    """Yield the metrics as the Hub's metadata has them, fractions in [0, 1]."""
    for name, metric in {"accuracy": METRICS["accuracy"], **TABLE}.items():
        value = evaluated.row.metrics[name]["value"]
        if not isnan(value):
            yield hub.EvalResult(
                task_type=TASK, task_name="Selective classification", dataset_type="custom",
                dataset_name=evaluated.dataset, metric_type=name, metric_name=metric.title, metric_value=value,
            )  # fmt: skip


def card_spec(net: NetRecord) -> str:
    """Return a net's spec without the folders in which it lies on somebody's machine.

    >>> specs = ["checkpoint:/home/me/runs/net", "timm:resnet18", "timm:resnet18?weights=/home/me/own.pt"]
    >>> [card_spec(NetRecord(spec, "", {})) for spec in specs]
    ['checkpoint:net', 'timm:resnet18', 'timm:resnet18?weights=own.pt']
    """
    return PLACE.sub(lambda place: place[0].rstrip("/").split("/")[-1], net.spec)


def card_is_of_outputs(gate: Gate) -> bool:
    """Return whether a gate is used on outputs alone: it knows of no net of the classifier, or of an opinion."""
    opinions = () if gate.source is None else gate.source.opinions
    return gate.origin.classifier is None or any(name not in gate.origin.opinions for name in opinions)


def card_specs_to_give(gate: Gate) -> dict[str, str]:
    """Return specs of the nets of which a gate's user has to say where they lie, or that their code may be run.

    Those of opinions go by the names of their arrays.
    """
    nets = {"classifier": gate.origin.classifier}
    if gate.source is not None and AUXILIARY in gate.source.arrays:
        nets[AUXILIARY] = gate.origin.auxiliary
    if gate.source is not None:
        nets |= {f"{OPINION}{name}": gate.origin.opinions.get(name) for name in gate.source.opinions}
    specs = {name: net.spec for name, net in nets.items() if net is not None}
    return {
        name: spec if spec.startswith(CODE) else PLACE.sub(name.upper(), spec)
        for name, spec in specs.items()
        if spec.startswith(CODE) or PLACE.search(spec)
    }


def card_specs_as_words(specs: Mapping[str, str]) -> str:
    """Return specs as one types them.

    >>> card_specs_as_words({"classifier": "onnx:CLASSIFIER", "opinion_big": "checkpoint:OPINION_BIG"})
    ' --classifier onnx:CLASSIFIER --opinion big=checkpoint:OPINION_BIG'
    """
    opinions = {name: f"{name.removeprefix(OPINION)}={spec}" for name, spec in specs.items() if is_opinion_array(name)}
    nets = [f" --{name} {shlex.quote(spec)}" for name, spec in specs.items() if name not in opinions]
    return "".join([*nets, *(f" --opinion {shlex.quote(one)}" for one in opinions.values())])


def card_arrays(shapes: Shapes) -> dict[str, Any]:
    """Return what arrays hold of single rows, by their names: features, hashes and calibration rows.

    ``points`` are features with their shape, and the name of their squared lengths, if these are there; ``files`` are
    those that hold any other arrays.
    """
    points = [name for name in shapes if _last_name_for_card(name) == POINTS]
    lengths = {name: name.removesuffix(POINTS) + SQUARES for name in points}
    begun = {
        what: [name for name in shapes if name.removeprefix("oracle/").startswith(start)]
        for what, start in BY_ROW.items()
    }
    by_row = {name for names in begun.values() for name in names}
    others = [name for name in shapes if name not in by_row and _last_name_for_card(name) not in (POINTS, SQUARES)]
    return {
        "points": [(name, shapes[name], lengths[name] if lengths[name] in shapes else "") for name in points],
        **{what: _quoted_for_card(names) for what, names in begun.items()},
        "files": _quoted_for_card([f"{file}:" for file in dict.fromkeys(name.partition(":")[0] for name in others)]),
    }


def _last_name_for_card(name: str) -> str:
    return re.split("[/:]", name)[-1]


def _quoted_for_card(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
