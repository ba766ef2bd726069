"""A scikit-learn classifier that tells which of its predictions to use: at least a promised part of these is right."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

import sklearn
from steepslope.checks import require
from steepslope.errors import NothingPromisedWarning, SteepslopeError, explained
from steepslope.gate import Gate, threshold_sequence
from steepslope.gate.aims import INSIDE, Aims
from steepslope.gate.calibration import CalibrationRows
from steepslope.gate.certificate import EXACT, as_percent
from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.gate.decisions import most_probable
from steepslope.metrics import Groups
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import require_one_order
from steepslope.outputs.predictions import LABEL
from steepslope.report.confidences import Resources
from steepslope.report.evaluation import evaluate_predictions
from steepslope.report.page import write_report
from steepslope.scores import MCP
from steepslope.sklearn.features import Features
from steepslope.sklearn.held_out import checked_rows, folds_of, held_out, out_of_fold, require_folds, rows_of
from steepslope.sklearn.responses import UNKNOWN, Responses, codes_of, oracle_of, seen_by
from steepslope.sklearn.storage import KEPT_ROWS, Calibration, Saved, kept_rows, require_alike

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LARGEST_SEED = 2**31 - 1
SINGLE_SCORES = ("mcp", "margin", "entropy", "max_logit")  # beside which a report shows the oracle
THRESHOLD_OF_THESE = "the gate's threshold was found on these rows, so what it accepts of them is no test of it"


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
        Highest fraction of errors among the accepted predictions, in (0, 1). Of several, the gate is that of the first
        that can be promised; they share ``delta``.
    delta
        Probability, in (0, 1), that the promise does not hold.
    calibration_size
        Fraction of the rows that is held out, in (0, 1). Promising 5 % takes at least 59 such rows, 1 % takes 299.
    cv
        Number of folds >= 2, or a splitter of scikit-learn's that puts each row into one fold.
    n_jobs
        How many processes fit the clones of the classifier; None is one, −1 as many as there are cores.
    random_state
        A whole number, a ``RandomState``, or None: which rows are held out, the folds, and what the oracle draws. The
        classifier has its own.

    Attributes
    ----------
    estimator_
        The fitted classifier.
    oracle_ : FusedOracle or None
        What ranks the predictions. None where fewer than five predictions of the folds are wrong, or right, or all
        classes but one have a single row: the classifier's own probability ranks them then (MCP).
    saw_ : str
        What the oracle saw beside the classifier's outputs, in a sentence.
    gate_ : Gate
        The threshold and its promise; ``gate_.sentences()`` states it.
    max_risk_ : float
        The risk that the gate promises.
    summary_ : str
        What the oracle saw and what is promised, in sentences.
    calibration_ : Calibration
        What is kept of the rows that were held out.
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

    >>> print(model.saw_)
    The oracle saw 64 columns of X.

    Frames, sparse matrices and lists of texts work likewise.
    """

    def __init__(
        self,
        estimator: Any,
        max_risk: float | Sequence[float] = 0.05,
        delta: float = 0.05,
        *,
        calibration_size: float = 0.25,
        cv: Any = 5,
        n_jobs: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.estimator = estimator
        self.max_risk = max_risk
        self.delta = delta
        self.calibration_size = calibration_size
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any, **fit_params: Any) -> Self:
        """Fit the classifier and its oracle, and calibrate the gate.

        Parameters
        ----------
        X
            Inputs (n, …), whatever the classifier takes: an array, a frame, a sparse matrix or a list of texts. The
            oracle sees what the last step of a pipeline sees, or else these inputs.
        y
            Labels (n,).
        fit_params
            Further parameters of the classifier's ``fit``, such as ``sample_weight``: by metadata routing where that is
            enabled. What has a value a row is cut as the rows are.

        Raises
        ------
        SteepslopeError
            If a parameter is out of range, there are fewer than two rows, frames have the same index in another order,
            or the classifier has neither probabilities nor decision values.
        """
        self._aims()
        require("calibration_size", self.calibration_size, INSIDE)
        require_folds(self.cv)
        require_one_order({"X": X, "y": y})
        X, labels = checked_rows(X, y)
        seed = int(check_random_state(self.random_state).randint(LARGEST_SEED))
        learnt, calibration = held_out(labels, self.calibration_size, seed)
        if not len(calibration):
            found = f"found n_samples={len(labels)}, of which calibration_size {self.calibration_size} holds out none"
            raise SteepslopeError(f"expected rows to calibrate on beside those of two classes, {found}", "X")
        params = rows_of(self._routed(fit_params), learnt, len(labels))
        source = self._learn(_safe_indexing(X, learnt), labels[learnt], params, seed)
        self._calibrate(source, _safe_indexing(X, calibration), labels[calibration], seed)
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
        outputs = self._outputs(X)
        return Decision(self.classes_[outputs.predictions], self.gate_.accepts(self._ranked(outputs)))

    def trust_logit(self, X: Any) -> Floats:
        """Return what ranks the predictions, float64 (n,): the oracle's trust logits, or log-odds of MCP."""
        check_is_fitted(self)
        return self._ranked(self._outputs(X))

    def p_correct(self, X: Any) -> Floats:
        """Return the probability that each prediction is correct, (n,), in [0, 1]: an estimate, nothing promised."""
        return self.gate_.p_correct(self.trust_logit(X))

    @property
    def summary_(self) -> str:
        """What the oracle saw, which of several risks is promised, and the gate's promise, a line each."""
        check_is_fitted(self)
        risks = ", ".join(as_percent(risk, EXACT) for risk in self.gate_.aims.max_risk)
        first = f"{as_percent(self.max_risk_, EXACT)} is the first of {risks} that can be promised."
        if self.gate_.advice:
            first = f"None of {risks} can be promised."
        promise = self.gate_.promises[0].sentences()
        return "\n".join([self.saw_, *([first] if len(self.gate_.aims.max_risk) > 1 else []), promise])

    @property
    def max_risk_(self) -> float:
        """The risk that the gate promises: of several, the first that can be; the first of all where none can."""
        check_is_fitted(self)
        promised = self.gate_.certificates[0].max_risk
        assert promised is not None
        return promised

    def report(self, path: str | Path, X: Any = None, y: Any = None, *, bootstrap: int = 1000) -> None:
        """Write a report as ``steepslope evaluate`` does, with MCP, other scores, the gate and its coverage.

        Parameters
        ----------
        path
            Folder for ``report.html``, ``table.md``, ``metrics.json`` and the like; an earlier report is replaced.
        X, y
            New rows and their labels; without them it is about the calibration rows.
        bootstrap
            Number of resamples for the intervals; 0 leaves the intervals out.

        Raises
        ------
        SteepslopeError
            If there are labels without rows, rows without labels, or no label is one of ``classes_``.
        """
        check_is_fitted(self)
        if (X is None) != (y is None):
            raise SteepslopeError("expected X and y together, or neither", "y" if y is None else "X")
        kept = self.calibration_ if X is None else Calibration(self._outputs(X), codes_of(y, self.classes_), None)
        known = np.flatnonzero(kept.codes != UNKNOWN)
        outputs = kept.outputs.subset(known).changed(labels=kept.codes[known])
        cautions = [THRESHOLD_OF_THESE] if X is None else []
        if len(known) < len(kept.codes):
            others = len(kept.codes) - len(known)
            cautions.append(f"{others:,} rows of classes that the classifier does not know, all wrong, are left out")
        gates, title = Resources(gates={"trusted": self.gate_}), f"Trust in {type(self.estimator_).__name__}"
        groups = Groups(outputs.require_labels(), outputs.classes, LABEL)
        evaluation = evaluate_predictions(
            outputs, SINGLE_SCORES, gates, groups=groups, bootstrap=bootstrap, title=title
        )
        write_report(
            replace(evaluation, notes=self.summary_.splitlines()[:-1], cautions=cautions), path, {"command": "report"}
        )

    def save(self, path: str | Path) -> None:
        """Write a folder with all but the classifier itself, ``estimator_``; an earlier one is replaced.

        The folder holds JSON, Parquet and arrays, among them the outputs of the calibration rows and sixteen of these
        rows. Save the classifier beside it by a way of your own, such as ``skops.io``.
        """
        check_is_fitted(self)
        given = self.get_params(deep=False)
        settings = {name: given[name] for name in ("max_risk", "delta", "calibration_size")}
        settings |= {name: given[name] for name in ("cv", "n_jobs", "random_state") if isinstance(given[name], int)}
        Saved(
            settings, tuple(np.asarray(self.classes_).tolist()), self.log_floor_, self.saw_, self.features_, self.gate_,
            self.calibration_,
        ).write(Path(path))  # fmt: skip

    @classmethod
    def load(cls, path: str | Path, estimator: Any) -> Self:
        """Read what :meth:`save` wrote, around the fitted classifier that was saved beside it.

        Nothing in the folder is executed. Settings that are no numbers, such as a splitter, are the defaults again.

        Raises
        ------
        SteepslopeError
            If a file is not as it was written, or the classifier has other classes, or gives of the rows that are kept
            other probabilities or features than it did.
        """
        saved = Saved.read(Path(path))
        model = cls(estimator, **saved.settings)
        if tuple(np.asarray(getattr(estimator, "classes_", ())).tolist()) != saved.classes:
            found = "found one of others, or none that is fitted"
            raise SteepslopeError(f"expected the classifier that was saved, with its classes, {found}", "estimator")
        model.estimator_, model.features_, model.log_floor_, model.saw_ = (
            estimator, saved.features, saved.log_floor, saved.saw,
        )  # fmt: skip
        model.gate_, model.calibration_ = saved.gate, saved.calibration
        model.oracle_ = saved.gate.require_source().oracle  # type: ignore[assignment]
        model._keep_attributes()
        if saved.calibration.rows is None:
            unknown = "it is not known whether this is the classifier that was saved: no rows were kept to tell"
            warnings.warn(unknown, UserWarning, stacklevel=2)
            return model
        with explained("expected the classifier that was saved, found one that refuses the rows kept", "estimator"):
            outputs = model._outputs(saved.calibration.rows)
        require_alike(outputs, kept_rows(saved.calibration.outputs))
        return model

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

    def _aims(self) -> Aims:
        return Aims(max_risk=self.max_risk, delta=self.delta)  # type: ignore[arg-type]

    def _routed(self, fit_params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters of the classifier's ``fit``; without routing, all are."""
        if not sklearn.get_config()["enable_metadata_routing"]:
            return fit_params
        routed: Mapping[str, Any] = process_routing(self, "fit", **fit_params)["estimator"]["fit"]
        return routed

    def _learn(self, X: Any, labels: NDArray[Any], params: Mapping[str, Any], seed: int) -> ConfidenceSource:
        """Fit the classifier and its oracle; return what ranks, with thresholds that are fixed by these rows alone."""
        self.estimator_ = clone(self.estimator).fit(X, labels, **params)
        if not hasattr(self.estimator_, "classes_"):
            found = f"found {type(self.estimator_).__name__}, which has no classes_"
            raise SteepslopeError(f"expected a classifier, {found}", "estimator")
        self._keep_attributes()
        self.features_ = Features.of(self.estimator_, X, labels, seed)
        folds = folds_of(X, labels, self.cv, seed)
        unseen = Responses.of(self.estimator_, X, self.classes_) if not folds else out_of_fold(
            self.estimator, X, labels, folds, self.classes_, params, self.n_jobs
        )  # fmt: skip
        self.log_floor_ = unseen.log_floor
        outputs = self._outputs(X, unseen)
        self.oracle_ = oracle_of(outputs, codes_of(labels, self.classes_), seed) if folds else None
        self.saw_ = seen_by(self.oracle_, self.features_)
        return ConfidenceSource.from_model(self.oracle_ or MCP(), outputs.num_classes, outputs)

    def _keep_attributes(self) -> None:
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))

    def _calibrate(self, source: ConfidenceSource, X: Any, labels: NDArray[Any], seed: int) -> None:
        """Find the threshold on rows that nothing was fitted on."""
        outputs, codes = self._outputs(X), codes_of(labels, self.classes_)
        is_correct = outputs.predictions == codes
        confidence, thresholds = source.confidence(outputs), threshold_sequence(source.reference or ())
        gate = Gate.calibrate(
            confidence, is_correct, self._aims().max_risk, self.delta, thresholds, of_log_odds=True, seed=seed
        )
        given = [one.max_risk for one in gate.certificates if one.is_given and one.max_risk is not None]
        gate = gate.at(given[0]) if given else gate
        seen = CalibrationRows(
            gate.p_correct(confidence), is_correct, gate.accepts(confidence), most_probable(outputs, 1)[1][:, 0]
        )
        self.gate_ = replace(gate, source=source.taking(outputs), classes=outputs.classes, calibration_rows=seen)
        self.calibration_ = Calibration(outputs, codes, _safe_indexing(X, np.arange(min(KEPT_ROWS, len(codes)))))

    def _outputs(self, X: Any, responses: Responses | None = None) -> ClassifierOutputs:
        """Return all that the oracle sees of some inputs, by the classifier's responses, or those of clones."""
        found = Responses.of(self.estimator_, X, self.classes_) if responses is None else responses
        features = None if self.features_ is None else self.features_.columns(self.estimator_, X)
        logits = found.logits(self.log_floor_)
        names = [*dict.fromkeys(map(str, self.classes_))]
        return ClassifierOutputs.of(
            {"logits": logits, "features": features}, names if len(names) == logits.shape[1] else None
        )

    def _ranked(self, outputs: ClassifierOutputs) -> Floats:
        return self.gate_.require_source().confidence(outputs)
