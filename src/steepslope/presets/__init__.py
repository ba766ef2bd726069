"""Trainings as data: each file says where its numbers come from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from steepslope.errors import require_known


def preset_file(name: str) -> Path:
    """Return the file of a preset.

    Raises
    ------
    SteepslopeError
        If there is none of that name.
    """
    known = _files()
    require_known("preset", name, known)
    return known[name]


def preset(name: str) -> dict[str, Any]:
    """Return what a preset says.

    >>> preset("mnist-classifier")["optimizer"]
    'sgd'
    """
    says: dict[str, Any] = yaml.safe_load(preset_file(name).read_text(encoding="utf-8"))
    return says


def presets_of(options: Iterable[str]) -> list[str]:
    """Return the names of the presets that say nothing but these options."""
    known = set(options)
    return [name for name in sorted(_files()) if set(preset(name)) <= known]


def _files() -> dict[str, Path]:
    return {path.stem: path for path in Path(__file__).parent.glob("*.yaml")}
