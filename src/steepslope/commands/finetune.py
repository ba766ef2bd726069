"""`steepslope finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError
from steepslope.finetuning.request import FinetuneRequest


def finetune(out: str, **request: Any) -> None:
    """Train an oracle on images, as the paper does; killed at any step and run again, it goes on.

    Parameters
    ----------
    out
        Folder for the oracle, its history.csv and, until it is done, the state from which it goes on.
    """
    asked = FinetuneRequest(**request)
    if asked.data is None:
        raise SteepslopeError("data: expected the data spec of the images, found none")

    from steepslope.extraction.machines import launched
    from steepslope.finetuning.launch import machines_of, train_stages
    from steepslope.finetuning.prepare import check

    check(asked)
    with launched(machines_of(asked)) as fabric:
        train_stages(asked, Path(out), fabric)
