"""What a trusted classifier learns from the rows that do not calibrate: its classifiers, its oracle and its source."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from steepslope.errors import FewErrorsWarning
from steepslope.gate import ConfidenceSource
from steepslope.numerics import Counts, Values
from steepslope.oracle import FusedOracle
from steepslope.oracle.evidence import FOLDS, joined_outputs
from steepslope.outputs import UNKNOWN, ClassifierOutputs, is_signal_array, opinion_of_array
from steepslope.scores import MCP
from steepslope.sklearn._features import Features, is_frozen
from steepslope.sklearn._held_out import counts_to_compare, folds_without_leaks, out_of_fold, rows_in_folds
from steepslope.sklearn._opinions import checked_opinion_classifiers, learnt_opinions
from steepslope.sklearn._reader import Reader, require_unknown_label
from steepslope.sklearn._responses import Responses, require_classifier, warn_of_other_labels

_MCP_RANKS = "the classifier's own probability ranks its predictions"


@dataclass(frozen=True, eq=False)
class _Learnt:
    """The fitted classifier in a ``reader``, the other ``classifiers`` by name, and what ranks the predictions.

    ``oracle`` is None if MCP ranks them, and ``saw`` says what it saw. The ``source`` is either of them, with what a
    gate has to know.
    """

    reader: Reader
    classifiers: dict[str, Any]
    oracle: FusedOracle | None
    saw: str
    source: ConfidenceSource


@dataclass(frozen=True, eq=False)
class Learning:
    """The settings of a :class:`~steepslope.sklearn.TrustedClassifier` that its fit needs, and a seed.

    ``params`` are those of the classifier's ``fit``.
    """

    estimator: Any
    opinions: Mapping[str, Any] | None
    unknown_label: Any
    signals: Any
    cv: Any
    n_jobs: int | None
    seed: int
    params: Mapping[str, Any]

    def fit(self, X: Any, labels: Values, unknown: Any, codes: Counts) -> _Learnt:
        """Fit all classifiers and the oracle to rows (n, …) with labels (n,); these rows alone fix the thresholds.

        The oracle also learns from out-of-class inputs, ``unknown`` (u, …). Rows with the same number in ``codes``,
        (n + u,), belong together.
        """
        fitted = clone(self.estimator).fit(X, labels, **self.params)
        require_classifier(fitted)
        classes = fitted.classes_
        require_unknown_label(self.unknown_label, classes)
        features = Features.of(fitted, X, labels, self.seed)
        folds = folds_without_leaks(X, labels, self.cv, self.seed, codes[: len(labels)])
        warn_of_other_labels(labels, classes, self.unknown_label)  # a frozen classifier has classes of its own
        others = {}
        rows = np.arange(len(labels))
        if folds:
            unseen = out_of_fold(self.estimator, X, labels, folds, classes, self.params, self.n_jobs)
            others = checked_opinion_classifiers(self.opinions, self.estimator)
            rows = rows_in_folds(folds)
        else:
            unseen = Responses.of(fitted, X, classes)
        opinions, of_others = learnt_opinions(others, X, labels, folds, classes, self.n_jobs)
        reader = Reader(fitted, classes, unseen.log_floor, features, opinions, self.signals)
        outputs = reader.outputs(_safe_indexing(X, rows), unseen, of_others)
        truths = reader.codes(labels[rows])
        of_unknown = codes[len(labels) :]
        if len(of_unknown):
            outputs = joined_outputs([outputs, reader.outputs(unknown)])
            truths = np.append(truths, np.full(len(of_unknown), UNKNOWN))
        fit_set = outputs.changed(labels=truths)
        oracle = None
        if folds:
            groups = np.concatenate([codes[rows], of_unknown])
            names = np.char.add("row ", groups.astype(np.str_))  # copies have one name, and are not sought again
            oracle = self.oracle_of(fit_set.changed(ids=names), reader)
        reader = reader.taking(() if oracle is None else oracle.arrays)
        saw = _sentences_of_what_is_seen(oracle, reader, list(opinions))
        if is_frozen(self.estimator):
            fit_set = outputs  # without out-of-fold errors
        source = ConfidenceSource.from_model(oracle or MCP(), outputs.num_classes, fit_set)
        counts = counts_to_compare(source.counts, self.estimator, self.cv, bool(folds))
        if oracle is not None:
            oracle.record_ = replace(oracle.record_, counts=counts)  # type: ignore[type-var]
        classifiers = {name: opinion.estimator for name, opinion in opinions.items()}
        return _Learnt(reader, classifiers, oracle, saw, replace(source, counts=counts))

    def oracle_of(self, outputs: ClassifierOutputs, reader: Reader) -> FusedOracle | None:
        """Return an oracle fitted to the clones' predictions, which the reader has read with all opinions.

        None if there are fewer errors, or fewer correct predictions, than folds.
        """
        errors = int((~outputs.is_correct).sum())
        if min(errors, len(outputs) - errors) < FOLDS:
            return None
        with warnings.catch_warnings():  # the gate is calibrated, so its promise holds for any oracle
            warnings.simplefilter("ignore", FewErrorsWarning)
            oracle = FusedOracle(errors="crossfit", budget="auto" if reader.opinions else "free", seed=self.seed)
            return oracle.fit(outputs)


def _sentences_of_what_is_seen(oracle: FusedOracle | None, reader: Reader, opinions: Sequence[str]) -> str:
    """Return what the oracle saw, whether the classifier's own probability ranks instead, and what opinions gain.

    Each is a line. The gain is measured on the fit set. The reader has those of the ``opinions`` that the oracle takes.
    """
    if oracle is None or oracle.fitted_ is None:
        return f"There is no oracle: errors, or correct predictions, are fewer than {FOLDS}, so {_MCP_RANKS}."
    saw = "The oracle saw the classifier's outputs alone."
    if reader.features is not None:
        saw = reader.features.saw
    signals = [opinion_of_array(name) for name in oracle.arrays if is_signal_array(name)]
    if signals:
        saw += f" It takes the signals {', '.join(signals)}."
    fitted = oracle.fitted_
    if oracle.arrays == ("logits",):
        temperature = fitted.pool.temperature
        tempered = "" if temperature == 1 else f", at a temperature of {temperature:.3g}"
        saw += f" What it learnt ranks no better, so {_MCP_RANKS}{tempered}."
    if not opinions:
        return saw
    alone = fitted.gains["free"]
    gain = fitted.gains.get("opinions", alone)
    lines = [
        saw,
        f"On the fit set, the oracle with opinions gains {100 * gain.auc:+.2f} AUC points over MCP (AURC × "
        f"{gain.aurc_ratio:.3f}), without them {100 * alone.auc:+.2f} (AURC × {alone.aurc_ratio:.3f}).",
    ]
    if reader.opinions:
        lines.append(f"It takes the opinion of {', '.join(reader.opinions)}.")
    left = [name for name in opinions if name not in reader.opinions]
    if left:
        lines.append(f"It leaves out {', '.join(left)}, whose gain is not certain.")
    return "\n".join(lines)
