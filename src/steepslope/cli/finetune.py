"""`steepslope finetune`: an oracle on images."""

from pathlib import Path

from steepslope.files.progress import console
from steepslope.nets.training.request import FinetuneRequest


def finetune(out: str, request: FinetuneRequest, dry_run: bool = False, replace: bool = False) -> None:
    """Train an oracle on images, as the paper does; killed at any step and run again, it goes on.

    Parameters
    ----------
    out
        Folder for the oracle, its history.csv and, until it is done, the state from which it goes on.
    request
        What the oracle is trained on, and how.
    dry_run
        Say what the training will cost: steps, parameters and time, from a few steps on noise. Nothing is written.
    replace
        Replace an oracle that the folder holds already, trained in another way or on other images.
    """
    from steepslope.nets.training.launch import costs_of, train_stages

    if dry_run:
        for line in costs_of(request):
            console().print(line)
        return
    train_stages(request, Path(out), console().print, replace)
