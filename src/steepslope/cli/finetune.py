"""`steepslope finetune` and `steepslope plan`: an oracle on images, and what its training will cost."""

from pathlib import Path

from steepslope.files.progress import console
from steepslope.nets.training.request import FinetuneRequest


def finetune(out: str, request: FinetuneRequest, replace: bool = False) -> None:
    """Train an oracle on images, as the paper does; killed at any step and run again, it goes on.

    Parameters
    ----------
    out
        Folder for the oracle, its history.csv and, until it is done, the state from which it goes on.
    request
        What the oracle is trained on, and how.
    replace
        Replace an oracle that the folder holds already, trained in another way or on other images.
    """
    from steepslope.nets.training.launch import train_stages

    train_stages(request, Path(out), console().print, replace)


def plan(request: FinetuneRequest, images: int | None = None, trial: int = 2, preset: str | None = None) -> None:
    """Say what a training will cost before it starts: steps, parameters, memory and time, from a few steps on noise.

    The weights of timm's and torchvision's nets are not needed, and not loaded, unless the images of --data have to be
    counted.

    Parameters
    ----------
    request
        What the oracle is to be trained on, and how.
    images
        Number of images to train on; by default that of the data, or where none are named, that of the preset's data.
    trial
        Number of images at once in the steps that are tried.
    preset
        Name of the preset that the request came from.
    """
    from steepslope.lab.paper.preset import training_images
    from steepslope.nets.training.launch import plan_stages

    if images is None and request.data is None and preset is not None:
        images = training_images(preset)
    for line in plan_stages(request, images, trial):
        console().print(line)
