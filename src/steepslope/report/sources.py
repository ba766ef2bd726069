"""What a report's page shows beside numbers: images by their ids, nearest training rows, searches for slopes."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from steepslope.errors import SteepslopeError, reason_of
from steepslope.files.folders import read_json
from steepslope.lab.search import CARD, Search, best_of
from steepslope.nets.training.images import ImageFinder, data_of
from steepslope.outputs import ClassifierOutputs
from steepslope.report.confidences import Predictions
from steepslope.report.evaluation import Ids, row_numbers
from steepslope.report.grid import shortest_tails
from steepslope.report.web.gallery import FindImages, Place, Sources

NOT_WANTED = "they were not wanted"
LONGEST = 300  # letters of why there are no images
ABSOLUTE = re.compile(
    r"""(?<![\w./~])/(?:[^/\n:'"]*[^/\s:'"]/)*[^/\s:'",;)]+"""
)  # folders may have spaces in their names


def report_sources(
    predictions: Predictions,
    path: Path,
    ids: Ids,
    *,
    data: str | None = None,
    images: bool = True,
    reference: ClassifierOutputs | None = None,
    reference_path: str | Path | None = None,
    oracles: Sequence[Path] = (),
) -> Sources:
    """Return what cards show of predictions that were read from a path, and whose rows have the names ``ids``.

    A data spec that is given has to have the first of the images. The one that a manifest names need not be there any
    more: then the report is without images, and says why. Other images may be missing. ``reference`` are training
    outputs, and ``reference_path`` is where they were read.
    """
    found, why = _images(predictions, path, ids, data) if images else (None, NOT_WANTED)
    of_training = None
    if reference is not None and reference_path is not None and found is not None:
        of_training, _ = _images(reference, Path(reference_path), _ids_in(reference))
    return Sources(found, why, reference, of_training, searches(oracles))


def _images(predictions: Predictions, path: Path, ids: Ids, data: str | None = None) -> tuple[FindImages | None, str]:
    """Return what finds images by their ids, or why there are none."""
    if not isinstance(predictions, ClassifierOutputs):
        return None, "the predictions come with a confidence alone"
    try:
        finder = ImageFinder(data_of(path, data), predictions.classes)
        first = ids(np.arange(min(1, len(predictions))))
        finder.places(first) if data is None else finder(first)
    except Exception as error:  # a report needs no images: whatever a data set's own library raises is told in it
        if data is not None:
            raise
        return None, without_folders(reason_of(error))[:LONGEST]
    return partial(_places, finder), ""


def _ids_in(outputs: ClassifierOutputs) -> Ids:
    ids = outputs.ids
    return row_numbers if ids is None else lambda rows: ids[rows].tolist()


def _places(finder: ImageFinder, ids: Sequence[str]) -> Sequence[Place | None]:
    """Return where images are; None of all where what opened before can no longer be read."""
    try:
        return finder.places(ids)
    except Exception:  # as above; the page counts what is missing
        return [None] * len(ids)


def without_folders(text: str) -> str:
    """Return a text in which absolute paths have lost all but their last two names: pages are shown to others.

    >>> without_folders("[Errno 2] No such file: '/home/me/my photos/june/a.png', of idx:/home/me/x, y")
    "[Errno 2] No such file: 'june/a.png', of idx:me/x, y"
    """
    return ABSOLUTE.sub(lambda found: "/".join(found[0].split("/")[-2:]).lstrip("/"), text)


def searches(oracles: Sequence[Path]) -> dict[str, Search]:
    """Return the searches for slopes that found some of these oracles, by their folders' shortest names.

    A file of that name that is damaged, or something else, is left out.
    """
    folders = dict.fromkeys(folder.resolve().parent for folder in oracles)
    found = {folder.as_posix(): _search(folder / CARD) for folder in folders if (folder / CARD).exists()}
    kept = {folder: one for folder, one in found.items() if one is not None}
    return dict(zip(shortest_tails([*kept]), kept.values(), strict=True))


def _search(card: Path) -> Search | None:
    """Return the search that a file holds; None where it holds none that chose slopes."""
    try:
        found = Search.from_json(read_json(card, "a search"), card)
        best_of(found.alpha_neg_trials, found.criterion)
        best_of(found.alpha_pos_trials, found.criterion)
    except (SteepslopeError, ArithmeticError):  # the latter of numbers that no float holds
        return None
    return found
