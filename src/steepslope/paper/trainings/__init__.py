"""Trainings as data: a YAML file a preset, whose comments name the source of each number.

Presets for ``train-classifier`` end in ``-classifier``. All others are for ``finetune`` and ``plan``, and are named
after the data, or after the data, the oracle and the classifier: ``imagenet-vit-resnet``. The command line takes the
file of ``--preset NAME`` as a config.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from steepslope.errors import require_known

IMAGES = {"mnist": 60_000, "fashion-mnist": 60_000, "cifar10": 50_000, "imagenet": 1_281_167}  # training images


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
    """Return the settings of a preset.

    >>> preset("mnist-classifier")["optimizer"]
    'sgd'
    """
    settings: dict[str, Any] = yaml.safe_load(preset_file(name).read_text(encoding="utf-8"))
    return settings


def training_images(name: str) -> int | None:
    """Return how many images a preset trains on: those of its data, less those that its classifier holds out.

    >>> training_images("mnist"), training_images("imagenet-vit-vit")
    (54000, 1281167)
    """
    known = _files()
    require_known("preset", name, known)
    data = next((one for one in IMAGES if name == one or name.startswith(f"{one}-")), None)
    if data is None:
        return None
    classifier = f"{data}-classifier"
    return IMAGES[data] - (int(preset(classifier)["holdout"]) if classifier in known else 0)


def presets_of(options: Iterable[str]) -> list[str]:
    """Return the names of the presets that set nothing but these options."""
    known = set(options)
    return [name for name in sorted(_files()) if set(preset(name)) <= known]


def _files() -> dict[str, Path]:
    return {path.stem: path for path in Path(__file__).parent.glob("*.yaml")}
