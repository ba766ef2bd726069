"""Where the confidences of a table's line come from: a score, or an oracle and how it is made.

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

from steepslope.errors import SteepslopeError, require_known
from steepslope.files.folders import digest_of, read_json, staged_folder, write_json
from steepslope.losses import LOSSES, PAPER_LOSSES, LossSettings, parameters_of
from steepslope.metrics import aurc
from steepslope.outputs import ClassifierOutputs
from steepslope.paper.lab import AUXILIARY, HOLDOUT, TRAIN, Case, Lab
from steepslope.paper.oracle_steps import features_step, fused_step, oracle_step
from steepslope.paper.output_steps import output_steps
from steepslope.paper.preset import Net, Pair
from steepslope.paper.step import Step, frozen
from steepslope.report.confidences import Resources, Scored, score_predictions
from steepslope.scores import SCORES, Score
from steepslope.theory import focal_confidence

Method = Mapping[str, Any]  # its kind, and the settings of that
DROPOUT = "mc_dropout"
CHOSEN = "chosen.json"
BUDGETS = "free", AUXILIARY  # of which the work folder has the evidence


class Wanted(NamedTuple):
    """A line: its name, its method, the pair that it is of, and what it is scored on."""

    name: str
    method: Method
    pair: Pair
    case: Case


class Kind(NamedTuple):
    """A kind of methods: the step that makes one, if any, what else it needs, and the confidences it gives.

    ``required`` and ``allowed`` are its settings; None allows all. ``values`` has what some settings may be.
    ``sees_images`` is whether there is another for each oracle's backbone, ``learns`` whether the seed decides it.
    ``lacks`` tells why a classifier cannot have it. Where it ``changes`` what another line gives, that line stands in
    its setting ``line``, and has been scored before.
    """

    needs: Callable[[Lab, Wanted], list[Step]]
    scored: Callable[[Lab, Wanted], Scored] | None
    required: tuple[str, ...] = ()
    allowed: tuple[str, ...] | None = ()
    sees_images: bool = False
    learns: bool = True
    lacks: Callable[[Method, Net], str] = lambda method, net: ""
    changes: Callable[[Wanted, Scored], Scored] | None = None
    values: Callable[[], Mapping[str, Collection[str]]] = dict


def _seen(lab: Lab, case: Case) -> ClassifierOutputs:
    return lab.own_outputs(case.classifier, case.seed, lab.place(case))


def _score_needs(lab: Lab, wanted: Wanted) -> list[Step]:
    learns = SCORES[wanted.method["score"]].fits_on != "nothing"
    return output_steps(lab, wanted.case, [wanted.case.where, *((HOLDOUT, TRAIN) if learns else ())])


def _by_score(lab: Lab, case: Case, score: str) -> Scored:
    sets = {name: lab.own_outputs(case.classifier, case.seed, name)
            for name in (HOLDOUT, TRAIN) if SCORES[score].fits_on != "nothing"}  # fmt: skip
    resources = Resources(sets.get(HOLDOUT), sets.get(TRAIN))
    return score_predictions([score], _seen(lab, case), resources)[-1]


def best_step(lab: Lab, case: Case) -> Step:
    """Return the step that finds a classifier's score of least AURC on held-out rows, whose arrays these have."""
    folder = lab.folder("best", case.classifier, case.seed)
    about = f"find the best single score of {case.classifier} on held-out rows"
    run = partial(find_best, classifier=case.classifier, seed=case.seed)
    return Step(folder, CHOSEN, about, run, tuple(output_steps(lab, case, [HOLDOUT, TRAIN])))


def find_best(lab: Lab, classifier: str, seed: int) -> None:
    """Find it by the mean AURC of both halves of the held-out rows; scores that learn on such see the other half."""
    held_out, train = (lab.own_outputs(classifier, seed, name) for name in (HOLDOUT, TRAIN))
    order = np.random.default_rng(seed).permutation(len(held_out))
    halves = [held_out.subset(np.sort(part)) for part in np.array_split(order, 2)]
    possible = {name: kind for name, kind in SCORES.items() if {*kind.arrays} <= {*held_out.arrays}}
    both = (halves[0], halves[1]), (halves[1], halves[0])
    risks = {name: float(np.mean([_risk(kind, known, new, train) for known, new in both]))
             for name, kind in possible.items()}  # fmt: skip
    with staged_folder(lab.folder("best", classifier, seed), last=CHOSEN) as staging:
        known = {name: risk for name, risk in risks.items() if math.isfinite(risk)}
        write_json(staging / CHOSEN, {"score": min(known, key=lambda name: known[name]), "aurc": known})


def _risk(kind: type[Score], known: ClassifierOutputs, new: ClassifierOutputs, train: ClassifierOutputs) -> float:
    """Return the AURC of a score on new rows, after it has learnt from known ones or from the training rows.

    It is infinite where the score cannot learn, as from rows without a single error.
    """
    try:
        fitted = kind().fit(train if kind.fits_on == "reference" else known)
    except SteepslopeError:
        return math.inf
    return aurc(fitted.confidence(new), new.is_correct)


def _best_needs(lab: Lab, wanted: Wanted) -> list[Step]:
    return [best_step(lab, wanted.case), *output_steps(lab, wanted.case, [wanted.case.where])]


def _best_scored(lab: Lab, wanted: Wanted) -> Scored:
    found = read_json(best_step(lab, wanted.case).folder / CHOSEN, "the choice of a score")
    return _by_score(lab, wanted.case, found["score"])


def _by_oracle(lab: Lab, case: Case, folder: Path, outputs: ClassifierOutputs) -> Scored:
    backbones = [lab.spec(name, case.seed) for name in lab.preset.nets]
    images = lambda _: lab.images(case.classifier, case.seed, lab.place(case))  # noqa: E731
    return score_predictions([str(folder)], outputs, Resources(open_images=images, backbones=backbones))[-1]


def kept_as(name: str, method: Method) -> str:
    """Return under which name a line is kept: an experiment's own settings are told apart by their digest.

    >>> kept_as("CE", METHODS["CE"]), kept_as("CE", {"kind": "images", "loss": "cross_entropy", "epochs": 3})
    ('CE', 'CE c15d5ea9')
    """
    return name if method == METHODS.get(name) else f"{name} {digest_of(method)[:8]}"


def _image_step(lab: Lab, wanted: Wanted) -> Step:
    stage = "stage" in wanted.method
    if stage:
        stages = [one["name"] for one in wanted.pair.training.get("stages", ())]
        require_known(f"stage of line {wanted.name!r}:", wanted.method["stage"], stages)
    elif wanted.pair.training.get("stages"):
        found = f"a training in stages for {wanted.pair.title}: name one of them as the line's stage"
        raise SteepslopeError(f"expected a training of one step, found {found}", f"line {wanted.name!r}")
    changes = {name: value for name, value in wanted.method.items() if name not in ("kind", "stage")}
    name = kept_as(wanted.name, wanted.method)
    if stage:  # those of all stages are one
        name = f"in stages {digest_of(changes)[:8]}" if changes else "in stages"
    return oracle_step(lab, wanted.pair, name, frozen(changes), wanted.case.seed)


def _image_needs(lab: Lab, wanted: Wanted) -> list[Step]:
    return [_image_step(lab, wanted), *output_steps(lab, wanted.case, [wanted.case.where])]


def _image_scored(lab: Lab, wanted: Wanted) -> Scored:
    folder = _image_step(lab, wanted).folder / wanted.method.get("stage", "")
    return _by_oracle(lab, wanted.case, folder, _seen(lab, wanted.case))


def inner(wanted: Wanted) -> Wanted:
    """Return the line whose confidences another changes."""
    return wanted._replace(name=wanted.method["line"], method=METHODS[wanted.method["line"]])


def _cut(wanted: Wanted, found: Scored) -> Scored:
    """Return trust logits less the one that stands for the cut of the pair's slopes: they rank as before, cut at 0.

    The focal loss's best sigmoid is not the probability of being correct, but :func:`focal_confidence` of it.
    """
    settings = {**wanted.pair.training, **inner(wanted).method}
    given = {
        name: settings[name] for name in {one for loss in LOSSES for one in parameters_of(loss)} if name in settings
    }
    cut = LossSettings("steep_slope", given).cut
    gamma = LossSettings(settings["loss"], given).parameters.get("gamma", 0.0)  # 0 is cross entropy
    sigmoid = focal_confidence(cut, gamma)
    return replace(found, confidence=found.confidence - np.log(sigmoid / (1 - sigmoid)))


def _features_step(lab: Lab, wanted: Wanted) -> Step:
    settings = {name: value for name, value in wanted.method.items() if name not in ("kind", "split")}
    split, case = wanted.method.get("split", TRAIN), wanted.case
    name = kept_as(wanted.name, wanted.method)
    return features_step(lab, case.classifier, name, frozen({**lab.preset.features, **settings}), split, case.seed)


def _fused_needs(lab: Lab, wanted: Wanted) -> list[Step]:
    budget, case = wanted.method["budget"], wanted.case
    seen = output_steps(lab, case, [case.where], auxiliary=budget == AUXILIARY)
    return [fused_step(lab, case.classifier, budget, case.seed), *seen]


def _fused_scored(lab: Lab, wanted: Wanted) -> Scored:
    case = wanted.case
    folder = fused_step(lab, case.classifier, wanted.method["budget"], case.seed).folder
    return _by_oracle(
        lab, case, folder, lab.outputs(case.classifier, case.seed, lab.place(case), wanted.method["budget"])
    )


KINDS: dict[str, Kind] = {
    "score": Kind(
        _score_needs, lambda lab, wanted: _by_score(lab, wanted.case, wanted.method["score"]), ("score",), learns=False,
        lacks=lambda method, net: "no dropout" if method["score"] == DROPOUT and not net.passes else "",
        values=lambda: {"score": SCORES},
    ),
    "best": Kind(_best_needs, _best_scored, learns=False),
    "images": Kind(
        _image_needs, _image_scored, allowed=None, sees_images=True, values=lambda: {"loss": LOSSES}
    ),
    "cut": Kind(
        lambda lab, wanted: [], None, ("line",), sees_images=True, changes=_cut,
        values=lambda: {"line": [name for name, method in METHODS.items() if method["kind"] == "images"]},
    ),
    "features": Kind(
        lambda lab, wanted: [_features_step(lab, wanted), *output_steps(lab, wanted.case, [wanted.case.where])],
        lambda lab, wanted: _by_oracle(lab, wanted.case, _features_step(lab, wanted).folder, _seen(lab, wanted.case)),
        allowed=None, values=lambda: {"split": (TRAIN, HOLDOUT), "loss": LOSSES},
    ),
    "fused": Kind(
        _fused_needs, _fused_scored, ("budget",),
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


def method_of(name: str, settings: Any) -> Method:
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
    _require_settings(name, settings, KINDS[settings["kind"]])
    return settings


def _require_settings(name: str, settings: Method, kind: Kind) -> None:
    """Raise unless a line has the settings of its kind, with values that these may have."""
    for one in settings:
        if kind.allowed is not None:
            require_known(f"setting of line {name!r}:", one, ["kind", *kind.required, *kind.allowed])
    for one in kind.required:
        if one not in settings:
            raise SteepslopeError(f"expected a setting {one} of kind {settings['kind']}, found none", name)
    for one, known in kind.values().items():
        if one in settings:
            require_known(f"{one} of line {name!r}:", settings[one], known)
