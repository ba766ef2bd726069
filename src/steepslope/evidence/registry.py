"""Post-hoc scores as evidence: one column each, by what the score itself declares of its needs and its state.

Every kind of evidence by name: a new one is a file with its functions, and an entry here.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from steepslope.errors import require_known
from steepslope.evidence.classifier import (
    dropout_columns,
    dropout_opinions,
    logit_columns,
    logit_opinions,
    view_columns,
    view_opinions,
)
from steepslope.evidence.neighbors import COUNTS, check_neighbors, fit_neighbors, neighbor_columns, neighbor_opinions
from steepslope.evidence.probes import (
    INPUTS,
    check_feature_opinion,
    check_joint,
    check_probe,
    feature_opinion_columns,
    feature_opinions,
    fit_feature_opinion,
    fit_joint,
    fit_probe,
    joint_columns,
    joint_opinions,
    opinion_columns,
    second_opinions,
)
from steepslope.evidence.states import Evidence, Floats, Learning, State, references
from steepslope.numerics.blocks import read_rows
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES, Score


def evidence_of(score: type[Score]) -> Evidence:
    """Return a score as a kind of evidence."""

    def fit(outputs: ClassifierOutputs) -> State:
        return score().fit(references(outputs) if score.fits_on == "reference" else outputs).state()

    def column(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
        part = outputs.subset(rows)
        fitted = score().fit(part) if score.fits_on == "nothing" else score.restored(state, part.num_classes)
        return fitted.confidence(part)[:, None]

    learning = None if score.fits_on == "nothing" else Learning(fit, score.restored, score.fits_on, score.at_least)
    return Evidence(column, score.arrays, learning, least_classes=score.least_classes)


def feature_columns(outputs: ClassifierOutputs, rows: slice, _: State) -> NDArray[Any]:
    """Return the classifier's penultimate features, (m, d)."""
    return read_rows(outputs.require_features(), rows)


MOST_NEIGHBORS = 50_000  # more gain nothing (LOG.md)
_NEIGHBORS = Learning(fit_neighbors, check_neighbors, at_least=max(COUNTS), most=MOST_NEIGHBORS)
_JOINT = Learning(fit_joint, check_joint, slow=True)
EVIDENCE: dict[str, Evidence] = {
    "features": Evidence(feature_columns, ("features",), raw=True),
    "logits": Evidence(logit_columns, opinions=logit_opinions),
    "neighbors": Evidence(neighbor_columns, ("features",), _NEIGHBORS, neighbor_opinions),
    "feature_opinion": Evidence(
        feature_opinion_columns,
        ("features",),
        Learning(fit_feature_opinion, check_feature_opinion, slow=True),
        feature_opinions,
    ),
    "views": Evidence(view_columns, ("views",), opinions=view_opinions),
    "dropout": Evidence(dropout_columns, ("dropout",), opinions=dropout_opinions),
    "auxiliary_neighbors": Evidence(
        partial(neighbor_columns, array="auxiliary"),
        ("auxiliary",),
        replace(_NEIGHBORS, fit=partial(fit_neighbors, array="auxiliary")),
    ),  # whose opinions would be of some use at home, and mislead most elsewhere (LOG.md)
    "second_opinion": Evidence(
        opinion_columns, ("auxiliary",), Learning(fit_probe, check_probe, slow=True), second_opinions
    ),
    "joint_opinion": Evidence(joint_columns, INPUTS, _JOINT, joint_opinions),
    "familiar_opinion": Evidence(joint_columns, INPUTS, replace(_JOINT, familiar=True), joint_opinions),
}


def kinds() -> dict[str, Evidence]:
    """Return every kind of evidence by name: those of :data:`EVIDENCE`, and every score as a column."""
    return {**EVIDENCE, **{name: evidence_of(score) for name, score in SCORES.items()}}


def kind_of(name: str) -> Evidence:
    """Return a kind of evidence, or name the closest one."""
    known = kinds()
    require_known("input", name, known)
    return known[name]
