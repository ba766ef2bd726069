"""The outputs of a frozen classifier on a data set: logits, labels, and what else was kept of each prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError, require_known
from steepslope.numerics import BLOCK_ROWS, Bools, Brief, Counts, Floats, Values, blocks
from steepslope.outputs import _answers as answers
from steepslope.outputs._arrays import (
    ARRAYS,
    OF_COPIES,
    SIGNAL,
    Arrays,
    array_of,
    arrays_in_order,
    checked_arrays,
    checked_class_names,
    column_names,
    is_opinion_array,
    is_signal_array,
    opinion_of_array,
    require_arrays_in_one_order,
)
from steepslope.outputs._labels import (
    UNKNOWN,
    UNKNOWN_NAME,
    class_values,
    coded_labels,
    label_as_text,
    require_known_labels,
)
from steepslope.outputs._opinions import Classes, Opinion, is_array_of_opinion, opinion_all_lack, opinion_arrays
from steepslope.outputs._options import AS_WRITTEN, ReadingOptions
from steepslope.outputs._probabilities import probability_logits, require_no_probabilities
from steepslope.outputs._table import Table, naming_table, read_table, write_outputs_table

_BLOCK_ENTRIES = 2**21  # rows times classes, in float64


@dataclass(frozen=True, eq=False, init=False, repr=False)
class ClassifierOutputs(Brief):
    """Logits of n predictions over K classes, labels where they are known, and further arrays.

    :data:`~steepslope.outputs.ARRAYS` lists all arrays.

    Parameters
    ----------
    logits
        Floats (n, K), K ≥ 2, finite; in memory or memory-mapped. The names of a frame's columns are its classes.
    labels
        Integers (n,) in 0…K−1: the true classes, also as booleans or whole floats, or as the text of ``classes``; None
        where they are not known. An out-of-class input has the label −1, as text ``unknown``. A name that is
        none of the classes means that too, with a warning, since it may be misspelt.
    features
        Floats (n, d): the classifier's penultimate representation.
    ids
        Strings (n,) that name the inputs.
    classes
        The names of the K classes in the order of the logits, all different; None where they have no names. Where the
        names are numbers, such as a scikit-learn classifier's ``classes_``, so are the labels.
    as_logits
        Take rows that look like probabilities for logits all the same. Without it, ten rows or more of which none is
        negative and each has a sum of 1 are refused: :meth:`from_probabilities` takes those.
    further, arrays
        Further arrays, by name: ``views`` (n, V, K), the logits of V small changes of each input, such as its mirror
        image; ``dropout`` (n, 2, K), over passes with dropout the log of each class's mean probability, and its
        deviation; ``auxiliary`` (n, e), features of the same inputs by another backbone than the classifier's;
        ``noise`` (n, s), estimates of the noise in each input, as the classifier sees it. Of A augmented copies of
        each input, ``augmented_logits`` (n, A, K), ``augmented_features`` (n, A, d), ``augmented_auxiliary`` (n, A, e)
        and ``augmented_noise`` (n, A, s). Each is an attribute, None where the outputs do not hold it.

    Raises
    ------
    SteepslopeError
        If a shape, a type, a label or a logit is not as described, or labels are names and none of them is a class; the
        message names the first such row.

    All arrays may also be tensors on any device, frames or series of pandas and polars, or lists of tensors.

    >>> outputs = ClassifierOutputs(logits=[[2.0, 0.0], [0.0, 1.0]], labels=[0, 0])
    >>> outputs.is_correct
    array([ True, False])
    >>> outputs.true_class_probability.round(3)
    array([0.881, 0.269])
    """

    logits: Values
    labels: Counts | None
    features: Values | None
    ids: NDArray[np.str_] | None
    classes: tuple[str, ...] | None
    further: Mapping[str, Values]
    classifier: str | None = None  # the digest of what made them, where it is known

    def __init__(
        self,
        logits: ArrayLike,
        labels: ArrayLike | None = None,
        features: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        classes: Iterable[Any] | None = None,
        further: Mapping[str, ArrayLike | None] | None = None,
        as_logits: bool = False,
        **arrays: ArrayLike | None,
    ) -> None:
        given = {"labels": labels, "features": features, "ids": ids, **(further or {}), **arrays}
        for name in given:
            array_of(name)  # raises for an unknown name
        require_arrays_in_one_order({"logits": logits, **given})
        values = class_values(classes, column_names(logits))
        self._keep({"logits": logits, **given, "labels": coded_labels(labels, values)}, values)
        if not as_logits:
            require_no_probabilities(self.logits)

    def _keep(self, given: Mapping[str, ArrayLike | None], classes: Iterable[Any] | None) -> None:
        """Check the arrays, at least logits, and keep them."""
        arrays = checked_arrays(given)
        num_classes = arrays["logits"].shape[1]
        require_known_labels(arrays.get("labels"), num_classes)
        names = checked_class_names(classes, num_classes)
        members = {name: arrays.pop(name, None) for name in ("logits", "labels", "features", "ids")}
        vars(self).update(members, classes=names, further=arrays)

    @classmethod
    def from_probabilities(
        cls,
        probabilities: ArrayLike,
        labels: ArrayLike | None = None,
        classes: Iterable[Any] | None = None,
        floor: float | None = None,
        **arrays: ArrayLike | None,
    ) -> ClassifierOutputs:
        """Return the outputs of a classifier that gives probabilities; its logits are their logarithms.

        Parameters
        ----------
        probabilities
            Floats (n, K), whose rows sum to 1 within 0.01; or (n,), the probabilities of class 1 of two classes.
        labels, classes, arrays
            As of :class:`ClassifierOutputs`.
        floor
            What a probability of 0 is taken for; by default less than all others, and so little that it decides
            nothing: half of the smallest other probability or of 2⁻²⁴, divided by K.

        Raises
        ------
        SteepslopeError
            If a probability is negative or not finite, or a row does not sum to 1; the message names the first such
            row.

        >>> forest = [[0.9, 0.1, 0.0], [0.2, 0.5, 0.3]]  # as predict_proba gives them
        >>> outputs = ClassifierOutputs.from_probabilities(forest, ["cat", "dog"], classes=["ant", "cat", "dog"])
        >>> outputs.labels.tolist(), outputs.true_class_probability.round(2).tolist(), outputs.classes
        ([1, 2], [0.1, 0.3], ('ant', 'cat', 'dog'))
        """
        require_arrays_in_one_order({"probabilities": probabilities, "labels": labels, **arrays})
        values = class_values(classes, column_names(probabilities))
        return cls(probability_logits(probabilities, floor), labels, classes=values, further=arrays, as_logits=True)

    @classmethod
    def from_answers(
        cls,
        predicted: ArrayLike,
        confidence: ArrayLike | Sequence[float | None] | None = None,
        labels: ArrayLike | None = None,
        *,
        classes: Iterable[Any] | None = None,
        features: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        signals: Mapping[str, ArrayLike | Sequence[float | str | None]] | None = None,
        answered_by: str | None = None,
    ) -> ClassifierOutputs:
        """Return the outputs of whoever gives a class and one number: a service, a language model, a person.

        Their logits are made: alike but at the predicted class, where they are above 0 and rise with the confidence. So
        MCP ranks as the confidence does, and scores such as margin and entropy only repeat it. In [0, 1], as far as it
        is above 1/K, MCP is the confidence itself. A fused oracle takes any confidence for a rank alone, and learns
        what it is worth.

        Parameters
        ----------
        predicted
            The predicted classes, (n,): names, or whole numbers from 0.
        confidence
            Floats (n,), higher for what is surer, on any scale, such as probabilities, percentages, log-probabilities
            or 1 to 5; NaN where there is none, which ranks below all others. By default no row has one.
        labels, features, ids
            As of :class:`ClassifierOutputs`.
        classes
            The names of the classes; by default the distinct names of predictions and labels in their order, so give
            those of a gate or an oracle (``gate.classes``) with new rows.
        signals
            Further numbers (n,) beside each answer, by name, as :meth:`from_graded` takes them.
        answered_by
            Name and version of whoever answers, such as ``"gpt-4o-2024-08-06"``. Oracles and gates remember it, and
            refuse the answers of another.

        Raises
        ------
        SteepslopeError
            If a prediction is missing or none of the classes although there are labels, or a confidence is infinite or
            no number; the message names the first such row. Of new rows, without labels, such a row has no answer: its
            prediction is −1, with a warning, and a gate leaves it to review.

        >>> answers = ClassifierOutputs.from_answers(["cat", "dog", "cat"], [0.9, 0.6, None], ["cat", "cat", "cat"])
        >>> answers.class_names, answers.is_correct.tolist(), answers.true_class_probability.round(2).tolist()
        (('cat', 'dog'), [True, False, True], [0.9, 0.4, 0.5])
        """
        given = {"predicted": predicted, "confidence": confidence, "labels": labels, "features": features, "ids": ids}
        named_signals = signal_arrays(signals or {})
        require_arrays_in_one_order({**given, **named_signals})
        texts = answers.answer_texts(predicted)
        label_texts = None if labels is None else answers.answer_texts(labels, "labels")
        known = class_values(classes, None) or answers.names_of_answers(texts, label_texts)
        names = list(map(label_as_text, known))
        is_new = classes is not None and labels is None
        codes = answers.coded_answers(texts, names, is_new=is_new)
        logits = answers.answer_logits(codes, confidence, len(names))
        has_names = classes is not None or not answers.are_numbers_from_zero(names)
        classes = known if has_names else None
        outputs = cls(logits, labels, features, ids, classes, named_signals, as_logits=True)
        return outputs.of_classifier(answers.maker_of_answers(answered_by))

    @classmethod
    def from_graded(
        cls,
        signals: Mapping[str, ArrayLike | Sequence[float | str | None]],
        is_correct: ArrayLike | None = None,
        *,
        confidence: str | None = None,
        ids: ArrayLike | None = None,
        answered_by: str | None = None,
    ) -> ClassifierOutputs:
        """Return the outputs of answers that are only right or wrong, such as free text, with numbers beside each.

        Their classes are ``wrong`` and ``right``, and each answer is taken for right. A fused oracle learns from the
        signals which are; only the order of their values counts.

        Parameters
        ----------
        signals
            Floats (n,) by name, such as log-probability, agreement of samples or a judge's grade: on any scale, high or
            low where an answer is right, NaN in a row that lacks the signal. A frame's columns will do.
        is_correct
            Whether each answer is right, booleans (n,); None of new answers.
        confidence
            The signal that plays MCP, which has to be high where an answer is right. By default none does, and the best
            single signal takes part in the oracle alone.
        ids
            As of :class:`ClassifierOutputs`.
        answered_by
            As in :meth:`from_answers`.

        Raises
        ------
        SteepslopeError
            If there are no signals, a name is none of theirs, or a signal is not one number an answer.

        >>> grades = {"judge": [4, 5, 1], "entropy": [0.3, 0.1, None]}
        >>> answers = ClassifierOutputs.from_graded(grades, [True, True, False], confidence="judge")
        >>> answers.signals, answers.is_correct.tolist(), answers.signal_entropy.tolist()
        (('judge', 'entropy'), [True, True, False], [0.3, 0.1, nan])
        """
        named = signal_arrays(signals)
        if not named:
            raise SteepslopeError("expected numbers by name, found none", "signals")
        values = None
        if confidence is not None:
            require_known("signal", confidence, list(signals))
            values = named[f"{SIGNAL}{confidence}"]
        right = np.ones(len(next(iter(named.values()))), np.int64)
        logits = answers.answer_logits(right, values, len(answers.GRADES))
        labels = None if is_correct is None else np.asarray(is_correct).astype(np.int64)
        outputs = cls(logits, labels, ids=ids, classes=answers.GRADES, as_logits=True, further=named)
        return outputs.of_classifier(answers.maker_of_answers(answered_by))

    def __getattr__(self, name: str) -> Values | None:
        """Return a further array, None where there is none."""
        if name in ARRAYS or is_opinion_array(name.removeprefix(OF_COPIES)) or is_signal_array(name):
            further: Mapping[str, Values] = self.__dict__["further"]
            return further.get(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def num_classes(self) -> int:
        """The number of classes, K."""
        return int(self.logits.shape[1])

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, (K,); their numbers as text where they have none."""
        return self.classes or tuple(map(str, range(self.num_classes)))

    @property
    def label_names(self) -> tuple[str, ...]:
        """The name of each label, (K + 1,): those of the classes, and last ``unknown``, so that −1 is its index."""
        if UNKNOWN_NAME in self.class_names:
            return (*self.class_names, "none of the classes")
        return (*self.class_names, UNKNOWN_NAME)

    @cached_property
    def predictions(self) -> Counts:
        """The predicted classes, (n,): the first largest logit; −1 in a row without an answer."""
        return np.concatenate([_predictions_by_logits(self.logits[rows]) for rows in logit_blocks(self)])

    @cached_property
    def is_correct(self) -> Bools:
        """Whether each prediction is the label, (n,) (paper, Eq. 2); never so for an unknown input. It needs labels."""
        labels = self.require_labels()
        return np.asarray((self.predictions == labels) & (labels != UNKNOWN))

    @property
    def is_unknown(self) -> Bools:
        """Whether each input is out-of-class, (n,): its label is −1; it needs labels."""
        return np.asarray(self.require_labels() == UNKNOWN)

    @cached_property
    def true_class_probability(self) -> Floats:
        """The classifier's softmax probability of the label, (n,); 0 for out-of-class inputs. It needs labels."""
        labels = self.require_labels()
        probabilities = []
        for rows in logit_blocks(self):
            logits = np.asarray(self.logits[rows], dtype=np.float64)
            gaps = logits - np.take_along_axis(logits, labels[rows, None], axis=1)
            with np.errstate(over="ignore"):  # an infinite sum is a probability of 0
                probabilities.append((labels[rows] != UNKNOWN) / np.exp(gaps).sum(axis=1))
        return np.concatenate(probabilities)

    @property
    def arrays(self) -> Arrays:
        """All arrays that these outputs hold, by name, in the order of :data:`~steepslope.outputs.ARRAYS`."""
        names = arrays_in_order([*ARRAYS, *self.further])
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def opinions(self) -> tuple[str, ...]:
        """The names of the other classifiers whose opinions these outputs hold, as :meth:`with_opinion` takes them."""
        return tuple(map(opinion_of_array, filter(is_opinion_array, self.further)))

    @property
    def signals(self) -> tuple[str, ...]:
        """The names of the signals that these outputs hold."""
        return tuple(map(opinion_of_array, filter(is_signal_array, self.further)))

    def require(self, name: str) -> Values:
        """Return an array; raise if these outputs have none."""
        array: Values | None = getattr(self, name, None)
        if array is not None:
            return array
        option = ""
        if is_signal_array(name):
            option = f" (--signals {opinion_of_array(name)})"
        elif is_opinion_array(name):
            held = f"; they hold that of {', '.join(self.opinions)}" if self.opinions else ""
            option = f" (--opinion {opinion_of_array(name)}=FILE{held})"
        raise SteepslopeError(f"the outputs hold no {name}: give outputs that do{option}, or choose what needs none")

    def require_features(self) -> Values:
        """Return the features; raise if these outputs have none."""
        return self.require("features")

    def require_labels(self) -> Counts:
        """Return the labels; raise if these outputs have none."""
        if self.labels is None:
            raise SteepslopeError("expected the true class of each prediction, found none: give labels", "labels")
        return self.labels

    @classmethod
    def of(cls, arrays: Mapping[str, ArrayLike | None], classes: Iterable[str] | None = None) -> ClassifierOutputs:
        """Return the outputs of arrays by name, at least logits, whatever these look like."""
        outputs = cls.__new__(cls)
        outputs._keep(arrays, classes)
        return outputs

    def changed(self, **arrays: ArrayLike | None) -> ClassifierOutputs:
        """Return the same with other arrays of these names; None takes an array away."""
        return self.of({**self.arrays, **arrays}, self.classes).of_classifier(self.classifier)

    def of_classifier(self, digest: str | None) -> ClassifierOutputs:
        """Return the same, with the digest of the classifier that made them, or None where it is not known.

        Extractions record it. Oracles remember it, and refuse the outputs of another classifier.
        """
        outputs = copy(self)
        vars(outputs)["classifier"] = digest
        return outputs

    @property
    def is_extracted(self) -> bool:
        """Whether an extraction made them, and recorded its net."""
        return self.classifier is not None and not self.classifier.startswith(answers.ANSWERS_OF)

    def named(self, classes: Iterable[str] | None) -> ClassifierOutputs:
        """Return the same with these names of the classes; None takes them away."""
        return self.of(self.arrays, classes).of_classifier(self.classifier)

    def subset(self, rows: slice | Counts) -> ClassifierOutputs:
        """Return some rows, by a slice or by their numbers."""
        return self.changed(**{name: array[rows] for name, array in self.arrays.items()})

    def of_known_classes(self) -> ClassifierOutputs:
        """Return the rows whose label is a class: all, where none is unknown or the labels are not known."""
        if self.labels is None or not self.is_unknown.any():
            return self
        if self.is_unknown.all():
            raise SteepslopeError(f"expected rows of the classes, found {len(self):,} that belong to none", "labels")
        return self.subset(np.flatnonzero(~self.is_unknown))

    def augmented(self) -> ClassifierOutputs | None:
        """Return the augmented copies as outputs of their own, (n × A,), without ids; None where there are none.

        Row r is a copy of row ``r // A`` and has its label, if that has one. It holds no array that these outputs do
        not hold of the originals, such as features that were taken away.

        >>> outputs = ClassifierOutputs([[2, 0.5], [0.5, 1]], [0, 1], augmented_logits=[[[1, 0.5]] * 3, [[0, 1.5]] * 3])
        >>> copies = outputs.augmented()
        >>> copies.labels.tolist(), copies.logits[3].tolist()
        ([0, 0, 0, 1, 1, 1], [0.0, 1.5])
        """
        logits = self.further.get(f"{OF_COPIES}logits")
        if logits is None:
            return None
        copies = {}
        for name in self.arrays:
            array = self.further.get(f"{OF_COPIES}{name}")
            if array is not None:
                copies[name] = array.reshape(-1, *array.shape[2:])
        if self.labels is not None:
            copies["labels"] = np.repeat(self.labels, logits.shape[1])
        return self.of(copies, self.classes)

    def with_auxiliary(self, other: ClassifierOutputs) -> ClassifierOutputs:
        """Return the same with another backbone's features of the same inputs; the ids must be the same.

        Augmented copies that the other outputs hold have to be those of these: from the same kinds and seed.
        """
        if self.ids is None or other.ids is None or not np.array_equal(self.ids, other.ids):
            raise SteepslopeError("expected outputs of the same inputs, with the same ids in order", "auxiliary")
        copies = None if self.augmented_logits is None else other.augmented_features
        return self.changed(auxiliary=other.require("features"), augmented_auxiliary=copies)

    def with_opinion(
        self, name: str, opinion: ClassifierOutputs | ArrayLike, classes: Classes = None
    ) -> ClassifierOutputs:
        """Return the same with the opinion of another classifier, or of people, on the same inputs.

        Parameters
        ----------
        name
            What to call it: letters, digits, ``_`` and ``-``. An earlier opinion of that name is replaced.
        opinion
            Outputs of the other classifier, also :meth:`from_answers`: rows are matched by their ids if both have ids,
            else by their places. Or an array in the order of these rows: probabilities or logits, floats (n, K'); for
            two classes also floats (n,), the probability of class 1; or votes (n,), which are numbers or names of
            classes. A row may lack the opinion: NaN, or for votes -1, NaN, None or "".
        classes
            The other's classes in the order of its columns, by these outputs' names; or a mapping from the other's name
            to this one's, in which several may share one. By default the other's own names, where both have names,
            else the same classes in the same order. Of classes that the other does not know, it has this classifier's
            opinion, and it divides only what is left among those that it knows.

        Raises
        ------
        SteepslopeError
            If the name, the shape or a class is not as described, or no row has the opinion.

        Examples
        --------
        >>> outputs = ClassifierOutputs([[2.0, 0.0], [0.0, 1.0]], classes=["cat", "dog"])
        >>> both = outputs.with_opinion("forest", [[0.4, 0.6], [0.5, 0.5]]).with_opinion("people", ["dog", ""])
        >>> both.opinions, both.vote_people.tolist()
        (('forest', 'people'), [1, -1])
        """
        others = {array: values for array, values in self.arrays.items() if not is_array_of_opinion(array, name)}
        added = opinion_arrays(Opinion.of(self), name, Opinion.of(opinion), classes)
        return self.of({**others, **added}, self.classes).of_classifier(self.classifier)

    def lacking_opinions_of(self, other: ClassifierOutputs) -> ClassifierOutputs:
        """Return the same with the opinions that other outputs hold and these do not, which all rows lack."""
        lacking = {}
        for name in filter(is_opinion_array, other.further):
            if name not in self.further:
                lacking[name] = opinion_all_lack(name, self.logits)
        if lacking:
            return self.changed(**lacking)
        return self

    def save(self, path: str | Path) -> None:
        """Write a folder, or a file if ``path`` ends in .npz, .csv or .parquet; replace an earlier one.

        All but .csv files hold the names of the classes.
        """
        write_outputs_table(Path(path), self.arrays, self.classes, answers.model_of_maker(self.classifier))

    @classmethod
    def load(
        cls,
        path: str | Path,
        options: ReadingOptions = AS_WRITTEN,
        *,
        as_logits: bool = False,
        labelled: bool = False,
        known: Sequence[str] | None = None,
    ) -> ClassifierOutputs:
        """Read a folder (memory-mapped) or an .npz, .csv or .parquet file; errors name the path.

        The options say how files that others made are read. A file whose logits look like probabilities is refused,
        unless they are to be taken ``as_logits``, and one without labels if it must be ``labelled``. ``known`` are the
        classes of answers, such as a gate's; by default the distinct names in the file.
        """
        if as_logits:
            options = replace(options, as_logits=True)
        table = read_table(Path(path), options, known=known)
        return cls.of_table(table.require_labels() if labelled else table)

    @classmethod
    def of_table(cls, table: Table, ids: bool = True) -> ClassifierOutputs:
        """Return the outputs in a table, with or without their ids; raise if it holds no logits."""
        with naming_table(table.path):
            arrays = table.with_ids() if ids else table.arrays
            if "logits" not in arrays:
                held = ", ".join(sorted(table.arrays)) or "nothing"
                raise SteepslopeError(f"expected logits, found only {held}")
            outputs = cls.of(arrays, table.classes)
        return outputs.of_classifier(table.classifier)


def signal_arrays(signals: Mapping[str, Any]) -> dict[str, Floats]:
    """Return signals by the names of their arrays, float64 (n,) each; None and "" are NaN."""
    arrays = {}
    for name in signals:  # a frame's names are its columns
        values = signals[name]
        arrays[f"{SIGNAL}{name}"] = answers.checked_answer_confidences(values, len(values), f"signal {name}")
    return arrays


def logit_blocks(outputs: ClassifierOutputs) -> Iterator[slice]:
    """Cut the rows into slices whose logits need little memory, whatever the number of classes."""
    return blocks(len(outputs), max(1, min(BLOCK_ROWS, _BLOCK_ENTRIES // outputs.num_classes)))


def _predictions_by_logits(logits: Values) -> Counts:
    predicted = np.asarray(logits.argmax(axis=1))
    doubtful = np.flatnonzero(logits[:, 0] == answers.UNSAID)
    predicted[doubtful[answers.is_unanswered(logits[doubtful])]] = UNKNOWN
    return predicted


def over_logits(outputs: ClassifierOutputs, function: Callable[[Floats], Floats]) -> Floats:
    """Apply a function of float64 logits (m, K) -> (m, …) to all rows, block by block."""
    values = []
    for rows in logit_blocks(outputs):
        values.append(function(np.asarray(outputs.logits[rows], dtype=np.float64)))
    return np.concatenate(values)


def require_classes(name: str, outputs: ClassifierOutputs, num_classes: int) -> None:
    """Raise unless the outputs have as many classes as those that ``name`` was fitted to."""
    if outputs.num_classes != num_classes:
        raise SteepslopeError(f"fitted for {num_classes} classes, found {outputs.num_classes}", name)
