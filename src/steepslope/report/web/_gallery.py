"""The predictions that are worth a look: the most trusted errors, and the least trusted correct ones.

Which rows these are is chosen for each score, and among them some of each class and of each pair of label and
prediction, so that a reader who looks for one class finds it. A card tells what is known of a row; its picture is
small, and is text that the page holds. Images are found by their ids, and so are the nearest training rows.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.errors import reason_of
from steepslope.gate import most_probable_classes
from steepslope.metrics import Bools, Floats
from steepslope.numerics import Counts, nearest_rows
from steepslope.outputs import ClassifierOutputs
from steepslope.report._confidences import Scored
from steepslope.report._evaluation import Evaluation, Ids, ids_of_evaluated

_SIZE = 96  # pixels of the longer side
_NEAREST_SIZE = 48  # of references
_LOSSLESS = 40  # up to this size a PNG is small, and shows each pixel
_QUALITY = 75
NOT_FOUND = "image not found"
UNREADABLE = "image cannot be read"
NO_ROOM = "no room for the image"
OVERALL = 24  # of each kind, for each score, where there is room
OF_A_CLASS = 4  # of each kind, for the score that the report is about
CARDS = 400
_TOP = 3
_NEAREST = 3
ROOM = 3 * 2**19  # bytes of all images
NEAREST_ROOM = 2**19  # of all references' images
_NO_LABEL = "–"
_LONGEST = 300  # letters of why there are no images
# Folders may have spaces in their names.
_ABSOLUTE = re.compile(r"""(?<![\w./~])/(?:[^/\n:'"]*[^/\s:'"]/)*[^/\s:'",;)]+""")
ReadImage = Callable[[], Any]  # of PIL, in 8 bits of grey or colour
FindImages = Callable[[Sequence[str]], Sequence[ReadImage | None]]  # by their ids; None of an image that is not found
OpenImages = Callable[[Path, str | None, ClassifierOutputs, Sequence[str]], FindImages]
# of a folder of outputs, a data spec or None, the outputs, and the id of an image that has to be there


@dataclass(frozen=True, eq=False)
class Sources:
    """What cards show next to the predictions.

    ``images`` finds the images of the evaluated predictions; where there are none, ``no_images`` says why.
    ``reference`` are the classifier's training outputs, for the nearest of them, and ``reference_images`` finds theirs.
    """

    images: FindImages | None = None
    no_images: str = ""
    reference: ClassifierOutputs | None = None
    reference_images: FindImages | None = None


NO_SOURCES = Sources()


@dataclass(frozen=True, eq=False)
class Gallery:
    """Cards and the references that they name by their places, as JSON holds them.

    ``of_each`` is how many of each kind, errors and correct predictions, every score has among the cards: the extremes
    of all its rows. ``notes`` tell what is missing.
    """

    cards: Sequence[dict[str, Any]]
    references: Sequence[dict[str, Any]]
    of_each: int
    notes: Sequence[str]

    @property
    def data(self) -> dict[str, Any]:
        """What a page's script reads."""
        return {"cards": self.cards, "references": self.references, "of_each": self.of_each}


def gallery(evaluation: Evaluation, leader: int = 0, sources: Sources = NO_SOURCES) -> Gallery:
    """Return the gallery of an evaluation whose report is about the score at the place ``leader``."""
    rows, of_each = _gallery_rows(evaluation.predictions, evaluation.rows, leader)
    cards = _cards(evaluation, rows, sources)
    notes = [f"Without images: {sources.no_images}."] if sources.no_images else []
    missing = sum(card.get("no_image") == NOT_FOUND for card in cards)
    if missing:
        notes.append(f"{missing} of {len(cards)} images were not found by their ids.")
    references, why = _add_nearest(cards, evaluation.predictions, rows, sources)
    if why:
        notes.append(f"Without the nearest training rows: {why}.")
    return Gallery(cards, references, of_each, notes)


def _gallery_rows(predictions: ClassifierOutputs, scored: Sequence[Scored], leader: int = 0) -> tuple[Counts, int]:
    """Return the rows to show, (at most 400,), by their numbers, and how many of each kind every score has of them.

    The scores take turns, the leader first: the first of each kind for all scores, then the second. Where there is room
    left, some of each class follow.
    """
    order = [scored[leader], *scored[:leader], *scored[leader + 1 :]]
    kinds = [_extremes(score.confidence, predictions.is_correct) for score in order]
    tops = [rows[:OVERALL] for rows in chain.from_iterable(kinds)]
    ranks = np.concatenate([np.arange(len(rows)) for rows in tops])
    candidates = [np.concatenate(tops)[np.argsort(ranks, kind="stable")]]
    labels = predictions.require_labels() + 1  # 0 is none of the classes
    predicted = predictions.predictions
    for codes in (labels, predicted, labels * predictions.num_classes + predicted):
        candidates += [_first_of_each(rows, codes) for rows in kinds[0]]
    rows = np.concatenate(candidates)
    chosen = rows[np.sort(np.unique(rows, return_index=True)[1])][:CARDS]
    of_each = OVERALL
    for top in tops:
        is_there = np.isin(top, chosen)
        if not is_there.all():
            of_each = min(of_each, int(is_there.argmin()))
    return chosen, of_each


def _extremes(confidence: Floats, is_correct: Bools) -> tuple[Counts, Counts]:
    """Return the errors, most trusted first, and the correct predictions, least trusted first."""
    order = np.argsort(confidence, kind="stable")
    right = is_correct[order]
    return order[~right][::-1], order[right]


def _first_of_each(rows: Counts, codes: Counts) -> Counts:
    """Return the first few rows of each code; the first of all codes come before the second of any."""
    here = codes[rows]
    by_code = np.argsort(here, kind="stable")
    starts = np.flatnonzero(np.diff(here[by_code], prepend=-1))
    place = np.empty(len(rows), dtype=np.int64)
    place[by_code] = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    first = np.flatnonzero(place < OF_A_CLASS)
    return rows[first[np.argsort(place[first], kind="stable")]][:CARDS]


def _cards(evaluation: Evaluation, rows: Counts, sources: Sources) -> list[dict[str, Any]]:
    """Return what is known of some rows, as JSON holds it, a card each.

    ``id``, ``right``, ``confidence`` by score; ``label``, ``predicted`` and the most probable classes as ``top`` where
    there are logits; ``explained`` by score where its trust logit can be split; ``described``, what the input is;
    ``image``; the ``near`` references.
    """
    predictions = evaluation.predictions
    ids = evaluation.ids(rows)
    names = predictions.label_names
    labels = predictions.require_labels()
    top, probabilities = most_probable_classes(predictions.subset(rows), _TOP)
    split = {score.name: score.explain(rows) for score in evaluation.rows if score.explain is not None}
    described = None if evaluation.described is None else evaluation.described(rows)
    cards: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        likely = zip(top[place], probabilities[place].tolist(), strict=True)
        explained = {}
        for score, added in split.items():
            explained[score] = {evidence: round(float(values[place]), 2) for evidence, values in added.items()}
        card = {
            "id": ids[place],
            "right": bool(predictions.is_correct[row]),
            "confidence": [float(np.nan_to_num(score.confidence[row])) for score in evaluation.rows],
            "top": [[names[number], round(probability, 4)] for number, probability in likely],
            "label": names[labels[row]],
            "predicted": names[top[place][0]],
            "explained": explained,
        }
        if described is not None:
            card["described"] = described[place]
        cards.append(card)
    if sources.images is not None:
        _add_images(cards, sources.images, ROOM, _SIZE)
    return cards


def _add_images(cards: Sequence[dict[str, Any]], find: FindImages, room: int, size: int) -> None:
    images = find([card["id"] for card in cards])
    for card, image in zip(cards, _gallery_thumbnails(images, room, size), strict=False):
        card |= image


def _add_nearest(
    cards: Sequence[dict[str, Any]], predictions: ClassifierOutputs, rows: Counts, sources: Sources
) -> tuple[list[dict[str, Any]], str]:
    """Give each card the places of its ``near`` references in a list of all such; return that, and why it is empty."""
    reference = sources.reference
    features = predictions.features
    if reference is None:
        return [], ""
    if features is None:
        return [], "the predictions come without features"
    if reference.features is None:
        return [], "the reference comes without features"
    width = features.shape[1]
    expected = reference.features.shape[1]
    if width != expected:
        return [], f"the reference has {expected} features a row, the predictions have {width}"
    number: dict[int, int] = {}
    for card, near in zip(cards, nearest_rows(features[rows], reference.features, _NEAREST), strict=True):
        card["near"] = [number.setdefault(place, len(number)) for place in near[near >= 0].tolist()]
    return _references(reference, number, sources.reference_images), ""


def _references(training: ClassifierOutputs, places: Iterable[int], find: FindImages | None) -> list[dict[str, Any]]:
    """Return id, label and image of some references, as far as they are known."""
    ids = training.ids
    labels = training.labels
    names = training.label_names
    references: list[dict[str, Any]] = []
    for place in places:
        reference = {"id": str(place if ids is None else ids[place])}
        reference["label"] = _NO_LABEL if labels is None else names[labels[place]]
        references.append(reference)
    if find is not None:
        _add_images(references, find, NEAREST_ROOM, _NEAREST_SIZE)
    return references


def _gallery_thumbnails(images: Iterable[ReadImage | None], room: int, size: int = _SIZE) -> Iterator[dict[str, str]]:
    """Yield each ``image`` as a data URI, or as ``no_image`` why there is none; all take ``room`` at most.

    The room is counted in bytes. The first image that does not fit is the last that is tried.
    """
    for read in images:
        if read is None:
            yield {"no_image": NOT_FOUND}
            continue
        text = _gallery_thumbnail(read, size) if room > 0 else ""
        if text is None:
            yield {"no_image": UNREADABLE}
        elif text and len(text) <= room:
            room -= len(text)
            yield {"image": text}
        else:
            room = 0
            yield {"no_image": NO_ROOM}


def _gallery_thumbnail(read: ReadImage, size: int = _SIZE) -> str | None:
    """Return the data URI of an image at most ``size`` pixels high and wide: a PNG if it is tiny, else a WebP.

    None if it cannot be read or shown.
    """
    buffer = io.BytesIO()
    try:
        picture = read().copy()
        picture.thumbnail((size, size))
        if max(picture.size) <= _LOSSLESS:
            kind = "png"
            picture.save(buffer, format=kind, optimize=True)
        else:
            kind = "webp"
            picture.save(buffer, format=kind, quality=_QUALITY)
    except Exception:  # of a damaged file, each decoder raises its own; a report needs no images
        return None
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def report_sources(
    open_images: OpenImages | None,
    predictions: ClassifierOutputs,
    path: Path,
    ids: Ids,
    *,
    data: str | None = None,
    reference: ClassifierOutputs | None = None,
    reference_path: str | Path | None = None,
) -> Sources:
    """Return what cards show of predictions that were read from a path, and whose rows have the names ``ids``.

    If a data spec is given, it must have the first of the images. The spec in a manifest may lead nowhere by now; then
    the report has no images, and says why. Other images may be missing. Without ``open_images``, no images are wanted.
    ``reference`` are training outputs that were read from ``reference_path``.
    """
    if open_images is None:
        return Sources(None, "they were not wanted", reference)
    find_images, why = _image_source(open_images, predictions, path, ids, data)
    of_training = None
    if reference is not None and reference_path is not None and find_images is not None:
        of_training, _ = _image_source(open_images, reference, Path(reference_path), ids_of_evaluated(reference))
    return Sources(find_images, why, reference, of_training)


def _image_source(
    open_images: OpenImages, predictions: ClassifierOutputs, path: Path, ids: Ids, data: str | None = None
) -> tuple[FindImages | None, str]:
    """Return what finds images by their ids, or why there are none."""
    try:
        find = open_images(path, data, predictions, ids(np.arange(min(1, len(predictions)))))
    except Exception as error:  # a report needs no images: it tells what the data set's own library raised
        if data is not None:
            raise
        return None, _without_folders(reason_of(error))[:_LONGEST]

    def found(ids: Sequence[str]) -> Sequence[ReadImage | None]:
        try:
            return find(ids)
        except Exception:  # what could be opened before can no longer be read; the page counts what is missing
            return [None] * len(ids)

    return found, ""


def _without_folders(text: str) -> str:
    """Return a text in which absolute paths have lost all but their last two names: pages are shown to others.

    >>> _without_folders("[Errno 2] No such file: '/home/me/my photos/june/a.png', of idx:/home/me/x, y")
    "[Errno 2] No such file: 'june/a.png', of idx:me/x, y"
    """
    return _ABSOLUTE.sub(lambda found: "/".join(found[0].split("/")[-2:]).lstrip("/"), text)
