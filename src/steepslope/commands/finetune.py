"""`steepslope finetune`."""

from pathlib import Path

from steepslope.finetuning.request import FinetuneRequest


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
    from steepslope.finetuning.launch import train_stages
    from steepslope.utilities.progress import console

    train_stages(request, Path(out), console().print, replace)
