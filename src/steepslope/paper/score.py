"""The last step: the confidences of one line on one set of images, and its row of metrics."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.files.folders import read_json, staged_folder, write_json
from steepslope.metrics.curves import rank_rows
from steepslope.metrics.intervals import compare
from steepslope.metrics.selective import RiskCoverage
from steepslope.outputs import ClassifierOutputs
from steepslope.paper.columns import MCP
from steepslope.paper.experiment import BEST
from steepslope.paper.lab import Case, Lab
from steepslope.paper.methods import KINDS, METHODS, Wanted, inner, kept_as
from steepslope.paper.step import Cost, Step, slug
from steepslope.report.confidences import BASELINE, Scored
from steepslope.report.evaluation import nan_to_none, table_rows

ROW, ARRAYS = "row.json", "confidence.npz"
DIGITS = 5  # of numbers in rows: their intervals are wider by far


def score_step(lab: Lab, wanted: Wanted) -> Step:
    """Return the step that scores a line, after MCP and the best single score, with which it is compared."""
    name, case, kind = wanted.name, wanted.case, KINDS[wanted.method["kind"]]
    if not kind.sees_images:
        shared = not (kind.learns or lab.preset.nets[case.classifier].is_seeded)
        case = Case(None, case.classifier, case.where, lab.preset.seeds[0] if shared else case.seed)
    wanted = wanted._replace(case=case)  # what it needs is shared as it is
    folder = lab.folder("scores", case.classifier, case.seed) / lab.place(case) / (case.oracle or "")
    about = f"score {name}{f' of {case.oracle}' if case.oracle else ''} on {case.classifier}, {case.where}"
    changed = [] if kind.changes is None else [score_step(lab, inner(wanted))]
    needs = *kind.needs(lab, wanted), *rivals(lab, wanted), *changed
    costs = (Cost(wanted.pair.oracle, case.where),) if kind.sees_images and not changed else ()
    out = folder / slug(kept_as(name, wanted.method))
    return Step(out, ROW, about, partial(score, wanted=wanted), needs, costs)


def rivals(lab: Lab, wanted: Wanted) -> list[Step]:
    """Return the scores that a line is compared with."""
    names = {MCP: [], BEST: [MCP]}.get(wanted.name, [MCP, BEST])
    return [score_step(lab, wanted._replace(name=name, method=METHODS[name])) for name in names]


def score(lab: Lab, wanted: Wanted) -> None:
    """Keep the confidences of a line, and its row of metrics."""
    case = wanted.case
    outputs = lab.own_outputs(case.classifier, case.seed, lab.place(case))
    scored = _scored(lab, wanted)
    others = [confidences(step.folder)[0] for step in rivals(lab, wanted)]
    row = measured(replace(scored, name=wanted.name), others, outputs, case.seed, lab.preset.resamples)
    about = {"seed": case.seed, "oracle": case.oracle, "classifier": case.classifier, "where": case.where}
    with staged_folder(score_step(lab, wanted).folder, last=ROW) as staging:
        np.savez_compressed(staging / ARRAYS, confidence=scored.confidence, is_correct=outputs.is_correct)
        write_json(staging / ROW, {**about, "is": scored.name, "scale": scored.scale, **row})


def _scored(lab: Lab, wanted: Wanted) -> Scored:
    kind = KINDS[wanted.method["kind"]]
    if kind.changes is not None:
        return kind.changes(wanted, confidences(score_step(lab, inner(wanted)).folder)[0])
    assert kind.scored is not None
    return kind.scored(lab, wanted)


def row_of(folder: Path) -> dict[str, Any]:
    """Return the row of a line that was scored."""
    return read_json(folder / ROW, "a row of an experiment")


def confidences(folder: Path) -> tuple[Scored, NDArray[np.bool_]]:
    """Return its confidences, and which predictions are correct."""
    row = row_of(folder)
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        name = BASELINE if row["score"] == MCP else row["score"]
        return Scored(name, row["loss"], arrays["confidence"], row["scale"]), arrays["is_correct"]


def curve_of(folder: Path) -> RiskCoverage:
    """Return its risk-coverage curve."""
    scored, is_correct = confidences(folder)
    return RiskCoverage.of(rank_rows(scored.confidence, is_correct).ranking())


def measured(
    scored: Scored, others: list[Scored], outputs: ClassifierOutputs, seed: int, resamples: int
) -> dict[str, Any]:
    """Return a line's metrics with intervals, its paired differences, and the paper's variants as ``paper_…``."""
    own = replace(scored, name=BASELINE) if scored.name == MCP else scored
    row = table_rows([*others[:1], own], outputs, paper=True, bootstrap=resamples, seed=seed)[-1]
    against = [(own.confidence, one.confidence) for one in others[1:]]  # the best single score, if any
    found = [compare(*both, outputs.is_correct, bootstrap=resamples, seed=seed) for both in against]
    to_best = {name: one[name] for one in found for name in ("auc", "aurc")}
    estimates = {
        **row.metrics,
        **{f"delta_{name}": one for name, one in (row.vs_mcp or {}).items()},
        **{f"best_{name}": one for name, one in to_best.items()},
    }
    points = {**row.separability, **{f"paper_{name}": value for name, value in row.paper.items()}}
    numbers = {**estimates, **{name: {"value": value} for name, value in points.items()}}
    return {
        "score": scored.name,
        "loss": scored.loss,
        "n": row.n,
        **{name: _rounded(one) for name, one in numbers.items()},
    }


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an estimate with few digits; what is undefined is null."""
    known = nan_to_none({name: values[name] for name in ("value", "low", "high") if name in values})
    return {name: value if value is None else round(value, DIGITS) for name, value in known.items()}
