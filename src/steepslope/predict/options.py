"""What can be chosen about predictions and sharing; free of torch, so that commands can read it."""

from dataclasses import dataclass
from typing import Literal

from steepslope.checks import Check, choice, optional, require_all, whole

STDOUT = "-"
CHECKS: dict[str, Check] = {
    "top": whole(1),
    "audit": optional(whole(1)),
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
    audit
        About how many predictions to mark for labelling, in a column audit, of those that the gate accepts (with
        follow, also those below the limit). They are drawn at random, doubtful ones more often, each with the
        probability in the column audit_probability, which is never 0. From their labels, monitor tells how many of the
        accepted are wrong, whatever has changed.
    on_error
        stop at an image that cannot be read, or keep its row, which is then left to review, with the reason in a column
        error.
    batch_size
        Images a forward pass.
    workers
        Processes that decode images; 0 decodes in this one.
    shard_rows
        Images a chunk; a killed run loses at most the chunk that it was in.
    backend
        torch; onnx: ONNX Runtime on the CPU; auto: onnx on a machine without a GPU, for inputs of 64 pixels and more,
        where ONNX Runtime is installed and agrees with PyTorch, else torch.
    verify
        Know the images by their contents, which are read once more, and not by their sizes and times, so that a copy of
        them counts as the same.
    """

    top: int = 1
    explain: bool = False
    audit: int | None = None
    on_error: Literal["stop", "keep"] = "stop"
    batch_size: int = 64
    workers: int = 0
    shard_rows: int = 1024
    backend: Literal["auto", "torch", "onnx"] = "auto"
    verify: bool = False

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
        Share also what a gate keeps of each calibration row: P(correct), the classifier's probability, the predicted
        and the true class, whether it is accepted. Without it, monitor takes --calibration.
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
