"""Every kind of evidence by name: a new one is its functions, and an entry here. Every score is one, too."""

from dataclasses import replace
from functools import partial

from torch import Tensor

from steepslope.errors import require_known
from steepslope.evidence.classifier import (
    dropout_columns,
    dropout_opinions,
    feature_columns,
    logit_columns,
    logit_opinions,
    view_columns,
    view_opinions,
)
from steepslope.evidence.neighbors import COUNTS, check_neighbors, fit_neighbors, neighbor_columns, neighbor_opinions
from steepslope.evidence.probes import (
    BOTH,
    check_feature_opinion,
    check_joint,
    check_probe,
    fit_feature_opinion,
    fit_joint,
    fit_probe,
    probe_columns,
    probe_opinions,
)
from steepslope.evidence.states import Evidence, Learning, State, references
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES, Score
from steepslope.scores.score import Rows

MOST_NEIGHBORS = 50_000  # more gain nothing (LOG.md)


def _probes(learning: Learning, *arrays: str) -> Evidence:
    columns, opinions = partial(probe_columns, arrays=arrays), partial(probe_opinions, arrays=arrays)
    return Evidence(columns, arrays, learning, opinions)


_NEIGHBORS = Learning(fit_neighbors, check_neighbors, at_least=max(COUNTS), most=MOST_NEIGHBORS)
_JOINT = Learning(fit_joint, check_joint, slow=True)
EVIDENCE: dict[str, Evidence] = {
    "features": Evidence(feature_columns, ("features",), raw=True),
    "logits": Evidence(logit_columns, opinions=logit_opinions),
    "neighbors": Evidence(neighbor_columns, ("features",), _NEIGHBORS, neighbor_opinions),
    "feature_opinion": _probes(Learning(fit_feature_opinion, check_feature_opinion, slow=True), "features"),
    "views": Evidence(view_columns, ("views",), opinions=view_opinions),
    "dropout": Evidence(dropout_columns, ("dropout",), opinions=dropout_opinions),
    "auxiliary_neighbors": Evidence(
        partial(neighbor_columns, array="auxiliary"),
        ("auxiliary",),
        replace(_NEIGHBORS, fit=partial(fit_neighbors, array="auxiliary")),
    ),  # whose opinions would be of some use at home, and mislead most elsewhere (LOG.md)
    "second_opinion": _probes(Learning(fit_probe, check_probe, slow=True), "auxiliary"),
    "joint_opinion": _probes(_JOINT, *BOTH),
    "familiar_opinion": _probes(replace(_JOINT, familiar=True), *BOTH),
}


def evidence_of(score: type[Score]) -> Evidence:
    """Return a score as a kind of evidence: one column, by what the score declares of its needs and its state."""

    def fit(outputs: ClassifierOutputs) -> State:
        return score().fit(references(outputs) if score.fits_on == "reference" else outputs).state()

    def column(rows: Rows, state: State) -> Tensor:
        return score.restored(state, rows["logits"].shape[1]).formula(rows)[:, None]

    learning = None if score.fits_on == "nothing" else Learning(fit, score.restored, score.fits_on, score.at_least)
    return Evidence(column, score.arrays, learning, least_classes=score.least_classes)


def kinds() -> dict[str, Evidence]:
    """Return every kind of evidence by name: those of :data:`EVIDENCE`, and every score as a column."""
    return {**EVIDENCE, **{name: evidence_of(score) for name, score in SCORES.items()}}


def kind_of(name: str) -> Evidence:
    """Return a kind of evidence, or name the closest one."""
    known = kinds()
    require_known("input", name, known)
    return known[name]
