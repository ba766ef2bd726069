"""`steepslope finetune`: an oracle on images."""

from pathlib import Path

from steepslope.cli._parser import showing_first
from steepslope.files import say
from steepslope.nets.training import FinetuneRequest


@showing_first("oracle", "data", "classifier", "outputs", "loss", "dry_run", "out")
def finetune(out: str, request: FinetuneRequest, dry_run: bool = False, replace: bool = False) -> None:
    """Train an oracle on images, as the paper does; killed at any step and run again, it goes on.

    ``--config mnist`` trains as the paper does on MNIST, but for the options that are given; --help-all has all names.

    Parameters
    ----------
    out
        Folder for the oracle, its history.csv and, until it is done, the state from which it goes on.
    request
        What the oracle is trained on, and how.
    dry_run
        Open all that is named, say what the training will cost, in parameters, steps and hours, and write nothing.
    replace
        Replace an oracle that the folder holds already, trained in another way or on other images.
    """
    from steepslope.nets.training import costs_of_stages, train_stages

    if dry_run:
        for line in costs_of_stages(request):
            say(line)
        return
    train_stages(request, Path(out), say, replace)
