"""The predictions that are worth a look: the most trusted errors, and the least trusted correct ones.

Which rows these are is chosen for each score, and among them some of each class and of each pair of label and
prediction, so that a reader who looks for one class finds it. A card tells what is known of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from steepslope.data.images import Dataset
from steepslope.evaluation.evaluation import Evaluation
from steepslope.evaluation.score import Predictions, Scored
from steepslope.gate.decisions import most_probable
from steepslope.oracle.search import Search
from steepslope.outputs import ClassifierOutputs
from steepslope.report.web.thumbnails import thumbnails

OVERALL = 24  # of each kind, for each score
OF_A_CLASS = 4  # of each kind, for the score that the report is about
CARDS = 400
TOP = 3
NEAREST = 3
NEAREST_SIZE = 48  # pixels
NEAREST_ROOM = 2**19  # bytes
Rows = NDArray[np.int64]
FindImages = Callable[[Sequence[str]], tuple[Dataset, Rows]]  # ids to a data set and rows in it


@dataclass(frozen=True, eq=False)
class Sources:
    """What cards show beside the predictions.

    ``images`` finds the images with some ids, of the evaluated predictions; where there are none, ``no_images`` says
    why. ``reference`` are the classifier's training outputs, for the nearest of them, and ``reference_images`` finds
    theirs. ``sweeps`` are searches for slopes, by name.
    """

    images: FindImages | None = None
    no_images: str = ""
    reference: ClassifierOutputs | None = None
    reference_images: FindImages | None = None
    sweeps: Mapping[str, Search] = field(default_factory=dict)


NO_SOURCES = Sources()


def chosen_rows(predictions: Predictions, scored: Sequence[Scored], leader: int = 0) -> Rows:
    """Return the rows to show, (at most 400,), by their numbers: those of all scores first, then those of classes."""
    kinds = [list(_extremes(one.confidence, predictions.is_correct)) for one in scored]
    parts = [rows[:OVERALL] for pair in kinds for rows in pair]
    if isinstance(predictions, ClassifierOutputs):
        labels, predicted = predictions.require_labels(), predictions.predictions
        for codes in (labels, predicted, labels * predictions.num_classes + predicted):
            parts += [_first_of_each(rows, codes) for rows in kinds[leader]]
    return _distinct(np.concatenate(parts))[:CARDS]


def _extremes(confidence: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> Iterator[Rows]:
    """Yield the errors, most trusted first, and the correct predictions, least trusted first."""
    order = np.argsort(confidence, kind="stable")
    yield order[::-1][~is_correct[order[::-1]]]
    yield order[is_correct[order]]


def _first_of_each(rows: Rows, codes: NDArray[np.int64]) -> Rows:
    """Return the first few rows of each code; the first of all codes come before the second of any."""
    here = codes[rows]
    by_code = np.argsort(here, kind="stable")
    starts = np.flatnonzero(np.diff(here[by_code], prepend=-1))
    place = np.empty(len(rows), dtype=np.int64)
    place[by_code] = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    kept = np.flatnonzero(place < OF_A_CLASS)
    return rows[kept[np.argsort(place[kept], kind="stable")]][:CARDS]


def _distinct(rows: Rows) -> Rows:
    return rows[np.sort(np.unique(rows, return_index=True)[1])]


def cards(evaluation: Evaluation, rows: Rows, sources: Sources = NO_SOURCES) -> list[dict[str, Any]]:
    """Return what is known of some rows, as JSON holds it, a card each.

    ``id``, ``right``, ``confidence`` by score; ``label``, ``predicted`` and the most probable classes as ``top`` where
    there are logits; ``explained`` by score where its trust logit can be split; ``image``; the ``near`` references.
    """
    found = [
        {"id": name, "right": bool(right), "confidence": confidences}
        for name, right, confidences in zip(
            evaluation.ids(rows), evaluation.predictions.is_correct[rows], _confidences(evaluation, rows), strict=True
        )
    ]
    for parts in (_classes(evaluation, rows), _explained(evaluation, rows), _images(evaluation, rows, sources)):
        for card, part in zip(found, parts, strict=False):
            card |= part
    for card, near in zip(found, _nearest(evaluation, rows, sources), strict=False):
        card["near"] = near
    return found


def _confidences(evaluation: Evaluation, rows: Rows) -> list[list[float]]:
    columns = np.array([one.confidence[rows] for one in evaluation.scored])
    return [list(line) for line in np.nan_to_num(columns).T.tolist()]


def _classes(evaluation: Evaluation, rows: Rows) -> Iterator[dict[str, Any]]:
    predictions = evaluation.predictions
    if not isinstance(predictions, ClassifierOutputs):
        return
    names = class_names(predictions)
    top, probabilities = most_probable(predictions.subset(rows), TOP)
    labels = predictions.require_labels()[rows]
    for label, classes, values in zip(labels, top, probabilities, strict=True):
        best = [[names[one], round(float(value), 4)] for one, value in zip(classes, values, strict=True)]
        yield {"label": names[label], "predicted": names[classes[0]], "top": best}


def class_names(outputs: ClassifierOutputs) -> Sequence[str]:
    """Return the names of the classes; their numbers where they have none."""
    return outputs.classes or [str(label) for label in range(outputs.num_classes)]


def _explained(evaluation: Evaluation, rows: Rows) -> Iterator[dict[str, Any]]:
    parts = {one.name: one.explain(rows) for one in evaluation.scored if one.explain is not None}
    for place in range(len(rows)):
        yield {
            "explained": {
                score: {evidence: round(float(values[place]), 2) for evidence, values in added.items()}
                for score, added in parts.items()
            }
        }


def _images(evaluation: Evaluation, rows: Rows, sources: Sources) -> Iterator[dict[str, Any]]:
    if sources.images is not None:
        data, places = sources.images(evaluation.ids(rows))
        yield from ({"image": text} for text in thumbnails(data, places.tolist()))


def _nearest(evaluation: Evaluation, rows: Rows, sources: Sources) -> Iterator[list[dict[str, Any]]]:
    """Yield the nearest references of each row by the classifier's features; none where features are not known."""
    predictions, reference = evaluation.predictions, sources.reference
    if reference is None or not isinstance(predictions, ClassifierOutputs):
        return
    if reference.features is None or predictions.features is None or len(rows) == 0:
        return
    count = min(NEAREST, len(reference))
    index = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(reference.features)
    places = index.kneighbors(predictions.features[rows], return_distance=False)
    names, labels = class_names(reference), reference.require_labels()
    known = dict(zip(np.unique(places).tolist(), _reference_cards(np.unique(places), sources), strict=True))
    for nearest in places:
        yield [{"label": names[labels[place]], **known[int(place)]} for place in nearest]


def _reference_cards(places: Rows, sources: Sources) -> list[dict[str, Any]]:
    """Return id and image of some references, as far as they are known."""
    assert sources.reference is not None
    ids = sources.reference.ids
    names = [str(place) for place in places] if ids is None else [str(ids[place]) for place in places]
    if sources.reference_images is None:
        return [{"id": name} for name in names]
    data, rows = sources.reference_images(names)
    pictures = thumbnails(data, rows.tolist(), NEAREST_SIZE, NEAREST_ROOM)
    return [{"id": name, "image": picture} for name, picture in zip(names, pictures, strict=True)]
