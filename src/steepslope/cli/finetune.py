"""`steepslope finetune`: an oracle on images."""

from collections.abc import Mapping
from pathlib import Path

from steepslope.cli.parser import showing_first, with_presets
from steepslope.files.progress import say
from steepslope.nets.training.request import FinetuneRequest


def _finetune_presets() -> Mapping[str, Path]:
    from steepslope.lab.paper.preset import training_files

    return training_files(of_classifiers=False)


@showing_first("preset", "oracle", "data", "classifier", "outputs", "loss", "dry_run", "out")
@with_presets(_finetune_presets)
def finetune(out: str, request: FinetuneRequest, dry_run: bool = False, replace: bool = False) -> None:
    """Train an oracle on images, as the paper does; killed at any step and run again, it goes on.

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
    from steepslope.nets.training.launch import costs_of_stages, train_stages

    if dry_run:
        for line in costs_of_stages(request):
            say(line)
        return
    train_stages(request, Path(out), say, replace)
