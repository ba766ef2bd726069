"""Baselines without an oracle: replacing the classifier by another one, or rejecting some classes.

If an oracle only compensates for a stale last layer, or for classes that never occur, it is the wrong remedy.
"""

from collections.abc import Mapping

import numpy as np
from scipy.stats import binomtest

from steepslope.metrics import aurc, auroc
from steepslope.numerics import Counts, Floats, OpinionPool
from steepslope.oracle.evidence import arrays_of_stack, is_stack
from steepslope.outputs import GRADES, SIGNAL, ClassifierOutputs, is_opinion_array, opinion_of_array
from steepslope.scores import MCP

_CLEARLY = 0.01  # level of the sign test that the other classifier is right more often
_SHOWN = 5  # names of classes, or of signals, in a line
_IN_PLACE: dict[str, str] = {
    "feature_opinion": "a net on its features",
    "second_opinion": "a probe on the second backbone's features",
    "joint_opinion": "a probe and a net on both backbones' features",
}


def _replacement_baseline(what: str, opinions: Floats, classes: Counts, outputs: ClassifierOutputs) -> str | None:
    """Return a line on another classifier in the first one's place, on n held-out rows; None if it is never wrong.

    Its log-probabilities (n, V, C) for candidate classes (n, C) are summed over V. It is worth considering if it is
    right more often than luck explains: a sign test at 1 %, on the rows where only one of the two is right.
    """
    joint = OpinionPool(np.ones(opinions.shape[1]), np.zeros(1)).utilities(opinions)
    best = joint.argmax(axis=1)
    rows = np.arange(len(joint))
    right = classes[rows, best] == outputs.require_labels()
    if right.all() or not right.any():
        return None
    rest = np.where(np.arange(joint.shape[1]) == best[:, None], -np.inf, joint)
    odds = joint[rows, best] - np.logaddexp.reduce(rest, axis=1)
    only = int((right & ~outputs.is_correct).sum())
    alone = int((~right & outputs.is_correct).sum())
    gained = 100 * float(right.mean() - outputs.is_correct.mean())
    auc = 100 * auroc(odds, right)
    thousandths = 1000 * aurc(odds, right)
    line = (
        f"{what} is right on {100 * right.mean():.1f} % of {len(right):,} rows ({gained:+.1f} points); "
        f"its own MCP has an AUC of {auc:.1f} and an AURC of {thousandths:.1f} thousandths"
    )
    if only > alone and binomtest(only, only + alone).pvalue < _CLEARLY:
        return f"{line}. Consider it in place of the classifier"
    return line


def _name_of_baseline(name: str) -> str | None:
    """Return a description of the classifier that a kind of evidence amounts to, by its name; None for others.

    >>> _name_of_baseline("stack(logits+opinion_forest+features)"), _name_of_baseline("neighbors")
    ("a logistic regression on the classifier's logits and features, with the opinion of forest", None)
    """
    if is_opinion_array(name):
        return f"the opinion of {opinion_of_array(name)}"
    if not is_stack(name):
        return _IN_PLACE.get(name)
    arrays = arrays_of_stack(name)
    own = " and ".join(array for array in arrays if not is_opinion_array(array))
    baseline = f"a logistic regression on the classifier's {own}"
    others = " and ".join(map(opinion_of_array, filter(is_opinion_array, arrays)))
    if others:
        return f"{baseline}, with the opinion of {others}"
    return baseline


def baselines_without_oracle(
    opinions: Mapping[str, Floats], classes: Counts, outputs: ClassifierOutputs
) -> tuple[str, ...]:
    """Return lines on what would be gained without an oracle: by another classifier, or by rejecting classes.

    ``opinions`` (n, V, C) are about the candidate ``classes`` (n, C), made without the rows' own labels, with the clean
    rows first. Those that could replace the classifier are tried in its place.
    """
    if outputs.classes == GRADES:  # of which no other classifier could be right
        return ()
    lines = []
    for name, values in opinions.items():
        what = _name_of_baseline(name)
        own = values[: len(outputs)]
        if is_opinion_array(name):  # its others are the classifier's own, and the mean of both
            own = own[:, :1]
        rows = np.flatnonzero(own.any(axis=(1, 2)))
        if what is not None and len(rows):
            line = _replacement_baseline(what, own[rows], classes[rows], outputs.subset(rows))
            if line is not None:
                lines.append(f"without an oracle, {line}")
    absent = _baseline_rejecting_classes(outputs)
    if absent is not None:
        lines.append(absent)
    return tuple(lines)


def signals_alone(outputs: ClassifierOutputs) -> tuple[str, ...]:
    """Return a line on how well each signal ranks alone, the best first; none without signals.

    >>> outputs = ClassifierOutputs.from_graded({"judge": [5, 4, 2], "entropy": [0, 2, 1]}, [True, True, False])
    >>> signals_alone(outputs)
    ('AUC of each signal alone: judge 100.0 (high where right), entropy 50.0 (low where right)',)
    """
    aucs: dict[str, float] = {}
    for name in outputs.signals:
        signal = np.asarray(outputs.arrays[f"{SIGNAL}{name}"])
        rows = np.flatnonzero(~np.isnan(signal))
        right = outputs.is_correct[rows]
        if right.any() and not right.all():
            aucs[name] = auroc(signal[rows], right)
    if not aucs:
        return ()
    best_first = sorted(aucs, key=lambda name: -max(aucs[name], 1 - aucs[name]))
    shown = []
    for name in best_first[:_SHOWN]:
        auc = aucs[name]
        side = "high" if auc > 0.5 else "low"
        shown.append(f"{name} {100 * max(auc, 1 - auc):.1f} ({side} where right)")
    if len(aucs) > _SHOWN:
        shown.append(f"{len(aucs) - _SHOWN} others less")
    return (f"AUC of each signal alone: {', '.join(shown)}",)


def _baseline_rejecting_classes(outputs: ClassifierOutputs) -> str | None:
    """Return a line on predicted classes that never occur among the labels, and what rejecting them gains, or None.

    >>> logits = np.eye(3)[[0, 0, 1, 2, 2]] * [2, 3, 1]
    >>> _baseline_rejecting_classes(ClassifierOutputs(logits, [0, 0, 1, 1, 0], classes=["ant", "bee", "cat"]))
    '1 of 3 classes (cat) is predicted in 2 rows and never occurs among the 5 labels: MCP that rejects it has AUC 100.0'
    """
    labels = outputs.require_labels()
    absent = np.setdiff1d(outputs.predictions, labels)
    if not len(absent):
        return None
    rejected = np.isin(outputs.predictions, absent)
    confidence = np.where(rejected, -np.inf, MCP().confidence(outputs))
    ranks = np.unique(confidence, return_inverse=True)[1].astype(np.float64)
    shown = ", ".join(outputs.class_names[label] for label in absent[:_SHOWN])
    if len(absent) > _SHOWN:
        shown += ", …"
    be, occur, them = ("is", "occurs", "it") if len(absent) == 1 else ("are", "occur", "them")
    auc = 100 * auroc(ranks, outputs.is_correct)
    return (
        f"{len(absent):,} of {outputs.num_classes:,} classes ({shown}) {be} predicted in {rejected.sum():,} rows "
        f"and never {occur} among the {len(labels):,} labels: MCP that rejects {them} has AUC {auc:.1f}"
    )
