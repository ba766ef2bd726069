"""The rows that a fused oracle is fitted to, and the opinions on them, made without their own labels.

The rows are the fit set's, and then their augmented copies. References are the classifier's training rows, and rows of
the fit set in other folds, each with their copies. So no label is wasted, and no row, nor a copy of it, sees its own
label.

Of many rows, some thousands are drawn to be judged: a pool has few weights, and these are enough to learn them.
Evidence learns from all others at once, so nothing is fitted five times, and what it costs stops growing.

Copies are extracted ones, or else are made from the features. The latter needs logits that are linear in the features.
Nearly all classifiers end in a linear layer, which can be computed from their outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import lstsq, qr

from steepslope.errors import SteepslopeError, located
from steepslope.numerics import Bools, Counts, Floats, Singles, Values, side_by_side
from steepslope.oracle.evidence._fitting import evidence_of_all_rows, require_reference
from steepslope.oracle.evidence._registry import kind_of_evidence
from steepslope.oracle.evidence._row_augmentation import augmented_rows
from steepslope.oracle.evidence._states import FOLDS, Evidence, Learning, State, fold_of_rows, references
from steepslope.oracle.evidence._values import evidence_opinions
from steepslope.outputs import ClassifierOutputs, rows_together
from steepslope.scores import MCP

_LINEAR = 1e-2  # logits count as linear in the features up to this residual, in standard deviations of the logits
_HEAD_ROWS = 5_000
_COLLINEAR = 1e-10  # columns that only rounding tells apart: their weights would be huge
_VECTORS = ("features", "auxiliary")
# Where copies come from.
EXTRACTED = "extracted"
OF_FEATURES = "features"
NO_COPIES = "none"


def _rows_with_copies(outputs: ClassifierOutputs, seed: int) -> tuple[ClassifierOutputs, Counts]:
    """Return the outputs and, below them, their copies, and the original row of each, int64 (m,)."""
    numbers = np.arange(len(outputs))
    copies = outputs.augmented() or _copies_of_features(outputs, seed)
    if copies is None:
        return outputs, numbers
    originals = np.repeat(numbers, len(copies) // len(outputs))
    return joined_outputs([outputs, copies]), np.concatenate([numbers, originals])


def origin_of_copies(outputs: ClassifierOutputs, count: int) -> str:
    """Return where the ``count`` copies come from that :func:`_rows_with_copies` put below some outputs."""
    if "augmented_logits" in outputs.arrays:
        return EXTRACTED
    return OF_FEATURES if count else NO_COPIES


def joined_outputs(parts: Sequence[ClassifierOutputs], names: Sequence[str] | None = None) -> ClassifierOutputs:
    """Return outputs joined row by row, with the arrays that all hold; with ``names``, only these, logits and labels.

    If only the first outputs hold an opinion, the rows of the others, such as copies, lack it.
    """
    first = parts[0]
    held = [part.lacking_opinions_of(first).arrays for part in parts]
    wanted = set(first.arrays)
    if names is not None:
        wanted = {*names, "logits", "labels"}
    stacked = {}
    for name in first.arrays:
        if name != "ids" and name in wanted and all(name in arrays for arrays in held):
            stacked[name] = _stacked_rows(name, [arrays[name] for arrays in held])
    return ClassifierOutputs.of(stacked, first.classes)


def _stacked_rows(name: str, arrays: Sequence[Values]) -> Values:
    shapes = dict.fromkeys(" × ".join(map(str, array.shape[1:])) for array in arrays)
    if len(shapes) > 1:
        found = " and ".join(shapes)
        raise SteepslopeError(f"expected the same columns in all rows and references, found {found}", name)
    return np.concatenate(arrays)


def _copies_of_features(outputs: ClassifierOutputs, seed: int) -> ClassifierOutputs | None:
    """Return a copy of each row with changed features, of an auxiliary backbone too; None without a linear head."""
    head = None if outputs.features is None else linear_head(outputs)
    if head is None:
        return None
    names = [name for name in _VECTORS if name in outputs.arrays]
    parts = [np.asarray(outputs.arrays[name], dtype=np.float32) for name in names]
    changed = augmented_rows(np.concatenate(parts, axis=1), 1, seed)[:, 0]
    ends = np.cumsum([part.shape[1] for part in parts])
    vectors = dict(zip(names, np.split(changed, ends[:-1], axis=1), strict=True))
    weights, bias = head
    logits = vectors["features"] @ weights + bias
    return ClassifierOutputs.of({"logits": logits, "labels": outputs.labels, **vectors}, outputs.classes)


def linear_head(outputs: ClassifierOutputs) -> tuple[Singles, Singles] | None:
    """Return the weights (d, K) and bias (K,) of the last layer, by least squares; None if it is not linear."""
    rows = np.unique(np.linspace(0, len(outputs) - 1, _HEAD_ROWS).astype(np.int64))
    features = np.asarray(outputs.require_features()[rows], dtype=np.float64)
    logits = np.asarray(outputs.logits[rows], dtype=np.float64)
    columns = np.column_stack([features, np.ones(len(rows))])
    if len(rows) <= columns.shape[1]:
        return None
    basis, triangle = qr(columns, mode="economic")  # a pivoted solve of the triangle is much faster than of the rows
    both, *_ = lstsq(triangle, basis.T @ logits, cond=_COLLINEAR, lapack_driver="gelsy")
    if np.abs(columns @ both - logits).max() > _LINEAR * logits.std():
        return None
    return both[:-1].astype(np.float32), both[-1].astype(np.float32)


_COPIES_WEIGHT = 0.1  # of all copies together, where the rows have 1
MOST_REFERENCES = 50_000  # of the classifier's training rows, and as many copies
_COPIES_AMONG_NEIGHBORS = 0.4  # where not all references are kept
MANY_ROWS = 10_000  # of which only some are judged
JUDGED_ROWS = 5_000  # at least: a pool has few weights, and these are enough to learn them
JUDGED_ERRORS = 500  # at least, or correct predictions where these are rarer
_MOST_JUDGED = 1 / 3  # of all rows
MOST_LEARNT = 100_000  # rows to learn from
MOST_VALUES = 20_000_000  # in these rows
NEARLY_ALL = 10  # times as many rows to learn from as are judged: what learns slowly need not learn from these, too
# Folds of what learns slowly, by how many references there are at least, in multiples of the rows; with one fold, it
# learns from the references alone.
_SLOW_FOLDS = {4: 1, 2: 2, 0: FOLDS}


@dataclass(frozen=True, eq=False)
class FitSet:
    """A fit set: the ``outputs`` to judge, its ``rows`` (these, then their copies), and the ``fold`` of each row.

    ``reference`` has the references outside the fit set, if any: ``num_references`` of them, then their copies.
    ``learnt`` has the rows of a large fit set that are not judged, if any: ``num_learnt`` of them, then their copies.
    """

    rows: ClassifierOutputs
    outputs: ClassifierOutputs
    fold: Counts
    reference: ClassifierOutputs | None
    num_references: int
    seed: int
    learnt: ClassifierOutputs | None = None
    num_learnt: int = 0

    @classmethod
    def of(
        cls, outputs: ClassifierOutputs, reference: ClassifierOutputs | None, seed: int, codes: Counts | None = None
    ) -> FitSet:
        """Take a fit set and a reference, each with its extracted copies, or copies made from its features.

        Rows with the same number in ``codes`` (n,) are in one fold; by default these are repeated rows.

        Raises
        ------
        SteepslopeError
            If a row is in both, or they have different numbers of classes.
        """
        if reference is not None:
            require_reference(outputs, reference)
            with located("reference"):
                reference.require_labels()
                if not outputs.is_unknown.any():
                    reference = reference.of_known_classes()
        if codes is None:
            codes = rows_together(outputs)
        is_judged = _rows_to_judge(outputs.is_correct, codes, seed)
        learnt = None
        num_learnt = 0
        if not is_judged.all():
            values_of_row = sum(array[0].size for array in outputs.arrays.values())
            most = max(JUDGED_ROWS, min(MOST_LEARNT, MOST_VALUES // values_of_row))
            others = references(outputs.subset(np.flatnonzero(~is_judged)), most)
            num_learnt = len(others)
            learnt, _ = _rows_with_copies(others, seed)
            outputs = outputs.subset(np.flatnonzero(is_judged))
            codes = codes[is_judged]
        num_references = 0
        if reference is not None:
            reference = references(reference, MOST_REFERENCES)
            num_references = len(reference)
            reference, _ = _rows_with_copies(reference, seed)
        rows, origin = _rows_with_copies(outputs, seed)
        fold = fold_of_rows(outputs.is_correct, seed, codes)[origin]
        return cls(rows, outputs, fold, reference, num_references, seed, learnt, num_learnt)

    @property
    def num_clean(self) -> int:
        """The number of clean rows, which are no copies; they come first."""
        return len(self.outputs)

    @property
    def num_unjudged(self) -> int:
        """The number of rows that are learnt from and not judged, with their copies."""
        return len(self.reference or ()) + len(self.learnt or ())

    @property
    def unknown(self) -> bool:
        """Whether some rows are out-of-class."""
        if self.learnt is not None and self.learnt.is_unknown.any():
            return True
        return bool(self.outputs.is_unknown.any())

    @property
    def weights(self) -> Floats:
        """The weight of each row in a pool, float64 (m,): 1 if clean; all copies together have a tenth of that."""
        weights = np.ones(len(self.rows))
        copies = len(self.rows) - self.num_clean
        weights[self.num_clean :] = _COPIES_WEIGHT * self.num_clean / max(copies, 1)
        return weights

    def lacking(self, kind: Evidence) -> str | None:
        """Return why a kind of evidence is not available; None if it is."""
        if self.rows.num_classes < kind.least_classes:
            return f"for {kind.least_classes} classes and more"
        lacking = kind.lacking(self.outputs)
        if lacking:
            return f"no {lacking} in the outputs"
        if kind.learning is None:
            return None
        lacking = kind.lacking(self.rows)
        if lacking:
            return f"no {lacking} in the copies of the outputs"
        if kind.needs_reference and self.reference is not None:
            lacking = kind.lacking(self.reference)
            if lacking:
                return f"no {lacking} in the reference or in its copies"
        count = self.num_clean * (FOLDS - 1) // FOLDS + self.num_unjudged
        least = kind.learning.at_least
        if count >= least:
            return None
        return f"fewer than {least} references"

    def opinions(self, name: str) -> tuple[Floats, State | None]:
        """Return a kind's opinions (n, V, C), each made without the row's own label, and its final state.

        They are on all rows, or on the clean rows alone if copies lack what the evidence needs.
        """
        kind = kind_of_evidence(name)
        if kind.learning is None:
            lacks = kind.lacking(self.rows)
            return self._seen(name, self.outputs if lacks else self.rows, {}), None
        folds = self._folds(kind.learning)
        left_out = [*folds]
        if not self._is_learnt_once(kind.learning):
            left_out.append(np.array([], dtype=np.int64))
        fit: Callable[[ClassifierOutputs], State] = kind.learning.fit
        if kind.learning.shared is not None:
            unlabelled = self._references(kind, ()).changed(labels=None)
            fit = partial(kind.learning.fit, shared=kind.learning.shared(unlabelled))
        states = side_by_side(lambda rows: fit(self._references(kind, rows)), left_out)
        parts = []
        for inside, state in zip(folds, states, strict=False):
            parts.append(self._seen(name, self.rows.subset(inside), {name: state}))
        whole = np.empty((len(self.rows), *parts[0].shape[1:]))
        whole[np.concatenate(folds)] = np.concatenate(parts)
        return whole, states[-1]

    def _folds(self, learning: Learning) -> list[Counts]:
        """Return the rows of each fold that a kind of evidence learns without; with one fold, these are all rows."""
        count = FOLDS
        if self.learnt is not None:
            count = 1
        elif learning.slow:
            times = self.num_unjudged / len(self.rows)
            least = max(least for least in _SLOW_FOLDS if least <= times)
            count = _SLOW_FOLDS[least]
        return [np.flatnonzero(self.fold % count == number) for number in range(count)]

    def _is_learnt_once(self, learning: Learning) -> bool:
        """Return whether slow learning from the other rows alone is enough, because they are so many."""
        enough = max(_SLOW_FOLDS) if self.learnt is None else NEARLY_ALL
        return learning.slow and self.num_unjudged / len(self.rows) >= enough

    def known_rows(self) -> tuple[ClassifierOutputs, ClassifierOutputs | None]:
        """Return the references, or the fit set if there are none, and their copies or None."""
        rows = self.rows
        count = self.num_clean
        if self.reference is not None:
            rows = self.reference
            count = self.num_references
        elif self.learnt is not None:
            rows = self.learnt
            count = self.num_learnt
        copies = rows.subset(slice(count, None)) if len(rows) > count else None
        return rows.subset(slice(count)), copies

    def _references(self, kind: Evidence, without: ArrayLike) -> ClassifierOutputs:
        """Return the reference and all rows except some, ``without``, with only the arrays that the evidence needs."""
        assert kind.learning is not None
        others = np.delete(np.arange(len(self.rows)), np.asarray(without, dtype=np.int64))
        parts = []
        is_copy = []
        if kind.needs_reference and self.reference is not None:
            parts.append(self.reference)
            is_copy.append(np.arange(len(self.reference)) >= self.num_references)
        if self.learnt is not None:
            parts.append(self.learnt)
            is_copy.append(np.arange(len(self.learnt)) >= self.num_learnt)
        if len(others):
            parts.append(self.rows.subset(others))
            is_copy.append(others >= self.num_clean)
        joined = joined_outputs(parts, kind.arrays)
        copies = np.concatenate(is_copy)
        most = kind.learning.most
        if kind.learning.familiar:
            return joined.subset(np.flatnonzero(~copies))
        if most is not None and len(joined) > most:
            return joined.subset(_least_sure_references(joined, copies, most))
        return joined

    def classes(self) -> Counts:
        """Return the candidate classes of all rows, (n, C)."""
        read = partial(evidence_opinions, unknown=self.unknown)
        (classes,) = evidence_of_all_rows(self.rows, (), {}, read)
        return classes

    def _seen(self, name: str, outputs: ClassifierOutputs, states: Mapping[str, State]) -> Floats:
        read = partial(evidence_opinions, unknown=self.unknown)
        opinions, _ = evidence_of_all_rows(outputs, (name,), states, read)
        return opinions


def _rows_to_judge(is_correct: Bools, codes: Counts, seed: int) -> Bools:
    """Return which rows of a fit set are judged, booleans (n,): all, or some thousands of many, drawn by the seed.

    They have as large a share of errors as all. Rows with the same number in ``codes`` (n,) are judged together.

    >>> is_correct, codes = np.arange(60_000) % 10 > 0, np.arange(60_000) // 2
    >>> is_judged = _rows_to_judge(is_correct, codes, 0)
    >>> int(is_judged.sum()), round(float(is_correct[is_judged].mean()), 2)
    (5000, 0.9)
    """
    n = len(is_correct)
    if n < MANY_ROWS:
        return np.ones(n, np.bool_)
    rarer = min(is_correct.mean(), 1 - is_correct.mean())
    wanted = min(max(JUDGED_ROWS, JUDGED_ERRORS / rarer), _MOST_JUDGED * n)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    count = len(first)
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(is_correct[first[order]], kind="stable")]  # errors first, each kind in random order
    places = np.linspace(0, count - 1, round(wanted / n * count)).round().astype(np.int64)
    is_judged = np.zeros(count, np.bool_)
    is_judged[order[places]] = True
    return is_judged[inverse]


def _least_sure_references(outputs: ClassifierOutputs, copies: Bools, most: int) -> Counts:
    """Return the rows, (most,), about which the classifier is least sure, in order; a share of them are copies."""
    order = np.argsort(MCP().confidence(outputs), kind="stable")
    wanted = min(round(_COPIES_AMONG_NEIGHBORS * most), int(copies.sum()))
    of_copies = order[copies[order]][:wanted]
    of_rows = order[~copies[order]][: most - wanted]
    return np.sort(np.concatenate([of_rows, of_copies]))
