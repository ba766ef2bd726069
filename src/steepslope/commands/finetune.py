"""`steepslope finetune`."""

from __future__ import annotations

from pathlib import Path

from steepslope.errors import SteepslopeError
from steepslope.finetuning.request import FinetuneRequest


def finetune(out: str, request: FinetuneRequest) -> None:
    """Train an oracle on images, as the paper does; killed at any step and run again, it goes on.

    Parameters
    ----------
    out
        Folder for the oracle, its history.csv and, until it is done, the state from which it goes on.
    request
        What the oracle is trained on, and how.
    """
    if request.data is None:
        raise SteepslopeError("expected the data spec of the images, found none", "data")

    from steepslope.extraction.machines import launched
    from steepslope.finetuning.launch import machines_of, train_stages
    from steepslope.finetuning.prepare import check

    check(request)
    with launched(machines_of(request)) as fabric:
        train_stages(request, Path(out), fabric)
