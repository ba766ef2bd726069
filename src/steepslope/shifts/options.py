"""What can be chosen about writing shifted images; free of torch, so that the command line can read it."""

from dataclasses import dataclass
from typing import Literal

from steepslope.checks import Check, choice, optional, require_all, whole

WRITING_CHECKS: dict[str, Check] = {
    "format": choice("png", "npy"),
    "on_error": choice("stop", "skip"),
    "workers": optional(whole(0)),
}


@dataclass(frozen=True, kw_only=True)
class WritingOptions:
    """How shifted images are written.

    Parameters
    ----------
    format
        png: 8 bits, without loss beyond that; npy: arrays (H, W, C), floats in [0, 1] where the shift makes such.
        Images of other channels than grey and colour are always npy.
    on_error
        stop at an image that cannot be read, or skip it and list it in shift.json.
    workers
        Processes that shift and write images; 0 does it in this one. By default one a core, where no net is run.
    """

    format: Literal["png", "npy"] = "png"
    on_error: Literal["stop", "skip"] = "stop"
    workers: int | None = None

    def __post_init__(self) -> None:
        require_all(self, WRITING_CHECKS)
