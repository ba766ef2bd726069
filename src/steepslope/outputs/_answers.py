"""Answers: a predicted class, and one number that says how sure the classifier is. They become made logits.

A vendor's service, a language model, a rule or a person gives no more. The made logits of a row are ``UNSAID`` but at
the predicted class, where they are above: so the prediction is never another, and no net's logits are taken for
answers. They rise strictly with the confidence and depend on nothing but the row, so new rows mean what calibration
rows meant. As long as nothing else is learnt, a confidence in [0, 1] is taken for the probability of the predicted
class, as far as that is above 1/K; any other number has its place in the same order.
"""

import warnings
from collections.abc import Mapping, Sequence
from itertools import filterfalse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.numerics import Array, Arrays, Counts, Values, blocks, float64, namespace_of, quiet
from steepslope.outputs._arrays import as_array, as_float_array
from steepslope.outputs._labels import (
    NOTHING_THERE,
    TRUTH_OF_TEXT,
    UNKNOWN,
    Texts,
    label_as_text,
    listed_names,
    means_unknown_label,
    number_in_text,
    warn_of_unknown_labels,
    whole_numbers_among,
)

Floats = NDArray[np.float64]
_STRAIGHT = 10.0  # log-odds that are kept; beyond, they are bent, since services round 0.99998 to 1
_LOWEST, _HIGHEST = -745.0, 38.0  # what stands for the log-odds of 0 and of 1: beyond all others of float64
_NEAR = 0.05  # strengths below it are squeezed, so that all are above 0
_APART = 20.0  # how far the numbers below 0 lie below those in [0, 1]
_RISE, _WIDTH = 20.0, 50.0  # how numbers above 1 rise, such as percentages
_MISSING = 1e-5  # the strength of an answer without a confidence: below all others
MISSED = 1.5 * _MISSING  # above _MISSING in every float type
UNSAID = -(2.0**-17)  # the made logit of each class that is not the answer; exact in float16, and no net gives it
_LOWEST_ORDER = -_STRAIGHT - np.log1p(-_LOWEST - _STRAIGHT)  # of the confidence 0, and of 1
_HIGHEST_ORDER = _STRAIGHT + np.log1p(_HIGHEST - _STRAIGHT)
_ROUNDED = 0.01  # of an order in float16
PROBABILITIES = "confidences in [0, 1]"
NO_CONFIDENCES = "no confidences"
SCALES = {
    NO_CONFIDENCES: (np.inf, -np.inf),
    PROBABILITIES: (_LOWEST_ORDER, _HIGHEST_ORDER),
    "confidences of at most 0": (-np.inf, _LOWEST_ORDER),
}  # the least and the highest order on each; numbers above 1 are on none
MOST_CLASSES = 10_000  # that are known by numbers alone
LOGITS, PREDICTED, CONFIDENCE = "logits", "predicted", "confidence"
ANSWERED_BY = "answered_by"  # the column with the name and version of the model
ANSWERS_OF = "answers of "  # before that name, where a net has its digest
GRADES = "wrong", "right"  # the classes of answers of which no more is known: each is taken for right


def answer_logits(predicted: Counts, confidence: Any, num_classes: int) -> Floats:
    """Return the made logits (n, K) of classes (n,) and confidences (n,), NaN where a row has none; None: none has.

    Those of the class −1, a row without an answer, are all ``UNSAID``.

    Raises
    ------
    SteepslopeError
        If the confidences are no numbers, infinite, or not one a row.

    >>> logits = answer_logits(np.array([1, 0, 2]), [0.9, 0.2, np.nan], 3)
    >>> logits.argmax(axis=1), (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).max(axis=1).round(3)
    (array([1, 0, 2]), array([0.9  , 0.334, 0.333]))
    """
    count = len(predicted)
    values = np.full(count, np.nan)
    if confidence is not None:
        values = checked_answer_confidences(confidence, count)
    rising = strength_of_order(_order_of_confidences(values) + np.log(num_classes - 1))
    strength = np.where(np.isnan(values), _MISSING, rising)
    answered = np.flatnonzero(predicted != UNKNOWN)
    logits = np.full((count, num_classes), UNSAID)
    logits[answered, predicted[answered]] += strength[answered]
    return logits


def checked_answer_confidences(confidence: Any, count: int, place: str = CONFIDENCE) -> Floats:
    """Return confidences as float64 (n,), NaN where there is none; raise unless they are numbers, one a row."""
    with explained("expected an array of numbers", place, (TypeError, ValueError, RuntimeError)):
        array = as_array(confidence, 1)
    if array.dtype.kind in "OUS":  # text may be a number, or stand for none
        cells = list(map(_number_in_cell, array.flat))
        array = np.array(cells, np.object_).reshape(array.shape)
    values = as_float_array(place, array)
    if values.ndim == 2:
        raise SteepslopeError(
            f"expected one number a row, found shape {values.shape}: "
            "probabilities of all classes go to ClassifierOutputs.from_probabilities",
            place,
        )
    if values.shape != (count,):
        raise SteepslopeError(f"expected {count} numbers, one an answer, found shape {values.shape}", place)
    values = values.astype(np.float64)
    infinite = np.isinf(values)
    if infinite.any():
        row = int(infinite.argmax())
        raise SteepslopeError(
            f"expected finite numbers, or none (NaN), found {values[row]} in row {row}: clip such values", place
        )
    return values


def _number_in_cell(value: Any) -> Any:
    """Return the number that a value is as text, NaN where an answer is missing, else the value itself."""
    text = str(value)
    if is_no_answer(text):
        return np.nan
    number = number_in_text(text)
    return value if number is None else number


def _order_of_confidences(values: Floats) -> Floats:
    """Return what rises strictly with a confidence of any scale, (n,): its log-odds in [0, 1], bent at both ends."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inside = _bent(np.clip(np.log(values) - np.log1p(-values), _LOWEST, _HIGHEST))
        below = _LOWEST_ORDER - _APART + _bent(-np.log(-values))
        above = _HIGHEST_ORDER + _RISE * np.log1p((values - 1) / _WIDTH)
    order = np.where(values > 1, above, inside)
    return np.where(values < 0, below, order)


def _bent(log_odds: Floats) -> Floats:
    beyond = np.maximum(np.abs(log_odds) - _STRAIGHT, 0)
    bent: Floats = np.clip(log_odds, -_STRAIGHT, _STRAIGHT) + np.sign(log_odds) * np.log1p(beyond)
    return bent


def strength_of_order(order: Array) -> Array:
    """Return numbers (n,) from ``NEAR`` on as they are, and those below in (0, _NEAR), smoothly and in that order."""
    xp = namespace_of(order)
    below = xp.minimum(order, xp.full_like(order, _NEAR))
    return xp.where(order >= _NEAR, order, _NEAR**2 / (2 * _NEAR - below))


@quiet
def _order_of_strength(strength: Array) -> Array:
    """Return what strengths (n,) were before :func:`strength_of_order`."""
    return namespace_of(strength).where(strength >= _NEAR, strength, 2 * _NEAR - _NEAR**2 / strength)


def orders_of_answers(logits: Array) -> tuple[Array, Array]:
    """Return the order of each confidence in made logits (n, K), float64 (n,), and whether a row has one."""
    strength = namespace_of(logits).max(float64(logits), axis=1) - UNSAID
    return _order_of_strength(strength) - np.log(logits.shape[1] - 1), strength > MISSED


def are_off_scale(logits: Array, scale: str) -> Array:
    """Return which rows of made logits (n, K) have a confidence that is not on a scale of ``SCALES``, booleans (n,).

    Tensors are taken, too. What rounding in float16 makes of the ends is on the scale.

    >>> are_off_scale(answer_logits(np.array([0, 0, 1, 1]), [1.0, 93.0, np.nan, -0.5], 3), PROBABILITIES).tolist()
    [False, True, False, True]
    """
    order, has = orders_of_answers(logits)
    return has & _are_beyond(order, scale)


def _are_beyond(order: Array, scale: str) -> Array:
    least, most = SCALES[scale]
    return (order < least - _ROUNDED) | (order > most + _ROUNDED)


def scale_of_answers(logits: Values) -> str | None:
    """Return the first of ``SCALES`` that all confidences of made logits (n, K) are on; None if they are on none."""
    order, has = orders_of_answers(logits)
    return scale_of_orders(order[has])


def scale_of_orders(order: Floats) -> str | None:
    """Return the first of ``SCALES`` that all these orders of confidences are on; None if they are on none."""
    for scale in SCALES:
        if not _are_beyond(order, scale).any():
            return scale
    return None


def require_scales(arrays: Arrays, scales: Mapping[str, str | None], known: str) -> None:
    """Raise unless some arrays hold answers, with confidences on the scale that all of the ``known`` rows were on."""
    for name, scale in scales.items():
        made = are_made(arrays[name])
        if not made.all():
            raise SteepslopeError(
                f"expected a class and a confidence a row (from_answers), as in the {known}, "
                f"found logits in row {int(made.argmin())}",
                name,
            )
        if scale is None:
            continue
        is_off = are_off_scale(arrays[name], scale)
        if is_off.any():
            found = f"found others in row {int(is_off.argmax())}"
            place = CONFIDENCE if name == LOGITS else name
            raise SteepslopeError(f"expected {scale}, as in the {known}, {found}", place)


def are_answers(logits: Values) -> bool:
    """Return whether logits (n, K) are made of answers in all rows that are not lacking (NaN), and there are such.

    >>> are_answers(np.array([[UNSAID, 2.5], [np.nan, np.nan]])), are_answers(np.array([[0.0, 2.5]]))
    (True, False)
    """
    if np.isnan(logits[:, 0]).all():
        return False
    return all(are_made(np.asarray(logits[rows])).all() for rows in blocks(len(logits)))


def are_made(logits: Any) -> Any:
    """Return which rows of logits (n, K) are made of an answer, or are NaN, booleans (n,); tensors are taken, too."""
    others = (logits != UNSAID) & (logits == logits)
    return others.sum(1) <= 1


def is_unanswered(logits: Any) -> Any:
    """Return which rows have no answer, (n,), of logits (n, K), also of tensors."""
    return (logits == UNSAID).all(1)


def answers_in_classes(logits: Values, places: Sequence[int], num_classes: int) -> Floats:
    """Return made logits of other classes (m, K') as those of ``num_classes`` classes, (m, K), by ``places`` (K',).

    A row whose class has no place (−1) is ``UNSAID``: its answer is none of these classes. A row of NaN stays so.
    """
    rows = np.arange(len(logits))
    predicted = logits.argmax(axis=1)
    strength = np.asarray(logits[rows, predicted], dtype=np.float64) - UNSAID
    gained = np.log(num_classes - 1) - np.log(max(1, logits.shape[1] - 1))
    rising = strength_of_order(_order_of_strength(strength) + gained)
    strength_here = np.where(strength > MISSED, rising, _MISSING)
    made = np.full((len(logits), num_classes), UNSAID)
    made[np.isnan(logits[:, 0])] = np.nan
    place = np.asarray(places)[predicted]
    is_there = (place >= 0) & (strength > 0)
    made[rows[is_there], place[is_there]] += strength_here[is_there]
    return made


def _places_of_answers(predicted: Texts, names: Sequence[str]) -> dict[str, int]:
    """Return the number of each distinct answer among the names of the classes, as far as it is one of these."""
    meaning = predicted.known({name: number for number, name in enumerate(names)})
    if any(map(str.isdecimal, names)):
        return meaning
    for text, number in whole_numbers_among(predicted.distinct).items():
        if 0 <= number < len(names):
            meaning[text] = number
    return meaning


def coded_answers(predicted: Texts, names: Sequence[str], place: str = PREDICTED, is_new: bool = False) -> Counts:
    """Return predicted classes as their numbers among the names, (n,); raise for one that is missing or not there.

    Among new rows, which have no labels, such a row is −1, with a warning: it has no answer, and goes to review.
    """
    meaning = _places_of_answers(predicted, names)
    if is_new:
        warn_of_unknown_labels(place, predicted, meaning, names, "no answer, for review")
        meaning = dict.fromkeys(predicted.distinct, UNKNOWN) | meaning
    expected = f"an answer in each row, one of the classes {listed_names(names)} (leave other rows to a person)"
    return predicted.numbers(meaning, expected, place, names)


def opinion_of_answers(predicted: Texts, confidence: Any, names: Sequence[str]) -> Floats:
    """Return the made logits (n, K) of answers among the names of the classes.

    A row without an answer is NaN, and one whose answer is none of the classes is ``UNSAID``.
    """
    places = _places_of_answers(predicted, names)
    codes = np.array([places.get(text, UNKNOWN) for text in predicted.distinct], dtype=np.int64)[predicted.codes]
    logits = answer_logits(codes, confidence, len(names))
    unanswered = []
    for code, text in enumerate(predicted.distinct):
        if text not in places and _says_nothing(text):
            unanswered.append(code)
    logits[np.isin(predicted.codes, unanswered)] = np.nan
    return logits


def labels_of_grades(grades: Texts, place: str) -> Counts:
    """Return the places in ``GRADES`` of whether answers are right, (n,); raise at a place where one does not say."""
    known = {}
    for text in grades.distinct:
        if text.lower() in TRUTH_OF_TEXT:
            known[text] = TRUTH_OF_TEXT[text.lower()]
    return grades.numbers(known, "true or false, 1 or 0, yes or no", place)


def names_of_answers(predicted: Texts, labels: Texts | None = None) -> list[str]:
    """Return the distinct names of predictions and labels, in order: whole numbers are places among 0…K−1.

    Raises
    ------
    SteepslopeError
        If a number is no place, or there are fewer than two classes.
    """
    texts = set(predicted.distinct)
    if labels is not None:
        texts.update(labels.distinct)
    distinct = sorted(filterfalse(_says_nothing, texts))
    whole = whole_numbers_among(distinct)
    if len(whole) == len(distinct):
        least = min(whole.values(), default=0)
        most = max(whole.values(), default=0)
        if least < 0 or most >= MOST_CLASSES:
            raise SteepslopeError(
                "expected whole numbers from 0, or the names of the classes (classes=, --classes), "
                f"found {least if least < 0 else most}",
                PREDICTED,
            )
        return list(map(str, range(max(2, most + 1))))
    by_case = {name.lower(): name for name in distinct}
    for name in distinct:
        other = by_case[name.lower()]
        if other != name:
            message = f"{name!r} and {other!r} are taken for two classes: write a class in one way"
            warnings.warn(message, UserWarning, stacklevel=4)
            break
    if len(distinct) < 2:
        raise SteepslopeError(
            f"expected at least two classes, found {listed_names(distinct)} alone: name them all (classes=, --classes)",
            PREDICTED,
        )
    return distinct


def are_numbers_from_zero(names: Sequence[str]) -> bool:
    """Return whether the names of classes are but their places."""
    return list(names) == list(map(str, range(len(names))))


def is_no_answer(text: str) -> bool:
    """Return whether a text is what stands where an answer is missing."""
    return text.strip().lower() in NOTHING_THERE


def _says_nothing(text: str) -> bool:
    return is_no_answer(text) or means_unknown_label(text)


def answer_texts(values: Any, place: str = PREDICTED) -> Texts:
    """Return classes that are given by names or numbers, (n,), as text."""
    array = as_array(values, 1)
    if array.ndim != 1:
        raise SteepslopeError(f"expected one class a row, found shape {array.shape}", place)
    return Texts.of_rows([label_as_text(value).strip() for value in array.astype(object)])


def maker_of_answers(answered_by: Texts | str | None) -> str | None:
    """Return what stands for a model in place of a net's digest, from its name or a column of names; None for none.

    >>> maker_of_answers(Texts.of_rows(["gpt-4o-2024-08-06", ""]))
    'answers of gpt-4o-2024-08-06'
    """
    if isinstance(answered_by, Texts):
        names = sorted(filterfalse(is_no_answer, answered_by.distinct))
        if len(names) > 1:
            raise SteepslopeError(
                "expected the answers of one model and version (set it with --answered-by), "
                f"found {listed_names(names)}",
                ANSWERED_BY,
            )
        answered_by = next(iter(names), None)
    if answered_by is None:
        return None
    return f"{ANSWERS_OF}{answered_by}"


def model_of_maker(maker: str | None) -> str | None:
    """Return the name of the model that gave answers; None for a net, or if it is unknown."""
    if maker is None or not maker.startswith(ANSWERS_OF):
        return None
    return maker.removeprefix(ANSWERS_OF)


def maker_in_words(maker: str) -> str:
    """Return who made outputs in words: a model by its name, a net by the first characters of its digest."""
    if maker.startswith(ANSWERS_OF):
        return maker
    return f"outputs of the net with digest {maker[:12]}"
