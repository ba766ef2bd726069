"""What a report's page shows next to the numbers: images by their ids, and the nearest training rows."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.errors import reason_of
from steepslope.outputs import ClassifierOutputs
from steepslope.report.evaluation import Ids, evaluation_row_numbers

NOT_WANTED = "they were not wanted"
LONGEST = 300  # letters of why there are no images
ABSOLUTE = re.compile(
    r"""(?<![\w./~])/(?:[^/\n:'"]*[^/\s:'"]/)*[^/\s:'",;)]+"""
)  # folders may have spaces in their names
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
        return Sources(None, NOT_WANTED, reference)
    find_images, why = _image_source(open_images, predictions, path, ids, data)
    of_training = None
    if reference is not None and reference_path is not None and find_images is not None:
        names = reference.ids
        ids = evaluation_row_numbers if names is None else lambda rows: names[rows].tolist()
        of_training, _ = _image_source(open_images, reference, Path(reference_path), ids)
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
        return None, without_source_folders(reason_of(error))[:LONGEST]

    def found(ids: Sequence[str]) -> Sequence[ReadImage | None]:
        try:
            return find(ids)
        except Exception:  # what could be opened before can no longer be read; the page counts what is missing
            return [None] * len(ids)

    return found, ""


def without_source_folders(text: str) -> str:
    """Return a text in which absolute paths have lost all but their last two names: pages are shown to others.

    >>> without_source_folders("[Errno 2] No such file: '/home/me/my photos/june/a.png', of idx:/home/me/x, y")
    "[Errno 2] No such file: 'june/a.png', of idx:me/x, y"
    """
    return ABSOLUTE.sub(lambda found: "/".join(found[0].split("/")[-2:]).lstrip("/"), text)
