"""Trainings as data: each file says where its numbers come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steepslope.errors import unknown_name


def preset_file(name: str) -> Path:
    """Return the file of a preset.

    Raises
    ------
    SteepslopeError
        If there is none of that name.
    """
    known = {path.stem: path for path in Path(__file__).parent.glob("*.yaml")}
    if name not in known:
        raise unknown_name("preset", name, known)
    return known[name]


def preset(name: str) -> dict[str, Any]:
    """Return what a preset says.

    >>> preset("mnist-classifier")["optimizer"]
    'sgd'
    """
    import yaml

    says: dict[str, Any] = yaml.safe_load(preset_file(name).read_text(encoding="utf-8"))
    return says
