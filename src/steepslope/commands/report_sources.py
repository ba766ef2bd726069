"""What the page of a report shows beside numbers: images by their ids, the nearest training rows, searches for slopes.

It imports torch plainly, so commands import it inside their functions.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from steepslope.commands.search import CARD
from steepslope.evaluation.score import Predictions
from steepslope.finetuning.images import ImageFinder, data_of
from steepslope.oracle.search import Search
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.formats import ids_of
from steepslope.outputs.reading import AS_WRITTEN, ReadingOptions
from steepslope.report.web.gallery import FindImages, Sources
from steepslope.utilities.files import read_json

NOT_WANTED = "they were not wanted"


def report_sources(
    predictions: Predictions,
    path: Path,
    *,
    data: str | None = None,
    images: bool = True,
    reading: ReadingOptions = AS_WRITTEN,
    reference: tuple[ClassifierOutputs, Path] | None = None,
    oracles: Sequence[Path] = (),
) -> Sources:
    """Return what cards show of predictions that were read from a path.

    A data spec that is given has to have the images. The one that a manifest names need not be there any more: then
    the report is without images, and says why. ``reference`` are training outputs and where they were read.
    """
    found, why = _images(predictions, path, data, reading) if images else (None, NOT_WANTED)
    training = None if reference is None else reference[0]
    of_training = None if reference is None or found is None else _images(*reference)[0]
    return Sources(found, why, training, of_training, searches(oracles))


def _images(
    predictions: Predictions, path: Path, data: str | None = None, reading: ReadingOptions = AS_WRITTEN
) -> tuple[FindImages | None, str]:
    """Return what finds images by their ids, or why there are none."""
    if not isinstance(predictions, ClassifierOutputs):
        return None, "the predictions come with a confidence alone"
    try:
        find = ImageFinder(data_of(path, data), predictions.classes)
        find(ids_of(path, np.arange(1), reading))
    except Exception as error:  # a report needs no images: whatever a data set's own library raises is told in it
        if data is not None:
            raise
        return None, str(error).splitlines()[0]
    return find, ""


def searches(oracles: Sequence[Path]) -> dict[str, Search]:
    """Return the searches for slopes that found some of these oracles, by the names of their folders."""
    cards = {folder: folder.resolve().parent / CARD for folder in oracles}
    return {
        str(folder.resolve().parent.name): Search.of_json(read_json(card, "a search"), card)
        for folder, card in cards.items()
        if card.exists()
    }
