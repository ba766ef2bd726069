"""An oracle on disk: a sealed card in JSON, the weights, and the states of the evidence.

The ``kind`` on the card decides which class reads the oracle. An oracle is named by its folder, or by
``hub:user/name``.
"""

from pathlib import Path
from typing import Any

from steepslope.files import Artifact, field, folder_or_hub_snapshot, is_hub, read_json
from steepslope.outputs import CLASSES, is_signal_array, opinion_of_array

CARD = "oracle.json"
RECORD = "fit_set"  # what is remembered of it, in the card
WEIGHTS = "oracle.safetensors"
STATES = "evidence.safetensors"
FIT_ROWS = "fit_rows.safetensors"
ORACLE = Artifact("a fitted oracle", CARD, version=6, varying=(STATES, FIT_ROWS))
# The kinds of oracles.
COLUMNS = "columns"
FUSED = "fused"
IMAGES = "images"


def names_oracle(name: str) -> bool:
    """Return whether a name means an oracle, in a folder or on the Hub, and not a score."""
    return is_hub(name) or is_oracle(name)


def is_oracle(name: str) -> bool:
    """Return whether there is an oracle in a folder, or on the Hub, and not a gate."""
    return (folder_or_hub_snapshot(name) / CARD).exists()


def read_oracle_card(folder: str | Path) -> dict[str, Any]:
    """Read the card of an oracle by its name, without checking its seal."""
    return read_json(folder_or_hub_snapshot(folder) / CARD, ORACLE.what)


def classes_of_oracle(name: str) -> tuple[str, ...] | None:
    """Return the names of the classes that an oracle was fitted for, or their numbers; None if unknown."""
    record = read_oracle_card(name).get(RECORD) or {}
    if CLASSES in record:
        return tuple(record[CLASSES])
    shape = record.get("shapes", {}).get("logits")
    if shape is None:
        return None
    return tuple(map(str, range(shape[0])))


def signals_of_oracle(name: str) -> tuple[str, ...]:
    """Return the names of the signals in the outputs that an oracle was fitted to."""
    record = read_oracle_card(name).get(RECORD) or {}
    signals = filter(is_signal_array, record.get("shapes", {}))
    return tuple(map(opinion_of_array, signals))


def kind_of_oracle_card(card: dict[str, Any], folder: str | Path) -> str:
    """Return the kind of oracle on the card in a folder."""
    return str(field(card, "kind", str, Path(folder) / CARD))


def is_image_oracle(folder: str | Path) -> bool:
    """Return whether the oracle in a folder is one on images."""
    return kind_of_oracle_card(read_oracle_card(folder), folder) == IMAGES
