"""A scikit-learn classifier that tells which of its predictions to use, with a promise about their errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import _safe_indexing, check_random_state, column_or_1d
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_method_params, check_is_fitted

import sklearn
from steepslope.errors import CautionWarning, ChangedWarning, NothingPromisedWarning, SteepslopeError, require, whole
from steepslope.gate import gate_for_new_source, judged_together, split_to_adapt
from steepslope.numerics import Bools, Floats, Values
from steepslope.predict import require_prediction_file
from steepslope.promise import INSIDE, WHEN_CHANGED, Objectives, WhenChanged, checked_groups
from steepslope.sklearn._dependence import rows_together
from steepslope.sklearn._held_out import cautions_on_telling_columns, checked_rows_and_labels, held_out_rows
from steepslope.sklearn._learning import Learning
from steepslope.sklearn._opinions import checked_opinion_classifiers, restored_opinions
from steepslope.sklearn._reader import Reader, groups_of_inputs, ids_of_inputs, sentences_of_promises
from steepslope.sklearn._storage import KEPT_ROWS, Calibration, read_trusted, require_saved_classes, write_trusted
from steepslope.sklearn._writing import write_decisions, write_report_on

LARGEST_SEED = 2**31 - 1


class Decision(NamedTuple):
    """The labels of some predictions (n,), and which of them are accepted, booleans (n,)."""

    labels: Values
    accepted: Bools


def _classifier_offers(name: str) -> Callable[[Any], bool]:
    """Return a check for ``available_if``: whether the inner classifier has a method."""
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), name)


class TrustedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Wrap any scikit-learn classifier, and tell which of its predictions to use: at most ``max_risk`` are wrong.

    ``fit`` holds out a part of the rows. It fits the classifier on the others, and an oracle
    (:meth:`steepslope.Oracle.fused`) on the out-of-fold errors of the classifier's clones. A gate
    (:meth:`steepslope.Gate.of`) finds the threshold on the held-out rows. Already fitted? Wrap the classifier in
    ``sklearn.frozen.FrozenEstimator``; then all rows have to be new to it.

    With probability 1 − ``delta`` over the rows given to ``fit``, at most ``max_risk`` of the accepted predictions are
    wrong. This holds for inputs that are drawn independently from the same source. Each class is held out in
    proportion. A class with one row may lose it to the held-out part; the row then counts as an error, as inputs of
    unknown classes will. Sample weights are for the classifier: the promise counts each row once.

    Parameters
    ----------
    estimator
        A classifier with ``predict_proba`` or ``decision_function``, such as a pipeline that ends in one.
    max_risk
        Highest fraction of errors among the accepted predictions, in (0, 1). Of several, the gate takes the first that
        can be promised; they share ``delta``.
    delta
        Probability, in (0, 1), that the promise does not hold.
    calibration_size
        Fraction of the rows that is held out, in (0, 1). A promise of 5 % takes at least 59 held-out rows, 1 % 299.
    cv
        Number of folds >= 2, or a scikit-learn splitter that puts each row into one fold; it may use groups. A
        ``TimeSeriesSplit`` says that rows are in order of time: the last are then held out, after its ``gap``.
    n_jobs
        Processes that fit the clones of the classifiers: None is 1, −1 one a core. The oracle uses BLAS's threads.
    random_state
        A whole number, a ``RandomState``, or None. It decides which rows are held out, the folds, and what the oracle
        draws. The classifier has its own.
    unknown_label
        The label in ``y`` of out-of-class rows, such as -1 or "unknown"; None if there are none. The classifier never
        learns them. To the oracle they are errors, and also to the gate if they are held out. The promise then includes
        such inputs, as long as they are no more frequent later.
    opinions
        Other classifiers by name, or None. The oracle sees their predictions of the same inputs, if that helps. They
        are fitted as the classifier is, without its ``fit_params``; a ``FrozenEstimator`` is not fitted again. Their
        probabilities count, else their decision values, else their bare predictions.
    groups
        Groups that each have a threshold and a promise of their own, or None: "predicted" for the predicted classes,
        the name of a column of X (frames), or a function that takes X and returns the group of each row, (m,). Of
        several columns, as in ``["sex", "race"]``, or functions by name, each combination gets a threshold. Groups with
        enough rows share ``delta``; no rows of other groups are accepted. Of several risks, the gate takes the first
        that can be promised to the most groups. The ``groups`` of :meth:`fit` name rows that belong together.
    signals
        Further numbers about each prediction that the oracle sees, such as a judge's grade, on any scale and NaN where
        there is none: names of columns of X (frames), or a function that takes X and returns arrays (m,) by name.
    when_changed
        What :meth:`decide` does if X is clearly not drawn as the calibration rows were: "review" accepts nothing,
        "warn" only warns. If another class mix explains the change, and the promise holds for that mix as well, it goes
        on. Without a change, a call is stopped with a probability of at most 2.5 %, whatever ``delta``.

    Attributes
    ----------
    estimator_
        The fitted classifier.
    reader_ : Reader
        Asks the fitted classifiers about inputs, and returns their outputs.
    oracle_ : FusedOracle or None
        The oracle that ranks the predictions. None if fewer than five out-of-fold predictions are wrong, or fewer than
        five are right, or all classes but one have a single row. The classifier's own probability (MCP) ranks them
        then.
    opinions_ : dict
        The other fitted classifiers, by name.
    saw_ : str
        What the oracle saw apart from the classifier's outputs, in a sentence, and what opinions gain.
    gate_ : Gate
        The threshold and its promise; ``gate_.sentences()`` states it.
    max_risk_ : float
        The risk that the gate promises.
    summary_ : str
        What the oracle saw and what is promised, in sentences.
    calibration_ : Calibration
        The outputs of the held-out rows, and the first of these rows.
    classes_ : ndarray (K,)
        The classifier's classes.
    n_features_in_ : int
        Number of columns, if the classifier knows it.
    feature_names_in_ : ndarray (d,)
        Names of the columns, if the inputs had names.

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

    Frames, sparse matrices and lists of texts work, too.
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
        signals: Any = None,
        when_changed: WhenChanged = "review",
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
        self.signals = signals
        self.when_changed = when_changed

    def fit(self, X: Any, y: Any, groups: Any = None, **fit_params: Any) -> Self:
        """Fit the classifier and its oracle, and calibrate the gate.

        Copies of a row, as from oversampling or a join, stay on one side of each split, and count once if they are held
        out. A ``RepeatedRowsWarning`` says how many there are. If rows seem to depend on one another in other ways, a
        ``CautionWarning`` says what shows it.

        Parameters
        ----------
        X
            Inputs (n, …), whatever the classifier takes: an array, a frame, a sparse matrix or a list of texts. The
            oracle sees the input of a pipeline's last step, or else these inputs.
        y
            Labels (n,), ``unknown_label`` for out-of-class rows.
        groups
            Groups (n,), by name or number, of rows that belong together, such as the images of one patient, or None.
            They stay on one side of each split, and one row of each held-out group counts: the promise is about a row
            of a new group. Without groups, copies of a row belong together; ``range(n)`` says that equal rows were
            drawn independently. For rows in order of time, pass a ``TimeSeriesSplit`` as ``cv``.
        fit_params
            Further parameters of the classifier's ``fit``, such as ``sample_weight``; with metadata routing, if that is
            enabled. A parameter with one value per row is split as the rows are.

        Raises
        ------
        SteepslopeError
            If a parameter is out of range, there are fewer than two rows, frames have the same index in another order,
            the classifier has neither probabilities nor decision values, ``unknown_label`` is one of its classes, or
            an opinion is from the same classifier or shares no class with it.
        """
        objectives = Objectives(max_risk=self.max_risk, delta=self.delta)  # type: ignore[arg-type]
        require("calibration_size", self.calibration_size, INSIDE)
        require("when_changed", self.when_changed, WHEN_CHANGED)
        if isinstance(self.cv, str) or not (hasattr(self.cv, "split") or hasattr(self.cv, "__iter__")):
            require("cv", self.cv, whole(2))
        checked_opinion_classifiers(self.opinions, self.estimator)
        groups_of_inputs(self.groups, X)  # raises before anything is fitted
        X, labels = checked_rows_and_labels(X, y, groups)
        seed = int(check_random_state(self.random_state).randint(LARGEST_SEED))
        codes, cautions = rows_together(X, labels, groups, self.cv)
        telling = cautions_on_telling_columns(X, labels, codes, seed)
        size = self.calibration_size
        learnable, out_of_class, held_out = held_out_rows(labels, self.unknown_label, size, seed, codes, self.cv)
        if not len(held_out):
            found = f"found n_samples={len(labels)}, of which calibration_size {size} holds out none"
            raise SteepslopeError(f"expected rows to calibrate on besides those of two classes, {found}", "X")
        params = _check_method_params(X, self._routed(fit_params), learnable)
        learning = self._learning(seed, params)
        unknown = _safe_indexing(X, out_of_class)
        of_learnt = codes[np.concatenate([learnable, out_of_class])]
        learnt = learning.fit(_safe_indexing(X, learnable), labels[learnable], unknown, of_learnt)
        self._keep_classifiers(learnt.reader.estimator, learnt.classifiers)
        self.reader_ = learnt.reader
        self.oracle_ = learnt.oracle
        self.saw_ = learnt.saw
        held_out_inputs = _safe_indexing(X, held_out)
        outputs = self.reader_.labelled(held_out_inputs, labels[held_out]).changed(ids=held_out)
        kept = _safe_indexing(held_out_inputs, np.arange(min(KEPT_ROWS, len(outputs))))
        self.calibration_ = Calibration(outputs, kept)
        by = self.groups if isinstance(self.groups, str) else None
        in_groups = groups_of_inputs(self.groups, held_out_inputs)
        self.gate_ = self.calibration_.gate(learnt.source, objectives, by=by, groups=in_groups, seed=seed)
        for caution in (*telling, *cautions, *self.gate_.require_source().cautions(outputs)):
            warnings.warn(caution, CautionWarning, stacklevel=2)
        self._warn_if_nothing_promised()
        return self

    def _learning(self, seed: int, params: Mapping[str, Any]) -> Learning:
        return Learning(
            self.estimator, self.opinions, self.unknown_label, self.signals, self.cv, self.n_jobs, seed, params
        )

    def predict(self, X: Any) -> Values:
        """Return the classifier's labels, (n,), whether accepted or not."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict(X))

    @available_if(_classifier_offers("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Floats:
        """Return the classifier's own class probabilities, (n, K). :meth:`p_correct` is that of being correct."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict_proba(X))

    @available_if(_classifier_offers("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Floats:
        """Return the classifier's own decision values, (n, K), or (n,) for two classes."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.decision_function(X))

    def decide(self, X: Any, groups: Any = None) -> Decision:
        """Return the labels and which of them to use.

        If nothing can be promised, none is accepted, and a ``NothingPromisedWarning`` says why. If X is clearly not
        drawn as the calibration rows were, a ``ChangedWarning`` says so and, unless ``when_changed="warn"``, nothing is
        accepted. All rows of a call are judged together; of rows that belong together, by their ``groups`` (n,), one
        tells of a change.
        """
        check_is_fitted(self)
        self._warn_if_nothing_promised()
        of_gate = groups_of_inputs(self.groups, X)
        decisions = self.gate_.decide_rows(self.reader_.outputs(X), of_gate)
        decisions = judged_together(self.gate_, decisions, self.when_changed, groups)
        return Decision(self.classes_[decisions.labels], decisions.accepted)

    def write_predictions(self, path: str | Path, X: Any, ids: Any = None, audit: int | None = None) -> None:
        """Write the decisions to a file as ``steepslope predict`` does, for ``steepslope monitor``.

        The columns are ``id, label, probability, p_correct, trust_logit, accepted, decision``; an audit adds ``audit,
        audit_probability``. A JSON summary next to the file names the gate. The warnings are those of :meth:`decide`.

        Parameters
        ----------
        path
            File that ends in .csv or .parquet; an earlier one is replaced.
        X
            Inputs (m, …).
        ids
            The name of each row, (m,), by which its label is found later. Names must be unique over all monitored
            files. By default they are a frame's index, unless it only numbers the rows or is not unique. Rows without
            names get a digest of the outputs for X and their number, such as ``4f3a9c21d0e7/17``.
        audit
            About how many rows that the gate accepts to mark for labelling, at random, doubtful ones more often.

        Raises
        ------
        SteepslopeError
            If an id is empty or repeated, or the path has another ending.
        """
        check_is_fitted(self)
        require_prediction_file(str(Path(path).absolute()))
        names = ids_of_inputs(ids, X)
        groups = groups_of_inputs(self.groups, X)
        outputs = self.reader_.outputs(X).changed(ids=names)
        self._warn_if_nothing_promised()
        change = write_decisions(self.gate_, outputs, groups, Path(path), audit, self.when_changed)
        if change:
            warnings.warn(change, ChangedWarning, stacklevel=2)

    def trust_logit(self, X: Any) -> Floats:
        """Return the confidence that ranks the predictions, float64 (n,): the oracle's trust logit, or MCP log-odds."""
        check_is_fitted(self)
        return self.gate_.require_source().confidence(self.reader_.outputs(X))

    def p_correct(self, X: Any) -> Floats:
        """Return the estimated probability that each prediction is correct, float64 (n,), in [0, 1].

        It is an estimate, not a promise.
        """
        return self.gate_.p_correct(self.trust_logit(X))

    @property
    def summary_(self) -> str:
        """What the oracle saw, which of several risks is promised, and the gate's promise, each on a line."""
        check_is_fitted(self)
        return "\n".join([self.saw_, *sentences_of_promises(self.gate_)])

    @property
    def max_risk_(self) -> float:
        """The risk that the gate promises, in (0, 1): the first of several that can be, or the first if none can."""
        check_is_fitted(self)
        return self.gate_.promised_risk

    def report(self, path: str | Path, X: Any = None, y: Any = None, *, bootstrap: int = 1000) -> None:
        """Write a report as ``steepslope evaluate`` does, with MCP, other scores, the gate and its coverage.

        Parameters
        ----------
        path
            Folder for ``report.html``, ``table.md``, ``metrics.json`` and the like; an earlier report is replaced.
        X, y
            New rows and their labels. Without them, the report is about the calibration rows. Rows whose label is none
            of ``classes_`` are out-of-class, and never right. Cards show a frame's index, as
            :meth:`write_predictions` does, and its first four columns.
        bootstrap
            Number of resamples for the intervals; 0 leaves the intervals out.

        Raises
        ------
        SteepslopeError
            If X comes without y, or y without X.
        """
        check_is_fitted(self)
        if (X is None) != (y is None):
            raise SteepslopeError("expected X and y together, or neither", "y" if y is None else "X")
        outputs = self.calibration_.outputs
        if X is not None:
            outputs = self.reader_.checked(X, y, self.unknown_label).changed(ids=ids_of_inputs(None, X))
        notes = self.summary_.splitlines()
        if not self.gate_.has_groups:
            del notes[-1]  # the report shows the promise for all rows elsewhere
        write_report_on(self.gate_, outputs, path, f"Trust in {type(self.estimator_).__name__}", notes, bootstrap, X)

    def for_mix(self, class_mix: Mapping[Any, float] | None = None, *, target: Any = None) -> Self:
        """Return the same classifier with a gate for another class mix, calibrated on the held-out rows.

        Parameters
        ----------
        class_mix
            The share of each class among the target rows, by its label, such as ``{"fraud": 0.1, "fine": 0.9}``. A
            class without a share is assumed not to occur. The share of out-of-class rows is that of ``unknown_label``.
        target
            At least 200 target rows (m, …) without labels, in place of the shares. The mix is estimated on them.

        Raises
        ------
        SteepslopeError
            If both or neither of ``class_mix`` and ``target`` are given, a class is unknown or has too few held-out
            rows, no mix explains the target's predictions, or each group has a promise.
        """
        check_is_fitted(self)
        if (class_mix is None) == (target is None):
            if target is None:
                raise SteepslopeError("expected either class_mix or target, found neither", "class_mix")
            raise SteepslopeError("expected either class_mix or target, found both", "target")
        if self.gate_.has_groups:
            raise SteepslopeError("expected one promise for all rows, found one for each group", "groups")
        outputs = None if target is None else self.reader_.outputs(target)
        if isinstance(class_mix, Mapping):
            unknown = self.calibration_.outputs.label_names[-1]
            class_mix = {unknown if name == self.unknown_label else name: share for name, share in class_mix.items()}
        source = self.gate_.require_source()
        moved = copy(self)
        moved.gate_ = self.calibration_.gate(source, self.gate_.objectives, class_mix=class_mix, target=outputs)
        return moved

    def adapted(self, X: Any, y: Any, groups: Any = None, max_risk: float | None = None) -> Self:
        """Return the same classifier with a gate for a new source, such as after a change.

        It takes 50 to 500 labelled rows of that source. A quarter of them adapts the ranking, the others calibrate, as
        in :meth:`steepslope.Gate.adapted`. The classifier itself is not fitted again. ``summary_`` says what can be
        promised, and what the next lower risk would take.

        Parameters
        ----------
        X, y
            Rows (n, …) of the new source, drawn at random, and their labels (n,).
        groups
            Groups (n,) of rows that belong together, or None.
        max_risk
            The one risk to promise, in (0, 1); None to try several.

        Raises
        ------
        SteepslopeError
            If there are fewer than 20 rows, or this classifier has a promise for each group.
        """
        check_is_fitted(self)
        outputs = self.reader_.labelled(X, column_or_1d(y))
        names = checked_groups(groups, len(outputs))
        seed = int(check_random_state(self.random_state).randint(LARGEST_SEED))
        moved = copy(self)
        adapting, calibrating = split_to_adapt(outputs, names, seed)
        held_out = outputs.subset(calibrating)
        moved.gate_ = gate_for_new_source(self.gate_, outputs.subset(adapting), held_out, max_risk, seed)
        moved.oracle_ = moved.gate_.require_source().oracle  # type: ignore[assignment]
        first = _safe_indexing(X, calibrating[:KEPT_ROWS])
        moved.calibration_ = Calibration(held_out.changed(ids=calibrating), first)
        return moved

    def save(self, path: str | Path) -> None:
        """Write a folder with all but the classifiers, ``estimator_`` and ``opinions_``; an earlier one is replaced.

        Among its JSON and arrays are the outputs of the calibration rows and sixteen of these rows, those of polars and
        pyarrow as Parquet, and those of pandas without their index. Save the classifiers yourself, such as with
        ``skops.io``. Functions for groups or signals are refused, because they cannot be saved: name columns.
        """
        check_is_fitted(self)
        write_trusted(Path(path), self)

    @classmethod
    def load(cls, path: str | Path, estimator: Any, opinions: Mapping[str, Any] | None = None) -> Self:
        """Read what :meth:`save` wrote. ``estimator`` is the fitted classifier, which you saved yourself.

        Nothing in the folder is executed. Settings that JSON cannot hold, such as a splitter, return to their defaults.
        Pass at least those of ``opinions_`` that the oracle takes; only these are compared.

        Raises
        ------
        SteepslopeError
            If a file has changed, a classifier has other classes, or its probabilities, features or opinions on the
            kept rows differ from the saved ones.
        """
        card, features, gate, calibration = read_trusted(Path(path))
        others = checked_opinion_classifiers(opinions, estimator)
        model = cls(estimator, **card.settings, opinions=opinions)
        require_saved_classes(estimator, card.classes, "estimator")
        model._keep_classifiers(estimator, others)
        restored = restored_opinions(card.opinions, others)
        model.reader_ = Reader(estimator, model.classes_, card.log_floor, features, restored, model.signals)
        model.gate_ = gate
        model.calibration_ = calibration
        model.saw_ = card.saw
        model.oracle_ = gate.require_source().oracle  # type: ignore[assignment]
        calibration.require_same(model.reader_.outputs)
        return model

    def _keep_classifiers(self, fitted: Any, others: dict[str, Any]) -> None:
        """Keep the fitted classifier with its attributes for inputs, and others by name."""
        self.estimator_ = fitted
        self.opinions_ = others
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    def _warn_if_nothing_promised(self) -> None:
        if not any(promise.is_given for promise in self.gate_.promises):
            warnings.warn(f"nothing is accepted: {self.gate_.advice}", NothingPromisedWarning, stacklevel=3)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata are routed: those of ``fit`` go to the classifier's ``fit``."""
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        return router.add(estimator=self.estimator, method_mapping=mapping)

    def _routed(self, fit_params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters of the classifier's ``fit``; all of them if routing is off."""
        if not sklearn.get_config()["enable_metadata_routing"]:
            return fit_params
        routed: Mapping[str, Any] = process_routing(self, "fit", **fit_params)["estimator"]["fit"]
        return routed

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import get_tags  # from scikit-learn 1.6 on, as is this method

        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        inputs = [inner.input_tags]
        if isinstance(self.opinions, Mapping):
            others = [other for other in self.opinions.values() if hasattr(other, "__sklearn_tags__")]
            inputs += [get_tags(other).input_tags for other in others]
        tags.input_tags = replace(
            inner.input_tags, sparse=all(tag.sparse for tag in inputs), allow_nan=all(tag.allow_nan for tag in inputs)
        )
        if inner.classifier_tags is not None:  # with several labels a row, none could be trusted alone
            tags.classifier_tags = replace(inner.classifier_tags, multi_label=False)
        return tags
