"""What `evaluate` reads beside the outputs: their images, and groups."""

from __future__ import annotations

from pathlib import Path

from steepslope.data.images import Dataset
from steepslope.errors import SteepslopeError
from steepslope.evaluation.score import Predictions
from steepslope.finetuning.sources import open_images
from steepslope.metrics import Groups
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.tables import read_groups


def images_of_outputs(outputs: ClassifierOutputs, path: Path, data: str | None) -> Dataset:
    """Open the images of outputs, by a data spec or by what their manifest says."""
    return open_images(outputs, path, data)


def groups_of(named: str | None, predictions: Predictions, path: Path) -> Groups | None:
    """Return the groups that ``--groups`` names; the labels if it names none and there are labels."""
    if isinstance(predictions, ClassifierOutputs) and named in (None, "label", "predicted"):
        return Groups(predictions.predictions if named == "predicted" else predictions.labels)
    if named is None:
        return None
    source, column = (Path(named), "group") if named.endswith((".csv", ".parquet")) else (path, named)
    if source.suffix not in (".csv", ".parquet"):
        raise SteepslopeError(f"groups {named!r}: {path} has no columns; give a .csv or .parquet file of groups")
    found = Groups(*read_groups(source, column))
    if len(found.codes) != len(predictions):
        raise SteepslopeError(f"expected {len(predictions)} groups, one a prediction, found {len(found.codes)}", source)
    return found
