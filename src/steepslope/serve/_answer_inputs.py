"""Answers in place of arrays: a served gate of answers takes ``prediction`` and ``confidence``, and makes logits.

Graded answers have no prediction, and where the calibration rows had no confidence, only their signals are taken. An
opinion has ``prediction_NAME`` and ``confidence_NAME``. Predictions are text, or numbers if the classes have no
names. A confidence may be missing (null), and so may an opinion. A prediction that is none of the classes is no error:
its label is −1, and it is not accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.nets.export import Arrays, ArraySpec
from steepslope.outputs import (
    CONFIDENCE,
    GRADES,
    NO_CONFIDENCES,
    UNSAID,
    answer_logits,
    answer_texts,
    is_opinion_array,
    opinion_of_answers,
    opinion_of_array,
    require_scales,
)
from steepslope.serve._served import Served, served_row_count

PREDICTION = "prediction"


def taking_answers(served: Served) -> Served:
    """Return a model that takes answers and makes the arrays of them that its card names; another model as it is."""
    if not served.card.answers:
        return served
    inputs = tuple(spec for array in served.inputs for spec in _inputs_of_array(served, array))

    def run(parts: Sequence[Arrays], top: int) -> list[Arrays]:
        made = [{spec.name: _array_of_inputs(served, spec, part) for spec in served.inputs} for part in parts]
        return served.run(made, top)

    return replace(served, inputs=inputs, run=run)


def _inputs_of_array(served: Served, array: ArraySpec) -> list[ArraySpec]:
    if array.name not in served.card.answers:
        return [array]
    end = f"_{opinion_of_array(array.name)}" if is_opinion_array(array.name) else ""
    prediction = ArraySpec(f"{PREDICTION}{end}", np.int64 if served.card.classes is None else np.object_, (None,))
    is_graded = not end and served.card.classes == GRADES  # all answers are taken for right
    confidence = ArraySpec(f"{CONFIDENCE}{end}", np.float64, (None,))
    if is_graded:
        if served.card.answers[array.name] == NO_CONFIDENCES:
            return []
        return [confidence]
    return [prediction, confidence]


def _array_of_inputs(served: Served, array: ArraySpec, part: Arrays) -> NDArray[Any]:
    """Return an array that the model takes: logits that are made of answers, or what came of that name."""
    if array.name not in served.card.answers:
        return part[array.name]
    inputs = _inputs_of_array(served, array)
    if not inputs:  # graded answers without a confidence
        right = np.ones(served_row_count(part), np.int64)
        return answer_logits(right, None, len(GRADES)).astype(array.dtype)
    *predictions, confidence = (part[one.name] for one in inputs)
    count, names = array.shape[1], served.card.classes
    assert count is not None
    if predictions:
        logits = opinion_of_answers(answer_texts(predictions[0]), confidence, names or [*map(str, range(count))])
    else:
        logits = answer_logits(np.ones(len(confidence), np.int64), confidence, count)
    place = inputs[-1].name
    require_scales({place: logits}, {place: served.card.answers[array.name]}, "calibration rows")
    if not is_opinion_array(array.name):
        logits[np.isnan(logits).any(axis=1)] = UNSAID
    return logits.astype(array.dtype)
