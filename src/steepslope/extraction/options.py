"""What can be chosen about an extraction; free of torch, so that the command line can read it."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from steepslope.checks import Check, Choice, Optional, Whole, require_all
from steepslope.errors import SteepslopeError, require_known

EVIDENCE_ARRAYS = ("features", "views", "dropout")
VIEW_NAMES = (
    "flip", "left", "right", "up", "down", "turn_left", "turn_right",
    "blur", "shrink", "grow", "less_contrast", "more_contrast",
)  # fmt: skip
NONE = "none"

MACHINE_CHECKS: dict[str, Check] = {
    "devices": Optional(Whole(1)), "num_nodes": Optional(Whole(1)), "precision": Choice(("32", "bf16", "fp16")),
}  # fmt: skip
EXTRACTION_CHECKS: dict[str, Check] = {
    "features": Choice(("float32", "float16")), "passes": Whole(2), "batch_size": Whole(1), "workers": Whole(0),
    "shard_rows": Whole(1), "on_error": Choice(("stop", "skip")), "backend": Choice(("auto", "torch", "onnx")),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Machines:
    """On what to run.

    Parameters
    ----------
    devices
        Processes on this machine, one a GPU or on the CPU; by default 1, or what torchrun started.
    num_nodes
        Machines; by default 1, or what torchrun started.
    strategy
        Strategy of Lightning Fabric, such as ddp.
    precision
        32, or mixed with bf16 or fp16, which is faster on GPUs and new CPUs.
    """

    devices: int | None = None
    num_nodes: int | None = None
    strategy: str = "auto"
    precision: Literal["32", "bf16", "fp16"] = "32"

    def __post_init__(self) -> None:
        require_all(self, MACHINE_CHECKS)


@dataclass(frozen=True, kw_only=True)
class ExtractionOptions(Machines):
    """How to extract.

    Parameters
    ----------
    evidence
        Evidence to keep beside the logits: features (penultimate), views (the logits of the image mirrored, shifted,
        turned, blurred, scaled and in other contrast; with them estimates of its noise), dropout (mean and spread of
        its passes), or none.
    features
        Type in which features are kept.
    views
        Views to keep, among flip, left, right, up, down, turn_left, turn_right, blur, shrink, grow, less_contrast and
        more_contrast; by default all.
    passes
        Forward passes with dropout.
    batch_size
        Images a forward pass.
    workers
        Processes that decode images; 0 decodes in this one.
    shard_rows
        Images a shard; a killed run loses at most the shard it was in.
    on_error
        stop at an image that cannot be read, or skip it and list it in the manifest.
    backend
        torch; onnx: ONNX Runtime on the CPU; auto: onnx on a machine without a GPU, for inputs of 64 pixels and more,
        where ONNX Runtime is installed and agrees with PyTorch, else torch.
    """

    evidence: tuple[str, ...] = ("features",)
    features: Literal["float32", "float16"] = "float32"
    views: tuple[str, ...] = VIEW_NAMES
    passes: int = 50
    batch_size: int = 64
    workers: int = 0
    shard_rows: int = 4096
    on_error: Literal["stop", "skip"] = "stop"
    backend: Literal["auto", "torch", "onnx"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_all(self, EXTRACTION_CHECKS)
        evidence = () if self.evidence == (NONE,) else self.evidence
        require_names("evidence", evidence, EVIDENCE_ARRAYS)
        require_names("views", self.views or (NONE,), VIEW_NAMES)
        object.__setattr__(self, "evidence", tuple(name for name in EVIDENCE_ARRAYS if name in evidence))
        if self.backend == "onnx" and ("dropout" in evidence or self.precision != "32"):
            raise SteepslopeError("onnx runs in precision 32 and without dropout passes: expected torch", "backend")


def require_names(option: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Raise unless each of the names is known and is there once.

    >>> require_names("views", ("flip", "flip"), VIEW_NAMES)
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: views: expected each name once, found flip 2 times
    """
    for name, count in Counter(names).items():
        require_known(f"name in {option}:", name, known)
        if count > 1:
            raise SteepslopeError(f"expected each name once, found {name} {count} times", option)
