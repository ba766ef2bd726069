"""A scikit-learn classifier that tells which of its predictions to use: at least a promised part of these is right."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing, assert_all_finite, check_random_state, column_or_1d, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, check_is_fitted

import sklearn
from steepslope.checks import require
from steepslope.errors import FewErrorsWarning, NothingPromisedWarning, SteepslopeError
from steepslope.evidence.fit_set import joined
from steepslope.evidence.folds import FOLDS
from steepslope.gate import Gate, threshold_sequence
from steepslope.gate.aims import INSIDE, Aims
from steepslope.oracle import FusedOracle
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import require_one_order
from steepslope.outputs.labels import UNKNOWN
from steepslope.scores import MCP
from steepslope.sklearn.held_out import folds_of, held_out_apart, out_of_fold, require_folds, rows_of, unknown_rows
from steepslope.sklearn.responses import Reader, Responses, codes_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LEAST_ROWS = 2
LARGEST_SEED = 2**31 - 1


class Decision(NamedTuple):
    """The labels of some predictions, (n,), and which of them to use, booleans (n,)."""

    labels: NDArray[Any]
    accepted: Bools


def _offers(name: str) -> Callable[[Any], bool]:
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), name)


class TrustedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Any scikit-learn classifier, and which of its predictions to use: at most ``max_risk`` of these are wrong.

    ``fit`` holds out a part of the rows. It fits the classifier on the others, and an oracle
    (:meth:`steepslope.Oracle.fused`) on the errors that clones of the classifier make on folds that they have not seen.
    A gate (:meth:`steepslope.Gate.calibrate`) finds the threshold on the rows held out. A classifier in
    ``sklearn.frozen.FrozenEstimator`` is not fitted again; then all rows have to be new to it.

    With probability 1 − ``delta`` over the rows that are given to ``fit``, at most ``max_risk`` of the accepted
    predictions are wrong, for inputs that are drawn independently from the same source. Classes are held out in
    proportion, which makes the count less noisy. A row that is alone in its class counts as an error where it is held
    out, as inputs of unknown classes will be. Sample weights are for the classifier: the promise counts each row once.

    Parameters
    ----------
    estimator
        A classifier with ``predict_proba`` or ``decision_function``, such as a pipeline that ends in one.
    max_risk
        Highest fraction of errors among the accepted predictions, in (0, 1).
    delta
        Probability, in (0, 1), that the promise does not hold.
    calibration_size
        Fraction of the rows that is held out, in (0, 1). Promising 5 % takes at least 59 such rows, 1 % takes 299.
    cv
        Number of folds >= 2, or a splitter of scikit-learn's that puts each row into one fold.
    random_state
        A whole number, a ``RandomState``, or None: which rows are held out, the folds, and what the oracle draws. The
        classifier has its own.
    unknown_label
        The label in ``y`` of rows of none of the classes, such as -1 or "unknown"; None where there are none. The
        classifier never learns them. They are errors to the oracle and, in the part that is held out, to the gate,
        whose promise then includes such inputs, if as many are to come.

    Attributes
    ----------
    estimator_
        The fitted classifier.
    oracle_ : FusedOracle or None
        What ranks the predictions. None where fewer than five predictions of the folds are wrong, or right, or all
        classes but one have a single row: the classifier's own probability ranks them then (MCP).
    gate_ : Gate
        The threshold and its promise; ``gate_.sentences()`` states it.
    classes_ : ndarray (K,)
        The classes, as the classifier has them.
    n_features_in_ : int
        Number of columns, where the classifier knows it.
    feature_names_in_ : ndarray (d,)
        Names of columns, where the inputs had names.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = load_digits(return_X_y=True)
    >>> model = TrustedClassifier(GaussianNB(), max_risk=0.1).fit(X[:1_200], y[:1_200])
    >>> labels, accepted = model.decide(X[1_200:])
    >>> wrong = labels != y[1_200:]
    >>> bool(accepted.mean() > 0.5), bool(wrong[accepted].mean() < 0.1 < wrong.mean())
    (True, True)

    Frames, sparse matrices and lists of texts work likewise.
    """

    def __init__(
        self,
        estimator: Any,
        max_risk: float = 0.05,
        delta: float = 0.05,
        *,
        calibration_size: float = 0.25,
        cv: Any = 5,
        random_state: Any = 0,
        unknown_label: Any = None,
    ) -> None:
        self.estimator = estimator
        self.max_risk = max_risk
        self.delta = delta
        self.calibration_size = calibration_size
        self.cv = cv
        self.random_state = random_state
        self.unknown_label = unknown_label

    def fit(self, X: Any, y: Any, **fit_params: Any) -> Self:
        """Fit the classifier and its oracle, and calibrate the gate.

        Parameters
        ----------
        X
            Inputs (n, …), whatever the classifier takes: an array, a frame, a sparse matrix or a list of texts. The
            oracle sees tables of numbers as well; of all else, only what the classifier makes of it.
        y
            Labels (n,), ``unknown_label`` for rows of none of the classes.
        fit_params
            Further parameters of the classifier's ``fit``, such as ``sample_weight``: by metadata routing where that is
            enabled. What has a value a row is cut as the rows are.

        Raises
        ------
        SteepslopeError
            If a parameter is out of range, there are fewer than two rows, frames have the same index in another order,
            the classifier has neither probabilities nor decision values, or ``unknown_label`` is one of its classes.
        """
        Aims(max_risk=self.max_risk, delta=self.delta)  # type: ignore[arg-type]
        require("calibration_size", self.calibration_size, INSIDE)
        require_folds(self.cv)
        require_one_order({"X": X, "y": y})
        X, labels = _checked(X, y)
        seed = int(check_random_state(self.random_state).randint(LARGEST_SEED))
        is_unknown = unknown_rows(labels, self.unknown_label)
        learnt, errors, calibration = held_out_apart(labels, is_unknown, self.calibration_size, seed)
        if not len(calibration):
            found = f"found n_samples={len(labels)}, of which calibration_size {self.calibration_size} holds out none"
            raise SteepslopeError(f"expected rows to calibrate on beside those of two classes, {found}", "X")
        params = rows_of(self._routed(fit_params), learnt, len(labels))
        thresholds = self._learn(_safe_indexing(X, learnt), labels[learnt], params, seed, _safe_indexing(X, errors))
        rows = _safe_indexing(X, calibration)
        responses = Responses.of(self.estimator_, rows, self.classes_)
        confidence = self._ranked(self.reader_.outputs(responses, rows))
        codes = codes_of(labels[calibration], self.classes_)
        self.gate_ = Gate.calibrate(
            confidence, responses.predicted == codes, self.max_risk, self.delta, thresholds, of_log_odds=True,
            is_unknown=codes == UNKNOWN, seed=seed,
        )  # fmt: skip
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the classifier's labels, (n,), also of predictions that are not accepted."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict(X))

    @available_if(_offers("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Floats:
        """Return the classifier's own probabilities, (n, K); of being correct, see :meth:`p_correct`."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict_proba(X))

    @available_if(_offers("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Floats:
        """Return the classifier's own decision values, (n, K), or (n,) of two classes."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.decision_function(X))

    def decide(self, X: Any) -> Decision:
        """Return the labels and which of them to use, each decision as if it were alone in X.

        Where nothing can be promised, none is accepted, and a ``NothingPromisedWarning`` gives the reason.
        """
        check_is_fitted(self)
        if self.gate_.advice:
            warnings.warn(f"nothing is accepted: {self.gate_.advice}", NothingPromisedWarning, stacklevel=2)
        responses = Responses.of(self.estimator_, X, self.classes_)
        accepted = self.gate_.accepts(self._ranked(self.reader_.outputs(responses, X)))
        return Decision(self.classes_[responses.predicted], accepted)

    def trust_logit(self, X: Any) -> Floats:
        """Return what ranks the predictions, float64 (n,): the oracle's trust logits, or log-odds of MCP."""
        check_is_fitted(self)
        return self._ranked(self.reader_.outputs(Responses.of(self.estimator_, X, self.classes_), X))

    def p_correct(self, X: Any) -> Floats:
        """Return the probability that each prediction is correct, (n,), in [0, 1]: an estimate, nothing promised."""
        return self.gate_.p_correct(self.trust_logit(X))

    def get_metadata_routing(self) -> MetadataRouter:
        """Return where metadata go: those of ``fit`` to the classifier's ``fit``."""
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        return router.add(estimator=self.estimator, method_mapping=mapping)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import get_tags  # from scikit-learn 1.6 on, as is this method

        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        if inner.classifier_tags is not None:  # of several labels a row, none could be trusted alone
            tags.classifier_tags = replace(inner.classifier_tags, multi_label=False)
        return tags

    def _routed(self, fit_params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters of the classifier's ``fit``; without routing, all are."""
        if not sklearn.get_config()["enable_metadata_routing"]:
            return fit_params
        routed: Mapping[str, Any] = process_routing(self, "fit", **fit_params)["estimator"]["fit"]
        return routed

    def _learn(self, X: Any, labels: NDArray[Any], params: Mapping[str, Any], seed: int, unknown: Any) -> Floats:
        """Fit the classifier and its oracle; return thresholds that are fixed by these rows alone.

        The oracle also learns from inputs of none of the classes, ``unknown`` (u, …).
        """
        self.estimator_ = clone(self.estimator).fit(X, labels, **params)
        if not hasattr(self.estimator_, "classes_"):
            found = f"found {type(self.estimator_).__name__}, which has no classes_"
            raise SteepslopeError(f"expected a classifier, {found}", "estimator")
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        folds = folds_of(X, labels, self.cv, seed)
        if folds:
            unseen = out_of_fold(self.estimator, X, labels, folds, self.classes_, params)
        else:
            unseen = Responses.of(self.estimator_, X, self.classes_)
        self.reader_ = Reader.of(unseen, X)
        outputs, codes = self._with_unknown(self.reader_.outputs(unseen, X), labels, unknown)
        self.oracle_ = _oracle(outputs, codes, seed) if folds else None
        record = None if self.oracle_ is None else self.oracle_.record_
        if record is None or record.percentiles is None:
            return threshold_sequence(self._ranked(outputs))
        return threshold_sequence(record.percentiles)

    def _with_unknown(
        self, outputs: ClassifierOutputs, labels: NDArray[Any], unknown: Any
    ) -> tuple[ClassifierOutputs, NDArray[np.int64]]:
        """Put inputs of none of the classes below others, and −1 below the numbers of their labels."""
        if self.unknown_label is not None and self.unknown_label in self.classes_.tolist():
            found = f"found {self.unknown_label!r}, which is one"
            raise SteepslopeError(
                f"expected a label that is none of the classifier's classes, {found}", "unknown_label"
            )
        codes, count = codes_of(labels, self.classes_), _num_samples(unknown)
        if not count:
            return outputs, codes
        below = self.reader_.outputs(Responses.of(self.estimator_, unknown, self.classes_), unknown)
        return joined([outputs, below]), np.concatenate([codes, np.full(count, UNKNOWN)])

    def _ranked(self, outputs: ClassifierOutputs) -> Floats:
        return MCP().confidence(outputs) if self.oracle_ is None else self.oracle_.trust_logit(outputs)


def _checked(X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
    """Return inputs of which rows can be taken, and as many labels (n,)."""
    labels = column_or_1d(y, warn=True)
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    rows, _ = indexable(X, labels)
    if len(labels) < LEAST_ROWS:
        raise SteepslopeError(f"expected {LEAST_ROWS} rows or more, found n_samples={len(labels)}", "X")
    return rows, labels


def _oracle(outputs: ClassifierOutputs, codes: NDArray[np.int64], seed: int) -> FusedOracle | None:
    """Return an oracle of what clones predict; None where errors, or correct predictions, are fewer than its folds."""
    labelled = outputs.changed(labels=codes)
    correct = int(labelled.is_correct.sum())
    if min(correct, len(labelled) - correct) < FOLDS:
        return None
    with warnings.catch_warnings():  # a gate that is calibrated bears an oracle that depends on luck
        warnings.simplefilter("ignore", FewErrorsWarning)
        return FusedOracle(errors="crossfit", budget="free", seed=seed).fit(labelled)
