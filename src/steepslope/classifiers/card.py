"""The card of a checkpoint: what a trained classifier records about itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from steepslope.classifiers.nets import NETS
from steepslope.errors import require_known
from steepslope.utilities.files import field, positive, read_json

CARD = "classifier.json"


@dataclass(frozen=True)
class ClassifierCard:
    """The net, its input, and the training rows that it never saw.

    ``mean`` and ``std`` are of pixels scaled to [0, 1]; ``holdout`` and ``split_seed`` rebuild the split of the
    training images, which ``fingerprint`` recognises under any name.
    """

    net: str
    num_classes: int
    mean: float
    std: float
    data: str
    fingerprint: str
    holdout: int
    split_seed: int
    training: dict[str, Any]


def read_card(folder: Path) -> ClassifierCard:
    """Read a checkpoint's card, and check each of its fields."""
    path = folder / CARD
    content = read_json(path, "a classifier checkpoint")
    kinds = get_type_hints(ClassifierCard)
    card = ClassifierCard(
        **{name: field(content, name, get_origin(kind) or kind, path) for name, kind in kinds.items()}
    )
    positive(content, "num_classes", path)
    require_known(f"net in {path}:", card.net, NETS)
    return card
