"""An oracle on disk: a sealed card in JSON, with the weights and what the evidence learnt.

Every kind of oracle has a card; its ``kind`` decides which class reads the oracle. An oracle is named by its folder, or
by ``hub:user/name``.
"""

from pathlib import Path
from typing import Any

from steepslope.files.artifact import Artifact
from steepslope.files.folders import field, read_json
from steepslope.files.hub import as_folder, is_hub

CARD = "oracle.json"
WEIGHTS = "oracle.safetensors"
STATES = "evidence.safetensors"
FIT_ROWS = "fit_rows.safetensors"
ORACLE = Artifact("a fitted oracle", CARD, version=5, varying=(STATES, FIT_ROWS))
COLUMNS, FUSED, IMAGES = "columns", "fused", "images"  # the kinds


def names_oracle(name: str) -> bool:
    """Return whether a name stands for an oracle, in a folder or on the Hub, and not for a score."""
    return is_hub(name) or (as_folder(name) / CARD).exists()


def read_oracle_card(folder: str | Path) -> dict[str, Any]:
    """Read the card of an oracle by its name, without checking its seal."""
    return read_json(as_folder(folder) / CARD, ORACLE.what)


def kind_of_oracle_card(card: dict[str, Any], folder: str | Path) -> str:
    """Return the kind of oracle that the card in a folder is of."""
    return str(field(card, "kind", str, Path(folder) / CARD))


def is_image_oracle(folder: str | Path) -> bool:
    """Return whether the oracle in a folder is one on images."""
    return kind_of_oracle_card(read_oracle_card(folder), folder) == IMAGES
