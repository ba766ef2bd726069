"""Oracles of any kind from their folders; what runs nets is imported for an oracle on images alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from steepslope.errors import SteepslopeError
from steepslope.oracle import CARD, BaseOracle, Oracle, is_image_oracle, read_oracle_card
from steepslope.outputs import ClassifierOutputs

if TYPE_CHECKING:
    from steepslope.nets.data import Dataset

CODE = "module:"  # what specs of one's own code begin with
OpenImages = Callable[[ClassifierOutputs], "Dataset"]


def load_oracle(
    folder: str | Path, backbones: Collection[str] = (), images: OpenImages | None = None, device: str | None = None
) -> BaseOracle:
    """Read an oracle of any kind; an error names the file and the field.

    No file decides which code is run: if the oracle's backbone is code of one's own, ``module:…``, it must be one of
    ``backbones``. ``images`` opens the images of the outputs that an oracle on images judges, on the ``device``, of
    which ``auto`` is a GPU where there is one.
    """
    if not is_image_oracle(folder):
        return Oracle.load(folder)
    from steepslope.nets.training._on_images import ImageOracle  # with timm

    oracle = ImageOracle.load(folder, backbones)
    if images is None:
        return oracle
    return oracle.on(images, device=device)


def require_allowed_backbone(folder: str | Path, backbones: Collection[str]) -> None:
    """Raise if an oracle's backbone is code of one's own but of none of these specs: no file gets to name code to run.

    Options of a spec, such as the weights that the classifier has, play no part: an oracle brings its own.
    """
    spec = str(read_oracle_card(folder).get("backbone"))
    if spec.startswith(CODE) and spec not in {allowed.partition("?")[0] for allowed in backbones}:
        found = f"its backbone is code of your own: allow it by its spec, {spec} (--backbones)"
        raise SteepslopeError(found, Path(folder) / CARD)
