"""An oracle on disk: a sealed card in JSON, with the weights and what the evidence learnt.

Every kind of oracle has a card; its ``kind`` decides which class reads the oracle (``LOADERS``). An oracle is named by
its folder, or by ``hub:user/name``.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError
from steepslope.files.artifact import Artifact
from steepslope.files.folders import field, read_json
from steepslope.files.hub import as_folder, is_hub

CARD = "oracle.json"
WEIGHTS = "oracle.safetensors"
STATES = "evidence.safetensors"
FIT_ROWS = "fit_rows.safetensors"
ORACLE = Artifact("a fitted oracle", CARD, version=5, varying=(STATES, FIT_ROWS))
COLUMNS, FUSED, IMAGES = "columns", "fused", "images"  # the kinds
LOADERS: dict[str, str] = {
    COLUMNS: "steepslope.oracle.columns:Oracle",
    FUSED: "steepslope.oracle.fused:FusedOracle",
    IMAGES: "steepslope.nets.training.on_images:ImageOracle",
}  # the classes whose ``from_card`` reads the rest, by name: to import that for images is to import all of timm
CODE = "module:"  # what specs of one's own code begin with


def names_oracle(name: str) -> bool:
    """Return whether a name stands for an oracle, in a folder or on the Hub, and not for a score."""
    return is_hub(name) or (as_folder(name) / CARD).exists()


def read_card(folder: str | Path) -> dict[str, Any]:
    """Read the card of an oracle by its name, without checking its seal."""
    return read_json(as_folder(folder) / CARD, ORACLE.what)


def kind_of_card(card: dict[str, Any], folder: str | Path) -> str:
    """Return the kind of oracle that the card in a folder is of."""
    return str(field(card, "kind", str, Path(folder) / CARD))


def is_image_oracle(folder: str | Path) -> bool:
    """Return whether the oracle in a folder is one on images."""
    return kind_of_card(read_card(folder), folder) == IMAGES


def require_allowed(folder: str | Path, backbones: Collection[str]) -> None:
    """Raise if an oracle's backbone is code of one's own but of none of these specs: no file gets to name code to run.

    Options of a spec, such as the weights that the classifier has, play no part: an oracle brings its own.
    """
    spec = str(read_card(folder).get("backbone"))
    if spec.startswith(CODE) and spec not in {one.partition("?")[0] for one in backbones}:
        found = f"its backbone is code of your own: allow it by its spec, {spec} (--backbones)"
        raise SteepslopeError(found, Path(folder) / CARD)


def require_runnable(scores: Sequence[str], backbones: Sequence[str]) -> list[Path]:
    """Return the folders of oracles among some scores; raise for one on images whose code may not be run."""
    oracles = [Path(name) for name in scores if names_oracle(name)]
    for folder in filter(is_image_oracle, oracles):
        require_allowed(folder, backbones)
    return oracles
