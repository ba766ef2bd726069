"""What can be chosen about predictions."""

from dataclasses import dataclass
from typing import Literal

from steepslope.errors import Check, choice, optional, require_all, whole
from steepslope.promise import REVIEW_ALL, WHEN_CHANGED, WhenChanged

STDOUT = "-"  # in place of a file
CHECKS: dict[str, Check] = {
    "top": whole(1),
    "audit": optional(whole(1)),
    "reviews": optional(whole(1)),
    "when_changed": WHEN_CHANGED,
    "on_error": choice("stop", "keep"),
    "batch_size": whole(1),
    "workers": whole(0),
    "shard_rows": whole(1),
    "backend": choice("auto", "torch", "onnx"),
}


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """The columns of each row, and how images are run.

    Parameters
    ----------
    top
        How many of the most probable classes to write, each with its probability.
    explain
        Also write what each kind of evidence adds to the trust logit, in columns explain_….
    audit
        About how many accepted predictions to mark for labelling, in a column audit (with follow, also those below the
        limit). They are drawn at random, doubtful ones more often. The column audit_probability has the probability of
        each, which is never 0. From their labels, monitor estimates the risk of all predictions that the gate accepts,
        whatever has changed. Those that only a change sends to review are among them.
    reviews
        How many predictions can be reviewed. Those to review get a place in a column review_order, the highest expected
        loss first: 1 - P(correct), times the cost of an error if the gate has costs. Where there are more of them, the
        others have no place, and a sentence says how many of them are wrong by P(correct).
    when_changed
        review: if all rows together are clearly not drawn as the calibration rows were, none is accepted. warn: that is
        only said. If another class mix explains the change, and the promise holds for that mix, too, the gate goes on.
    together
        Which rows belong together, such as several images of one patient: a column of the outputs' file, a .csv or
        .parquet file with columns id and group, or the word folder for the folder in which an image lies. One row of
        each tells of a change.
    on_error
        stop at an image that cannot be read, or keep its row, which goes to review, with the reason in a column error.
    batch_size
        Images per forward pass.
    workers
        Processes that decode images; 0 decodes in this one.
    shard_rows
        Images per chunk; a killed run loses at most its current chunk.
    backend
        torch; onnx: ONNX Runtime on the CPU; auto: onnx on a machine without a GPU, for inputs of 64 pixels and more,
        if ONNX Runtime is installed and agrees with PyTorch, else torch.
    verify
        Recognise the images by their contents, which are read once more, instead of their sizes and times, so that a
        copy of them counts as the same.
    """

    top: int = 1
    explain: bool = False
    audit: int | None = None
    reviews: int | None = None
    when_changed: WhenChanged = REVIEW_ALL
    together: str | None = None
    on_error: Literal["stop", "keep"] = "stop"
    batch_size: int = 64
    workers: int = 0
    shard_rows: int = 1024
    backend: Literal["auto", "torch", "onnx"] = "auto"
    verify: bool = False

    def __post_init__(self) -> None:
        require_all(self, CHECKS)
