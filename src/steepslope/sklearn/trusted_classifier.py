"""A scikit-learn classifier that tells which of its predictions to use: at least a promised part of these is right."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_method_params, _num_samples, check_is_fitted

import sklearn
from steepslope.checks import require, whole
from steepslope.errors import CautionWarning, FewErrorsWarning, NothingPromisedWarning, SteepslopeError
from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.gate.decisions import Decisions
from steepslope.metrics.selective import Groups
from steepslope.monitor.health import warn_of_changed_batch
from steepslope.oracle import FusedOracle
from steepslope.oracle.evidence.fit_set import joined_outputs
from steepslope.oracle.evidence.states import FOLDS
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import require_arrays_in_one_order
from steepslope.outputs.copies import rows_that_agree
from steepslope.outputs.labels import UNKNOWN
from steepslope.outputs.opinions import is_array_of_opinion
from steepslope.outputs.predictions import LABEL
from steepslope.predict.prediction_file import require_prediction_file
from steepslope.predict.source import write_decisions_on_outputs
from steepslope.promise.objectives import INSIDE, Objectives
from steepslope.promise.rows import checked_groups
from steepslope.report.confidences import Resources
from steepslope.report.evaluation import evaluate_predictions
from steepslope.report.page import write_report
from steepslope.scores import MCP
from steepslope.sklearn.features import Features, is_frozen
from steepslope.sklearn.held_out import (
    caution_on_identities,
    checked_rows_and_labels,
    copies_in_inputs,
    folds_without_leaks,
    held_out_rows,
    out_of_fold,
    rows_in_folds,
)
from steepslope.sklearn.opinions import checked_opinion_classifiers, learnt_opinions, restored_opinions
from steepslope.sklearn.reader import (
    Reader,
    groups_of_inputs,
    ids_of_inputs,
    require_unknown_label,
    sentences_of_promises,
    sentences_of_what_is_seen,
)
from steepslope.sklearn.responses import Responses, class_codes, require_classifier, warn_of_other_labels
from steepslope.sklearn.storage import KEPT_ROWS, Calibration, read_trusted, require_saved_classes, write_trusted

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LARGEST_SEED = 2**31 - 1
SINGLE_SCORES = ("mcp", "margin", "entropy", "max_logit")  # that a report compares with the oracle


class Decision(NamedTuple):
    """The labels of some predictions, (n,), and which of them to use, booleans (n,)."""

    labels: NDArray[Any]
    accepted: Bools


def classifier_offers(name: str) -> Callable[[Any], bool]:
    """Return a check for ``available_if``: whether the classifier inside has a method."""
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), name)


class TrustedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Any scikit-learn classifier, and which of its predictions to use: at most ``max_risk`` of these are wrong.

    ``fit`` holds out a part of the rows. It fits the classifier on the others, and an oracle
    (:meth:`steepslope.Oracle.fused`) on the errors that clones of the classifier make on folds that they have not seen.
    A gate (:meth:`steepslope.Gate.of`) finds the threshold on the rows held out. A classifier in
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
        Number of folds >= 2, or a splitter of scikit-learn's that puts each row into one fold; it may use groups. A
        ``TimeSeriesSplit`` says that rows are in order of time: the last are then held out, after its ``gap``.
    n_jobs
        How many processes fit the clones of the classifiers; None is one, −1 as many as there are cores.
    random_state
        A whole number, a ``RandomState``, or None: which rows are held out, the folds, and what the oracle draws. The
        classifier has its own.
    unknown_label
        The label in ``y`` of out-of-class rows, such as -1 or "unknown"; None where there are none. The
        classifier never learns them. They are errors to the oracle and, in the part that is held out, to the gate,
        whose promise then includes such inputs, if as many are to come.
    opinions
        Other classifiers by name, or None: the oracle sees what they think of the same inputs, if that helps. They are
        fitted as the classifier is, without its ``fit_params``; what is in a ``FrozenEstimator`` is taken as it is.
        Their probabilities count, else their decision values, else their bare predictions.
    groups
        Groups that each have a threshold and a promise of their own, or None: "predicted" for the predicted classes,
        the name of a column of X (frames), or a function that takes X and returns the group of each row, (m,). They
        share ``delta``. Rows of a group that was not among the calibration rows are never accepted. Of several risks,
        the gate has the first that can be promised for the most groups. The ``groups`` of :meth:`fit` are something
        else: they name rows that belong together.

    Attributes
    ----------
    estimator_
        The fitted classifier.
    oracle_ : FusedOracle or None
        What ranks the predictions. None where fewer than five predictions of the folds are wrong, or right, or all
        classes but one have a single row: the classifier's own probability ranks them then (MCP).
    opinions_ : dict
        The other classifiers, fitted, by name.
    saw_ : str
        What the oracle saw next to the classifier's outputs, in a sentence, and what opinions gain.
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
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, X_new, y, y_new = train_test_split(*load_digits(return_X_y=True), test_size=600, random_state=1)
    >>> model = TrustedClassifier(GaussianNB(), max_risk=0.1).fit(X, y)
    >>> labels, accepted = model.decide(X_new)
    >>> wrong = labels != y_new
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
        unknown_label: Any = None,
        opinions: Mapping[str, Any] | None = None,
        groups: Any = None,
    ) -> None:
        self.estimator = estimator
        self.max_risk = max_risk
        self.delta = delta
        self.calibration_size = calibration_size
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.unknown_label = unknown_label
        self.opinions = opinions
        self.groups = groups

    def fit(self, X: Any, y: Any, groups: Any = None, **fit_params: Any) -> Self:
        """Fit the classifier and its oracle, and calibrate the gate.

        Copies of a row, such as from oversampling or a join, stay on one side of each split, and count once if they are
        held out. A ``RepeatedRowsWarning`` says how many there are.

        Parameters
        ----------
        X
            Inputs (n, …), whatever the classifier takes: an array, a frame, a sparse matrix or a list of texts. The
            oracle sees what the last step of a pipeline sees, or else these inputs.
        y
            Labels (n,), ``unknown_label`` for out-of-class rows.
        groups
            Groups (n,), by name or number, of rows that belong together, such as the images of one patient, or None.
            They stay on one side of each split, and one row of each group that is held out counts: the promise is about
            a row of a new group. Without groups, copies of a row belong together; ``range(n)`` says that equal
            rows were drawn independently. For rows in order of time, give a ``TimeSeriesSplit`` as ``cv``.
        fit_params
            Further parameters of the classifier's ``fit``, such as ``sample_weight``: by metadata routing where that is
            enabled. What has a value a row is cut as the rows are.

        Raises
        ------
        SteepslopeError
            If a parameter is out of range, there are fewer than two rows, frames have the same index in another order,
            the classifier has neither probabilities nor decision values, ``unknown_label`` is one of its classes, or
            an opinion is not by another classifier of some of these.
        """
        objectives = Objectives(max_risk=self.max_risk, delta=self.delta)  # type: ignore[arg-type]
        require("calibration_size", self.calibration_size, INSIDE)
        if isinstance(self.cv, str) or not (hasattr(self.cv, "split") or hasattr(self.cv, "__iter__")):
            require("cv", self.cv, whole(2))
        checked_opinion_classifiers(self.opinions, self.estimator)
        groups_of_inputs(self.groups, X)  # raises before anything is fitted
        require_arrays_in_one_order({"X": X, "y": y, "groups": groups})
        X, labels = checked_rows_and_labels(X, y)
        seed = int(check_random_state(self.random_state).randint(LARGEST_SEED))
        names = checked_groups(groups, len(labels))
        codes = copies_in_inputs(X) if names is None else rows_that_agree(names)
        identities = caution_on_identities(X) if names is None else []
        learnt, errors, calibration = held_out_rows(
            labels, self.unknown_label, self.calibration_size, seed, codes, self.cv
        )
        if not len(calibration):
            found = f"found n_samples={len(labels)}, of which calibration_size {self.calibration_size} holds out none"
            raise SteepslopeError(f"expected rows to calibrate on beside those of two classes, {found}", "X")
        params = _check_method_params(X, self._routed(fit_params), learnt)
        of_learnt = codes[np.concatenate([learnt, errors])]
        unknown = _safe_indexing(X, errors)
        source = self._learn(_safe_indexing(X, learnt), labels[learnt], params, seed, unknown, of_learnt)
        X, truths = _safe_indexing(X, calibration), class_codes(labels[calibration], self.classes_)
        outputs = self.reader_.outputs(X).changed(ids=calibration, labels=truths)
        self.calibration_ = Calibration(outputs, _safe_indexing(X, np.arange(min(KEPT_ROWS, len(truths)))))
        named, by = self.groups if isinstance(self.groups, str) else None, groups_of_inputs(self.groups, X)
        self.gate_ = self.calibration_.gate(source, objectives, by=named, groups=by, seed=seed)
        for caution in (*identities, *self.gate_.require_source().cautions(outputs)):
            warnings.warn(caution, CautionWarning, stacklevel=2)
        self._warn_of_nothing(stacklevel=3)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the classifier's labels, (n,), also of predictions that are not accepted."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict(X))

    @available_if(classifier_offers("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Floats:
        """Return the classifier's own probabilities, (n, K); of being correct, see :meth:`p_correct`."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict_proba(X))

    @available_if(classifier_offers("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Floats:
        """Return the classifier's own decision values, (n, K), or (n,) of two classes."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.decision_function(X))

    def decide(self, X: Any) -> Decision:
        """Return the labels and which of them to use, each decision as if it were alone in X.

        Where nothing can be promised, none is accepted, and a ``NothingPromisedWarning`` says why. A ``ChangedWarning``
        says that X is not drawn as the calibration rows were, so the promise cannot be relied on.
        """
        check_is_fitted(self)
        groups = groups_of_inputs(self.groups, X)
        decisions = self._decided(self.reader_.outputs(X), groups)
        return Decision(self.classes_[decisions.labels], decisions.accepted)

    def write_predictions(self, path: str | Path, X: Any, ids: Any = None, audit: int | None = None) -> None:
        """Write the decisions to a file as ``steepslope predict`` does, for ``steepslope monitor``.

        Columns ``id, label, probability, p_correct, trust_logit, accepted, decision``, and with an audit ``audit,
        audit_probability``. A summary in JSON is written next to it, which names the gate. The warnings are those of
        :meth:`decide`.

        Parameters
        ----------
        path
            File that ends in .csv or .parquet; an earlier one is replaced.
        X
            Inputs (m, …).
        ids
            The name of each row, (m,), by which its label is found later, unique over all files that are monitored. By
            default a frame's index, unless it only numbers the rows or is not unique. Rows without names are named by a
            digest of the outputs for X and their number, such as ``4f3a9c21d0e7/17``.
        audit
            About how many of the accepted rows to mark for labelling, at random, doubtful ones more often.

        Raises
        ------
        SteepslopeError
            If an id is empty or repeated, or the path has another ending.
        """
        check_is_fitted(self)
        require_prediction_file(str(Path(path).absolute()))
        names, groups = ids_of_inputs(ids, X), groups_of_inputs(self.groups, X)
        outputs = self.reader_.outputs(X).changed(ids=names)
        self._decided(outputs, groups)  # for its warnings
        write_decisions_on_outputs(self.gate_, outputs, groups, Path(path), audit)

    def trust_logit(self, X: Any) -> Floats:
        """Return what ranks the predictions, float64 (n,): the oracle's trust logits, or log-odds of MCP."""
        check_is_fitted(self)
        return self.gate_.require_source().confidence(self.reader_.outputs(X))

    def p_correct(self, X: Any) -> Floats:
        """Return the probability that each prediction is correct, (n,), in [0, 1]: an estimate, nothing promised."""
        return self.gate_.p_correct(self.trust_logit(X))

    @property
    def summary_(self) -> str:
        """What the oracle saw, which of several risks is promised, and the gate's promise, a line each."""
        check_is_fitted(self)
        return "\n".join([self.saw_, *sentences_of_promises(self.gate_)])

    @property
    def max_risk_(self) -> float:
        """The risk that the gate promises: of several, the first that can be; the first of all where none can."""
        check_is_fitted(self)
        return self.gate_.promised_risk

    def report(self, path: str | Path, X: Any = None, y: Any = None, *, bootstrap: int = 1000) -> None:
        """Write a report as ``steepslope evaluate`` does, with MCP, other scores, the gate and its coverage.

        Parameters
        ----------
        path
            Folder for ``report.html``, ``table.md``, ``metrics.json`` and the like; an earlier report is replaced.
        X, y
            New rows and their labels; without them it is about the calibration rows. Labels that are none of
            ``classes_`` are unknown ones, which are never right.
        bootstrap
            Number of resamples for the intervals; 0 leaves the intervals out.

        Raises
        ------
        SteepslopeError
            If there are labels without rows, or rows without labels.
        """
        check_is_fitted(self)
        if (X is None) != (y is None):
            raise SteepslopeError("expected X and y together, or neither", "y" if y is None else "X")
        outputs = self.calibration_.outputs
        if X is not None:
            warn_of_other_labels(y, self.classes_, self.unknown_label)
            outputs = self.reader_.outputs(X).changed(labels=class_codes(y, self.classes_))
        notes = self.summary_.splitlines()
        notes = notes if self.gate_.has_groups else notes[:-1]  # the report shows the promise for all rows elsewhere
        evaluation = evaluate_predictions(
            outputs,
            SINGLE_SCORES,
            Resources(gates={"trusted": self.gate_}),
            bootstrap=bootstrap,
            groups=Groups(outputs.require_labels(), outputs.label_names, LABEL),
            title=f"Trust in {type(self.estimator_).__name__}",
        )
        write_report(replace(evaluation, notes=notes), path, {"command": "report"})

    def for_mix(self, class_mix: Mapping[Any, float] | None = None, *, target: Any = None) -> Self:
        """Return the same classifier with a gate for another mix of the classes, calibrated on the rows held out.

        Parameters
        ----------
        class_mix
            The share of each class to come, by its label, such as ``{"fraud": 0.1, "fine": 0.9}``. A class without a
            share is assumed not to come. The share of out-of-class rows is that of ``unknown_label``.
        target
            In place of shares: at least 200 inputs (m, …) without labels that are drawn as those to come. The mix is
            estimated on them.

        Raises
        ------
        SteepslopeError
            If both or neither of ``class_mix`` and ``target`` are given, a class is unknown or has too few rows that
            were held out, no mix explains what is predicted for the target, or each group has a promise.
        """
        check_is_fitted(self)
        if (class_mix is None) == (target is None):
            place, found = ("class_mix", "neither") if target is None else ("target", "both")
            raise SteepslopeError(f"expected either class_mix or target, found {found}", place)
        if self.gate_.has_groups:
            raise SteepslopeError("expected one promise for all rows, found one for each group", "groups")
        coming = None if target is None else self.reader_.outputs(target)
        if isinstance(class_mix, Mapping):
            unknown = self.calibration_.outputs.label_names[-1]
            class_mix = {unknown if name == self.unknown_label else name: one for name, one in class_mix.items()}
        source, moved = self.gate_.require_source(), copy(self)
        moved.gate_ = self.calibration_.gate(source, self.gate_.objectives, class_mix=class_mix, target=coming)
        return moved

    def save(self, path: str | Path) -> None:
        """Write a folder with all but the classifiers, ``estimator_`` and ``opinions_``; an earlier one is replaced.

        Groups by a function are refused, because a function cannot be saved: name a column.

        The folder holds JSON and arrays, among them the outputs of the calibration rows and sixteen of these rows;
        frames of polars and pyarrow as Parquet, without the index in pandas. Save the classifiers by a way of your own,
        such as ``skops.io``.
        """
        check_is_fitted(self)
        write_trusted(Path(path), self)

    @classmethod
    def load(cls, path: str | Path, estimator: Any, opinions: Mapping[str, Any] | None = None) -> Self:
        """Read what :meth:`save` wrote, around the fitted classifier that was saved next to it.

        Nothing in the folder is executed. Settings that JSON cannot hold, such as a splitter, are the defaults again.
        Of ``opinions_``, give at least those that the oracle takes; only these are compared.

        Raises
        ------
        SteepslopeError
            If a file is not as it was written, or a classifier has other classes, or gives of the rows that are kept
            other probabilities, features or opinions than it did.
        """
        card, features, gate, calibration = read_trusted(Path(path))
        others = checked_opinion_classifiers(opinions, estimator)
        model = cls(estimator, **card["settings"], opinions=opinions)
        require_saved_classes(estimator, card["classes"], "estimator")
        model._keep_classifiers(estimator, others)
        restored = restored_opinions(card["opinions"], others)
        model.reader_ = Reader(estimator, model.classes_, float(card["log_floor"]), features, restored)
        model.gate_, model.calibration_, model.saw_ = gate, calibration, card["saw"]
        model.oracle_ = gate.require_source().oracle  # type: ignore[assignment]
        calibration.require_same(model.reader_.outputs)
        return model

    def _learn(
        self, X: Any, labels: NDArray[Any], params: Mapping[str, Any], seed: int, unknown: Any, codes: NDArray[np.int64]
    ) -> ConfidenceSource:
        """Fit all classifiers and the oracle; return what ranks, with thresholds that are fixed by these rows alone.

        The oracle also learns from out-of-class inputs, ``unknown`` (u, …). Rows of one of the ``codes``,
        (n + u,), belong together.
        """
        fitted = clone(self.estimator).fit(X, labels, **params)
        require_classifier(fitted)
        self._keep_classifiers(fitted, {})
        require_unknown_label(self.unknown_label, self.classes_)
        features = Features.of(fitted, X, labels, seed)
        folds = folds_without_leaks(X, labels, self.cv, seed, codes[: len(labels)])
        warn_of_other_labels(labels, self.classes_, self.unknown_label)  # a frozen classifier has classes of its own
        if folds:
            unseen = out_of_fold(self.estimator, X, labels, folds, self.classes_, params, self.n_jobs)
        else:
            unseen = Responses.of(fitted, X, self.classes_)
        others = checked_opinion_classifiers(self.opinions, self.estimator) if folds else {}
        opinions, of_others = learnt_opinions(others, X, labels, folds, self.classes_, self.n_jobs)
        self.opinions_ = {name: one.estimator for name, one in opinions.items()}
        judged = rows_in_folds(folds) if folds else np.arange(len(labels))
        self.reader_ = Reader(fitted, self.classes_, unseen.log_floor, features, opinions)
        outputs = self.reader_.outputs(_safe_indexing(X, judged), unseen, of_others)
        truths = class_codes(labels[judged], self.classes_)
        if _num_samples(unknown):
            outputs = joined_outputs([outputs, self.reader_.outputs(unknown)])
            truths = np.concatenate([truths, np.full(_num_samples(unknown), UNKNOWN)])
        groups = np.concatenate([codes[judged], codes[len(labels) :]])
        self.oracle_ = self._oracle_of(outputs.changed(labels=truths), seed, groups) if folds else None
        seen = () if self.oracle_ is None else self.oracle_.arrays
        taken = {name: one for name, one in opinions.items() if any(is_array_of_opinion(array, name) for array in seen)}
        self.reader_ = replace(self.reader_, opinions=taken)
        self.saw_ = sentences_of_what_is_seen(self.oracle_, self.reader_, list(opinions))
        known = outputs if is_frozen(self.estimator) else outputs.changed(labels=truths)  # errors that were not learnt
        return ConfidenceSource.from_model(self.oracle_ or MCP(), outputs.num_classes, known)

    def _oracle_of(self, learnt: ClassifierOutputs, seed: int, groups: NDArray[np.int64]) -> FusedOracle | None:
        """Return an oracle of what clones predict; None where errors, or correct predictions, are fewer than its folds.

        Rows of one of the ``groups`` (n,) belong together.
        """
        errors = int((~learnt.is_correct).sum())
        if min(errors, len(learnt) - errors) < FOLDS:
            return None
        with warnings.catch_warnings():  # a gate that is calibrated bears an oracle that depends on luck
            warnings.simplefilter("ignore", FewErrorsWarning)
            oracle = FusedOracle(errors="crossfit", budget="auto" if self.opinions_ else "free", seed=seed)
            return oracle.fit(learnt, groups=groups)

    @property
    def features_(self) -> Features | None:
        """How inputs become the columns that the oracle sees; None where there are none."""
        return self.reader_.features

    def _keep_classifiers(self, fitted: Any, others: dict[str, Any]) -> None:
        """Keep the fitted classifier, with what it knows of its inputs, and others by name."""
        self.estimator_, self.opinions_ = fitted, others
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    def _warn_of_nothing(self, stacklevel: int) -> None:
        if not any(one.is_given for one in self.gate_.promises):
            warnings.warn(f"nothing is accepted: {self.gate_.advice}", NothingPromisedWarning, stacklevel=stacklevel)

    def _decided(self, outputs: ClassifierOutputs, groups: NDArray[np.str_] | None) -> Decisions:
        """Return what to do with each row; warn the caller if nothing is promised, or if inputs have changed."""
        self._warn_of_nothing(stacklevel=4)
        decisions = self.gate_.decide(outputs, groups)
        warn_of_changed_batch(self.gate_, decisions)
        return decisions

    def get_metadata_routing(self) -> MetadataRouter:
        """Return where metadata go: those of ``fit`` to the classifier's ``fit``."""
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        return router.add(estimator=self.estimator, method_mapping=mapping)

    def _routed(self, fit_params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters of the classifier's ``fit``; all of them where routing is off."""
        if not sklearn.get_config()["enable_metadata_routing"]:
            return fit_params
        routed: Mapping[str, Any] = process_routing(self, "fit", **fit_params)["estimator"]["fit"]
        return routed

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import get_tags  # from scikit-learn 1.6 on, as is this method

        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        given = self.opinions.values() if isinstance(self.opinions, Mapping) else ()
        others = [get_tags(one) for one in given if hasattr(one, "__sklearn_tags__")]
        inputs = [one.input_tags for one in (inner, *others)]
        sparse, allow_nan = (all(getattr(one, name) for one in inputs) for name in ("sparse", "allow_nan"))
        tags.input_tags = replace(inner.input_tags, sparse=sparse, allow_nan=allow_nan)
        if inner.classifier_tags is not None:  # of several labels a row, none could be trusted alone
            tags.classifier_tags = replace(inner.classifier_tags, multi_label=False)
        return tags
