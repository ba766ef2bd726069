"""What can be chosen about predictions; free of torch, so that the command line can read it."""

from dataclasses import dataclass
from typing import Literal

from steepslope.checks import Check, choice, require_all, whole

CHECKS: dict[str, Check] = {
    "top": whole(1),
    "on_error": choice("stop", "keep"),
    "batch_size": whole(1),
    "workers": whole(0),
    "shard_rows": whole(1),
    "backend": choice("auto", "torch", "onnx"),
}


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """What stands in each row, and how images are run.

    Parameters
    ----------
    top
        How many of the most probable classes are given, each with its probability.
    explain
        Also give what each kind of evidence adds to the trust logit, in columns explain_….
    on_error
        stop at an image that cannot be read, or keep its row, which is then left to review, with the reason in a column
        error.
    batch_size
        Images a forward pass.
    workers
        Processes that decode images; 0 decodes in this one.
    shard_rows
        Images a part; a killed run loses at most the part that it was in.
    backend
        torch; onnx: ONNX Runtime on the CPU; auto: onnx on a machine without a GPU, for inputs of 64 pixels and more,
        where ONNX Runtime is installed and agrees with PyTorch, else torch.
    """

    top: int = 1
    explain: bool = False
    on_error: Literal["stop", "keep"] = "stop"
    batch_size: int = 64
    workers: int = 0
    shard_rows: int = 1024
    backend: Literal["auto", "torch", "onnx"] = "auto"

    def __post_init__(self) -> None:
        require_all(self, CHECKS)


@dataclass(frozen=True, kw_only=True)
class ShareOptions:
    """Who can read what is shared, and how much of the calibration rows it has.

    Parameters
    ----------
    public
        Make the repository public, or upload to a public one. Without it a new one is private, and a public one is
        refused.
    for_monitor
        Share also what a gate keeps of each calibration row: P(correct), the classifier's probability, whether it is
        correct and accepted. Without it, monitor takes --calibration.
    """

    public: bool = False
    for_monitor: bool = False


@dataclass(frozen=True, kw_only=True)
class CardOptions:
    """What a model card tells beside what is shared.

    Parameters
    ----------
    report
        Folder of a report (evaluate, demo), whose numbers the card shows.
    row
        Score of the report that is what is shared; by default the one that has its folder's name.
    dataset
        Name of the data set that the report is about, for people to read.
    license
        License of what is shared, as the Hub names it, such as apache-2.0.
    """

    report: str | None = None
    row: str | None = None
    dataset: str | None = None
    license: str | None = None
