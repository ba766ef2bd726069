"""What can be chosen about an extraction; free of torch, so that the command line can read it."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal, Self

from steepslope.errors import Check, SteepslopeError, choice, optional, require_all, require_known, whole

EVIDENCE_ARRAYS = ("features", "views", "dropout", "noise")
OF_COPIES = ("features", "noise")  # the evidence that is kept of augmented copies too
VIEW_NAMES = (
    "flip",
    "left",
    "right",
    "up",
    "down",
    "turn_left",
    "turn_right",
    "blur",
    "shrink",
    "grow",
    "less_contrast",
    "more_contrast",
)
NONE = "none"

_MACHINE_CHECKS: dict[str, Check] = {
    "devices": optional(whole(1)),
    "num_nodes": optional(whole(1)),
    "precision": choice("32", "bf16", "fp16"),
}
_EXTRACTION_CHECKS: dict[str, Check] = {
    "features": choice("float32", "float16"),
    "passes": whole(2),
    "augment": optional(whole(0)),
    "batch_size": whole(1),
    "workers": whole(0),
    "shard_rows": whole(1),
    "on_error": choice("stop", "skip"),
    "backend": choice("auto", "torch", "onnx"),
}


@dataclass(frozen=True, kw_only=True)
class Machines:
    """On what to run.

    Parameters
    ----------
    devices
        Processes on this machine, one a GPU or on the CPU; by default 1, or what torchrun started.
    num_nodes
        Number of machines; by default 1, or what torchrun started. They find one another by torchrun, by a scheduler
        such as SLURM, or by MASTER_ADDR, MASTER_PORT and NODE_RANK in the environment.
    precision
        Precision of the forward pass: 32, or mixed with bf16 or fp16, which is faster on GPUs and new CPUs.
    """

    devices: int | None = None
    num_nodes: int | None = None
    precision: Literal["32", "bf16", "fp16"] = "32"

    def __post_init__(self) -> None:
        require_all(self, _MACHINE_CHECKS)


@dataclass(frozen=True, kw_only=True)
class ExtractionOptions(Machines):
    """How to extract.

    Parameters
    ----------
    evidence
        Evidence to keep next to the logits: features (penultimate), views (the logits of the image mirrored, shifted,
        turned, blurred, scaled and in other contrast), dropout (mean and spread of its passes), noise (two estimates
        of the image's noise, for the fused oracle's hand-over), or none.
    features
        Type in which features are kept.
    views
        Views to keep, among flip, left, right, up, down, turn_left, turn_right, blur, shrink, grow, less_contrast and
        more_contrast; by default all.
    passes
        Forward passes with dropout.
    augment
        Augmented copies to keep of each image, so that oracles also learn from changed images; 0 keeps none. The
        default is 1 for at most 100,000 labelled images that are no test split; it doubles the time. Logits are kept
        in a subfolder, with features and noise where these are kept of the images. Where the outputs are complete,
        only the copies are added.
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
    verify
        Know the images by their contents, which are read once more, and not by their sizes and times, so that a copy of
        them counts as the same.
    """

    evidence: tuple[str, ...] = ("features", "noise")
    features: Literal["float32", "float16"] = "float32"
    views: tuple[str, ...] = VIEW_NAMES
    passes: int = 50
    augment: int | None = None
    batch_size: int = 64
    workers: int = 0
    shard_rows: int = 4096
    on_error: Literal["stop", "skip"] = "stop"
    backend: Literal["auto", "torch", "onnx"] = "auto"
    verify: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_all(self, _EXTRACTION_CHECKS)
        evidence = () if self.evidence == (NONE,) else self.evidence
        _require_names_once("evidence", evidence, EVIDENCE_ARRAYS)
        _require_names_once("views", self.views or (NONE,), VIEW_NAMES)
        object.__setattr__(self, "evidence", tuple(name for name in EVIDENCE_ARRAYS if name in evidence))
        if self.backend == "onnx" and ("dropout" in evidence or self.precision != "32"):
            raise SteepslopeError("onnx runs in precision 32 and without dropout passes: expected torch", "backend")

    def keeping(self, *names: str) -> Self:
        """Return the same with only those of the evidence that are named."""
        return replace(self, evidence=tuple(name for name in self.evidence if name in names))


def _require_names_once(option: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Raise unless each of the names is known and is there once.

    >>> _require_names_once("views", ("flip", "flip"), VIEW_NAMES)
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: views: expected each name once, found flip 2 times
    """
    for name, count in Counter(names).items():
        require_known(f"name in {option}:", name, known)
        if count > 1:
            raise SteepslopeError(f"expected each name once, found {name} {count} times", option)


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """How images become the classifier's input, in place of its own way.

    Parameters
    ----------
    image_size
        Side of the classifier's input in pixels, in place of its own.
    mean
        Mean of the classifier's input, of pixels in [0, 1]: one number a channel with commas, or one for all.
    std
        Standard deviation of the classifier's input: one number a channel with commas, or one for all.
    resize
        How images come to the classifier's size: crop (shorter side, then the central square) or squash.
    channels
        Channels of the classifier's input: 1 for grey, 3 for colour, others for arrays in .npy files; by default those
        of its first convolution.
    preprocessing
        JSON file with size, mean, std, resize, crop_share and interpolation of the classifier's input, in place of the
        five options above; a manifest.json of outputs has them.
    """

    image_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: Literal["crop", "squash"] | None = None
    channels: int | None = None
    preprocessing: str | None = None
