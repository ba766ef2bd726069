"""Where the confidences of a table's line come from: a score, or an oracle and how it is made; and its metrics.

A new line is an entry in ``METHODS``, or stands in an experiment's own file: its ``kind``, one in ``KINDS``, and the
settings of that.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, require_known
from steepslope.files import digest_of, imported_by_name, read_json, staged_folder, write_json
from steepslope.losses import LOSSES, PAPER_LOSSES, LossSettings, loss_parameters
from steepslope.metrics import (
    PAPER_METRICS,
    RiskCoverage,
    aurc,
    compare,
    float32_sigmoid,
    paper_tnr_cut,
    risk_coverage_curve,
    values_of_measures,
)
from steepslope.nets.data import Dataset
from steepslope.nets.training import load_oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report import BASELINE, Resources, Scored, confidences_of_scores, evaluated_rows, nan_to_none
from steepslope.scores import SCORES, Score, own_confidence
from steepslope.theory import focal_confidence
from steepslope_lab.paper.oracle_steps import features_oracle_step, fused_oracle_step, oracle_step
from steepslope_lab.paper.output_steps import output_steps
from steepslope_lab.paper.preset import Net, Pair
from steepslope_lab.paper.steps import Step, folder_slug
from steepslope_lab.paper.tables import BEST, MCP
from steepslope_lab.paper.workspace import AUXILIARY, HOLDOUT, TRAIN, Case, Workspace
from steepslope_lab.shifts.pixels import device_at_hand

Method = Mapping[str, Any]  # its kind, and the settings of that
DROPOUT = "mc_dropout"
OWN = ":"  # in module:name, of a score or loss of one's own
CHOSEN = "chosen.json"
BUDGETS = "free", AUXILIARY  # of which the work folder has the evidence


class Wanted(NamedTuple):
    """A line: its name, its method, the pair that it is of, and what it is scored on."""

    name: str
    method: Method
    pair: Pair
    case: Case


class Kind(NamedTuple):
    """A kind of methods: the confidences that one gives, and the step that makes it, if any.

    ``required`` are its settings, and with ``takes_others`` it may have more; ``values`` has what some of them may be.
    ``sees_images`` is whether there is another for each oracle's backbone, ``learns`` whether the seed decides it.
    ``lacks`` tells why a classifier cannot have it.
    """

    scored: Callable[[Workspace, Wanted, Path], Scored]  # from the folder of the step
    step: Callable[[Workspace, Wanted], Step] | None = None
    required: tuple[str, ...] = ()
    takes_others: bool = False
    sees_images: bool = False
    learns: bool = True
    lacks: Callable[[Method, Net], str] = lambda method, net: ""
    values: Callable[[], Mapping[str, Collection[str]]] = dict


def _confidences_by_score(work: Workspace, wanted: Wanted, folder: Path) -> Scored:
    case, score = wanted.case, wanted.method.get("score")
    if score is None:
        score = read_json(folder / CHOSEN, "the choice of a score")["score"]
    sets = {name: work.own_outputs(case.classifier, case.seed, name) for name in _splits_of(score)}
    outputs = work.own_outputs(case.classifier, case.seed, work.place(case))
    if OWN in score:
        confidence = own_confidence(imported_by_name(score), sets[HOLDOUT], sets[TRAIN], outputs)
        return Scored(score, None, confidence, "rank")
    return confidences_of_scores([score], outputs, Resources(sets.get(HOLDOUT), sets.get(TRAIN)))[-1]


def _splits_of(score: str | None) -> tuple[str, ...]:
    """Return the splits that a score learns from."""
    is_plain = score is None or (OWN not in score and SCORES[score].fits_on == "nothing")
    return () if is_plain else (HOLDOUT, TRAIN)


def _confidences_by_oracle(work: Workspace, wanted: Wanted, folder: Path) -> Scored:
    case, method = wanted.case, wanted.method
    outputs = work.outputs(case.classifier, case.seed, work.place(case), method.get("budget", ""))
    backbones = [work.spec(name, case.seed) for name in work.preset.nets]
    device = str(device_at_hand())

    def images(_: ClassifierOutputs) -> Dataset:
        return work.images(case.classifier, case.seed, work.place(case))

    load = partial(load_oracle, backbones=backbones, images=images, device=device)
    oracle = str(folder / method.get("stage", ""))
    return confidences_of_scores([oracle], outputs, Resources(load_oracle=load))[-1]


def _best_score_step(work: Workspace, wanted: Wanted) -> Step:
    """Return the step that finds a classifier's score of least AURC on held-out rows, whose arrays these have."""
    case = wanted.case
    folder = work.folder("best", case.classifier, case.seed)
    about = f"find the best single score of {case.classifier} on held-out rows"

    def find(out: Path) -> None:
        held_out, train = (work.own_outputs(case.classifier, case.seed, name) for name in (HOLDOUT, TRAIN))
        risks = least_aurc(held_out, train, case.seed)
        with staged_folder(out, last=CHOSEN) as staging:
            write_json(staging / CHOSEN, {"score": best_score(risks), "aurc": risks})

    return Step(folder, CHOSEN, about, find, tuple(output_steps(work, case, [HOLDOUT, TRAIN])))


def least_aurc(held_out: ClassifierOutputs, train: ClassifierOutputs | None, seed: int) -> dict[str, float]:
    """Return the AURC of each score that outputs have the arrays for, from which the best single one is chosen.

    It is the mean of both halves of the held-out rows: scores that learn on such rows see the other half. Scores that
    cannot learn are left out.
    """
    order = np.random.default_rng(seed).permutation(len(held_out))
    halves = [held_out.subset(np.sort(part)) for part in np.array_split(order, 2)]
    both = (halves[0], halves[1]), (halves[1], halves[0])
    possible = {name: kind for name, kind in SCORES.items() if {*kind.arrays} <= {*held_out.arrays}}
    risks = {name: float(np.mean([_risk_of_score(kind, known, new, train) for known, new in both]))
             for name, kind in possible.items()}  # fmt: skip
    return {name: risk for name, risk in risks.items() if math.isfinite(risk)}


def best_score(risks: Mapping[str, float]) -> str:
    """Return the name of the score of least AURC."""
    return min(risks, key=lambda name: risks[name])


def _risk_of_score(
    kind: type[Score], known: ClassifierOutputs, new: ClassifierOutputs, train: ClassifierOutputs | None
) -> float:
    """Return the AURC of a score on new rows, after it has learnt from known ones or from the training rows.

    It is infinite where the score cannot learn, as from rows without a single error.
    """
    try:
        fit_set = train if kind.fits_on == "reference" else known
        if fit_set is None:
            return math.inf
        fitted = kind().fit(fit_set)
    except SteepslopeError:
        return math.inf
    return aurc(fitted.confidence(new), new.is_correct)


def stored_line_name(name: str, method: Method) -> str:
    """Return under which name a line is kept: an experiment's own settings are told apart by their digest.

    >>> own = {"kind": "images", "loss": "cross_entropy", "epochs": 3}
    >>> stored_line_name("CE", METHODS["CE"]), stored_line_name("CE", own)
    ('CE', 'CE c15d5ea9')
    """
    return name if method == METHODS.get(name) else f"{name} {digest_of(method)[:8]}"


def _image_oracle_step(work: Workspace, wanted: Wanted) -> Step:
    stage = "stage" in wanted.method
    if stage:
        stages = [one["name"] for one in wanted.pair.training.get("stages", ())]
        require_known(f"stage of line {wanted.name!r}:", wanted.method["stage"], stages)
    elif wanted.pair.training.get("stages"):
        found = f"a training in stages for {wanted.pair.title}: name one of them as the line's stage"
        raise SteepslopeError(f"expected a training of one step, found {found}", f"line {wanted.name!r}")
    changes = {name: value for name, value in wanted.method.items() if name not in ("kind", "stage")}
    name = stored_line_name(wanted.name, wanted.method)
    if stage:  # those of all stages are one
        name = f"in stages {digest_of(changes)[:8]}" if changes else "in stages"
    return oracle_step(work, wanted.pair, name, changes, wanted.case.seed)


def _step_of_line_to_cut(work: Workspace, wanted: Wanted) -> Step:
    """Return the step that scores the line whose confidences another cuts elsewhere."""
    line = wanted.method["line"]
    return score_step(work, wanted._replace(name=line, method=METHODS[line]))


def _confidences_cut_elsewhere(work: Workspace, wanted: Wanted, folder: Path) -> Scored:
    """Return trust logits less the one that stands for the cut of the pair's slopes: they rank as before, cut at 0.

    The focal loss's best sigmoid is not the probability of being correct, but :func:`focal_confidence` of it.
    """
    scored, _ = confidences_of_line(folder)
    settings = {**wanted.pair.training, **METHODS[wanted.method["line"]]}
    names = {name for loss in LOSSES for name in loss_parameters(loss)}
    parameters = {name: settings[name] for name in names if name in settings}
    cut = LossSettings("steep_slope", parameters).cut
    gamma = LossSettings(settings["loss"], parameters).parameters.get("gamma", 0.0)  # 0 is cross entropy
    sigmoid = focal_confidence(cut, gamma)
    return replace(scored, confidence=scored.confidence - np.log(sigmoid / (1 - sigmoid)))


def _features_step(work: Workspace, wanted: Wanted) -> Step:
    settings = {name: value for name, value in wanted.method.items() if name not in ("kind", "split")}
    split, case = wanted.method.get("split", TRAIN), wanted.case
    name = stored_line_name(wanted.name, wanted.method)
    return features_oracle_step(work, case.classifier, name, {**work.preset.features, **settings}, split, case.seed)


KINDS: dict[str, Kind] = {
    "score": Kind(
        _confidences_by_score, required=("score",), learns=False,
        lacks=lambda method, net: "no dropout" if method["score"] == DROPOUT and not net.passes else "",
        values=lambda: {"score": SCORES},
    ),
    "best": Kind(_confidences_by_score, _best_score_step, learns=False),
    "images": Kind(
        _confidences_by_oracle, _image_oracle_step, takes_others=True, sees_images=True,
        values=lambda: {"loss": LOSSES},
    ),
    "cut": Kind(
        _confidences_cut_elsewhere, _step_of_line_to_cut, ("line",), sees_images=True,
        values=lambda: {"line": [name for name, method in METHODS.items() if method["kind"] == "images"]},
    ),
    "features": Kind(
        _confidences_by_oracle, _features_step, takes_others=True,
        values=lambda: {"split": (TRAIN, HOLDOUT), "loss": LOSSES},
    ),
    "fused": Kind(
        _confidences_by_oracle,
        lambda work, wanted: fused_oracle_step(work, wanted.case.classifier, wanted.method["budget"], wanted.case.seed),
        ("budget",),
        lacks=lambda method, net: "no auxiliary net" if method["budget"] == AUXILIARY and not net.auxiliary else "",
        values=lambda: {"budget": BUDGETS},
    ),
}  # fmt: skip
METHODS: dict[str, Method] = {
    "MCP": {"kind": "score", "score": "mcp"},
    "best single score": {"kind": "best"},
    "TrustScore": {"kind": "score", "score": "trust_score"},
    "MCDropout": {"kind": "score", "score": DROPOUT},
    **{name: {"kind": "images", "loss": loss} for name, loss in PAPER_LOSSES.items()},
    "CE at the cut of SS": {"kind": "cut", "line": "CE"},
    "Focal at the cut of SS": {"kind": "cut", "line": "Focal"},
    "fused, free": {"kind": "fused", "budget": "free"},
    "fused, auxiliary": {"kind": "fused", "budget": "auxiliary"},
}


def method_of_line(name: str, settings: Any) -> Method:
    """Return the method of a line: that of its name in ``METHODS``, or by the settings of an experiment's file.

    Raises
    ------
    SteepslopeError
        If the name, the kind or a setting is unknown, or one is missing; the message has the closest name.
    """
    if settings is None:
        require_known("line", name, METHODS)
        return METHODS[name]
    if not isinstance(settings, dict) or settings.get("kind") not in KINDS:
        raise SteepslopeError(f"expected settings with a kind, one of {', '.join(KINDS)}; found {settings!r}", name)
    kind = KINDS[settings["kind"]]
    for one in settings if not kind.takes_others else ():
        require_known(f"setting of line {name!r}:", one, ["kind", *kind.required])
    for one in kind.required:
        if one not in settings:
            raise SteepslopeError(f"expected a setting {one} of kind {settings['kind']}, found none", name)
    values = kind.values()
    for one in values.keys() & settings.keys():
        if not (one in ("score", "loss") and _enters_own(one, str(settings[one]))):
            require_known(f"{one} of line {name!r}:", settings[one], values[one])
    return settings


def _enters_own(setting: str, name: str) -> bool:
    """Return whether a score or loss is one's own, ``module:name``; a loss is entered into ``LOSSES`` by that name."""
    own = imported_by_name(name) if OWN in name else None
    if setting == "loss" and own is not None:
        LOSSES.setdefault(name, own)
    return own is not None


ROW, ARRAYS = "row.json", "confidence.npz"
DIGITS = 5  # of numbers in rows: their intervals are wider by far


def score_step(work: Workspace, wanted: Wanted) -> Step:
    """Return the step that scores a line, after MCP and the best single score, with which it is compared."""
    name = wanted.name
    case = wanted.case
    kind = KINDS[wanted.method["kind"]]
    if not kind.sees_images:
        shared = not (kind.learns or work.preset.nets[case.classifier].is_seeded)
        case = Case(None, case.classifier, case.where, work.preset.seeds[0] if shared else case.seed)
    wanted = wanted._replace(case=case)  # what it needs is shared as it is
    folder = work.folder("scores", case.classifier, case.seed) / work.place(case) / (case.oracle or "")
    about = f"score {name}{f' of {case.oracle}' if case.oracle else ''} on {case.classifier}, {case.where}"
    places = [case.where, *_splits_of(wanted.method.get("score"))]
    needs = output_steps(work, case, places, auxiliary=wanted.method.get("budget") == AUXILIARY)
    needs += [*([] if kind.step is None else [kind.step(work, wanted)]), *rival_steps(work, wanted)]
    out = folder / folder_slug(stored_line_name(name, wanted.method))
    return Step(out, ROW, about, partial(score_line, work, wanted=wanted), tuple(needs))


def rival_steps(work: Workspace, wanted: Wanted) -> list[Step]:
    """Return the scores that a line is compared with."""
    names = {MCP: [], BEST: [MCP]}.get(wanted.name, [MCP, BEST])
    return [score_step(work, wanted._replace(name=name, method=METHODS[name])) for name in names]


def score_line(work: Workspace, out: Path, wanted: Wanted) -> None:
    """Keep the confidences of a line, and its row of metrics."""
    case, kind = wanted.case, KINDS[wanted.method["kind"]]
    outputs = work.own_outputs(case.classifier, case.seed, work.place(case))
    scored = kind.scored(work, wanted, out if kind.step is None else kind.step(work, wanted).folder)
    others = [confidences_of_line(step.folder)[0] for step in rival_steps(work, wanted)]
    row = measured_line(replace(scored, name=wanted.name), others, outputs, case.seed, work.preset.resamples)
    about = {"seed": case.seed, "oracle": case.oracle, "classifier": case.classifier, "where": case.where}
    with staged_folder(out, last=ROW) as staging:
        np.savez_compressed(staging / ARRAYS, confidence=scored.confidence, is_correct=outputs.is_correct)
        write_json(staging / ROW, {**about, "is": scored.name, "scale": scored.scale, **row})


def row_of_line(folder: Path) -> dict[str, Any]:
    """Return the row of a line that was scored."""
    return read_json(folder / ROW, "a row of an experiment")


def confidences_of_line(folder: Path) -> tuple[Scored, NDArray[np.bool_]]:
    """Return its confidences, and which predictions are correct."""
    row = row_of_line(folder)
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        name = BASELINE if row["score"] == MCP else row["score"]
        return Scored(name, row["loss"], arrays["confidence"], row["scale"]), arrays["is_correct"]


def curve_of_line(folder: Path) -> RiskCoverage:
    """Return its risk-coverage curve."""
    scored, is_correct = confidences_of_line(folder)
    return risk_coverage_curve(scored.confidence, is_correct)


def measured_line(
    scored: Scored, others: list[Scored], outputs: ClassifierOutputs, seed: int, resamples: int
) -> dict[str, Any]:
    """Return a line's metrics with intervals, its paired differences, and the paper's variants as ``paper_…``."""
    line = replace(scored, name=BASELINE) if scored.name == MCP else scored
    row = evaluated_rows([*others[:1], line], outputs, bootstrap=resamples, seed=seed)[-1]
    against = [(line.confidence, one.confidence) for one in others[1:]]  # the best single score, if any
    to_best = [compare(*both, outputs.is_correct, bootstrap=resamples, seed=seed) for both in against]
    numbers: dict[str, Mapping[str, Any]] = {
        **row.metrics,
        **{f"delta_{name}": one for name, one in (row.vs_mcp or {}).items()},
        **{f"best_{name}": one[name] for one in to_best for name in ("auc", "aurc")},
    }
    of_paper = {f"paper_{name}": value for name, value in _paper_metrics_of_line(line, outputs).items()}
    points = {**row.separability, **of_paper}
    numbers |= {name: {"value": value} for name, value in points.items()}
    about = {"score": scored.name, "loss": scored.loss, "n": row.n}
    return {**about, **{name: _rounded_estimate(one) for name, one in numbers.items()}}


def _paper_metrics_of_line(scored: Scored, outputs: ClassifierOutputs) -> dict[str, float]:
    """Return the paper's variants, on float32 sigmoids where the score is a logit; TNR where there is a cut."""
    confidence = float32_sigmoid(scored.confidence) if scored.scale == "logit" else scored.confidence
    cut = np.nan
    if scored.scale != "rank":
        cut = paper_tnr_cut(scored.loss, outputs.num_classes)
    functions = {name: one.at(cut, cut) for name, one in PAPER_METRICS.items() if not (one.threshold and np.isnan(cut))}
    return values_of_measures(functions, confidence, outputs.is_correct)


def _rounded_estimate(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an estimate with few digits; what is undefined is null."""
    known = nan_to_none({name: values[name] for name in ("value", "low", "high") if name in values})
    return {name: value if value is None else round(value, DIGITS) for name, value in known.items()}
