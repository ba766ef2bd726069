"""What can be chosen about an extraction; free of torch, so that the command line can read it."""

# Annotations are not postponed: the command line reads them.
from dataclasses import dataclass
from typing import Literal

from steepslope.errors import SteepslopeError, unknown_name

EVIDENCE_ARRAYS = ("features", "views", "dropout")
VIEW_NAMES = (
    "flip", "left", "right", "up", "down", "turn_left", "turn_right",
    "blur", "shrink", "grow", "less_contrast", "more_contrast",
)  # fmt: skip

CHOICES: dict[str, tuple[str, ...]] = {
    "features": ("float32", "float16"),
    "on_error": ("stop", "skip"),
    "backend": ("auto", "torch", "onnx"),
    "precision": ("32", "bf16", "fp16"),
}


@dataclass(frozen=True)
class ExtractionOptions:
    """How to extract.

    Parameters
    ----------
    evidence
        What to keep beside the logits, with commas between: features (penultimate), views (the logits of the image
        mirrored, shifted, turned, blurred, scaled and in other contrast; with them estimates of its noise), dropout
        (mean and spread of its passes), or none.
    features
        Type in which features are kept.
    views
        Which views, with commas between, among flip, left, right, up, down, turn_left, turn_right, blur, shrink, grow,
        less_contrast and more_contrast; by default all.
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
    precision
        32, or mixed with bf16 or fp16, which is faster on GPUs and new CPUs.
    devices
        Processes on this machine, one a GPU or on the CPU; by default 1, or what torchrun started.
    num_nodes
        Machines; by default 1, or what torchrun started.
    strategy
        Of Lightning Fabric, such as ddp.
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
    precision: Literal["32", "bf16", "fp16"] = "32"
    devices: int | None = None
    num_nodes: int | None = None
    strategy: str = "auto"

    def __post_init__(self) -> None:
        evidence = names_of("evidence", self.evidence, EVIDENCE_ARRAYS, none=True)
        object.__setattr__(self, "evidence", tuple(name for name in EVIDENCE_ARRAYS if name in evidence))
        object.__setattr__(self, "views", names_of("view", self.views, VIEW_NAMES))
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise SteepslopeError(f"{name}: expected {' or '.join(choices)}, found {getattr(self, name)!r}")
        least = {"batch_size": 1, "shard_rows": 1, "workers": 0, "passes": 2, "devices": 1, "num_nodes": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < low):
                raise SteepslopeError(f"{name}: expected a whole number >= {low}, found {value!r}")
        if "dropout" in self.evidence and self.backend == "onnx":
            raise SteepslopeError("backend: dropout passes need torch, since ONNX keeps no dropout, found 'onnx'")
        if self.precision != "32" and self.backend == "onnx":
            raise SteepslopeError(f"precision: expected 32 with the backend onnx, found {self.precision!r}")


def names_of(kind: str, value: tuple[str, ...] | str, known: tuple[str, ...], none: bool = False) -> tuple[str, ...]:
    """Return names given as a tuple or with commas between, each once; ``none`` allows there to be none.

    >>> names_of("evidence", "features,views", EVIDENCE_ARRAYS)
    ('features', 'views')
    """
    given = value.split(",") if isinstance(value, str) else value
    names = tuple(dict.fromkeys(name.strip() for name in given))
    if names == ("none",) and none:
        return ()
    for name in names:
        if name == "none" and none:
            raise SteepslopeError(f"{kind}: expected none alone, or other names, found {', '.join(names)}")
        if name not in known:
            raise unknown_name(kind, name, (*known, "none") if none else known)
    if not names and not none:
        raise SteepslopeError(f"{kind}: expected at least one, found none")
    return names
