"""`steepslope plan`."""

from steepslope.finetuning.request import FinetuneRequest


def plan(request: FinetuneRequest, images: int | None = None, trial: int = 2) -> None:
    """Say what a training will cost before it starts: steps, parameters, memory and time, from a few steps on noise.

    With --images the weights of timm's and torchvision's nets are not needed, and not loaded.

    Parameters
    ----------
    request
        What the oracle is to be trained on, and how.
    images
        Number of images to train on; by default those of --data are counted.
    trial
        Number of images at once in the steps that are tried.
    """
    from steepslope.finetuning.launch import plan_stages
    from steepslope.utilities.progress import console

    for line in plan_stages(request, images, trial):
        console().print(line)
