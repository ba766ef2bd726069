"""`steepslope finetune`: an oracle on images, or what its training will cost."""

from collections.abc import Mapping
from pathlib import Path

from steepslope.cli.parser import with_presets
from steepslope.files.progress import console
from steepslope.nets.training.request import FinetuneRequest


def _presets() -> Mapping[str, Path]:
    from steepslope.lab.paper.preset import training_files

    return training_files(of_classifiers=False)


@with_presets(_presets)
def finetune(
    out: str, request: FinetuneRequest, dry_run: bool = False, replace: bool = False, preset: str | None = None
) -> None:
    """Train an oracle on images, as the paper does; killed at any step and run again, it goes on.

    Parameters
    ----------
    out
        Folder for the oracle, its history.csv and, until it is done, the state from which it goes on.
    request
        What the oracle is trained on, and how.
    dry_run
        Say what the training will cost, and do nothing else: steps, parameters, memory and time, from a few steps on
        noise. Without --data, the number of images is that of the preset's data. Weights of timm's and torchvision's
        nets are not needed.
    replace
        Replace an oracle that the folder holds already, trained in another way or on other images.
    preset
        Name of the preset that the request came from.
    """
    from steepslope.nets.training.launch import plan_stages, train_stages

    if not dry_run:
        train_stages(request, Path(out), console().print, replace)
        return
    from steepslope.lab.paper.preset import training_images

    images = None if preset is None or request.data is not None else training_images(preset)
    for line in plan_stages(request, images):
        console().print(line)
