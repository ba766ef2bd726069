"""What can be chosen about predictions, nets, clusters and sharing; free of torch, so that commands can read it."""

import re
from dataclasses import dataclass
from typing import Literal

from steepslope.checks import Check, choice, number, optional, require_all, whole

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
class NetSpecs:
    """Where the nets of a gate are.

    Parameters
    ----------
    classifier
        Spec of the classifier, where it lies elsewhere than when its outputs were extracted, or is code of your own. It
        has to be the same net.
    auxiliary
        Spec of the second backbone, likewise.
    backbones
        Specs (module:…) of code of your own that an oracle on images may run; a file cannot name it.
    """

    classifier: str | None = None
    auxiliary: str | None = None
    backbones: tuple[str, ...] = ()


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


AUTO = "auto"
ADDRESS = re.compile(r"(?:\d+\.\d+\.\d+\.\d+|\[[0-9A-Fa-f:]+\]|[\w.-]+):\d{1,5}")
CLUSTER_CHECKS: dict[str, Check] = {
    "engine": choice("local", "ray"),
    "address": optional(Check("auto or HOST:PORT", lambda one: one == AUTO or bool(ADDRESS.fullmatch(str(one))))),
    "actors": optional(whole(1)),
    "cpus": whole(1),
    "gpus": number(0),
    "retries": whole(0),
}


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """On what predictions run.

    Parameters
    ----------
    engine
        local: this process; ray: actors of Ray, each with the gate and its nets, on this machine or a cluster.
    address
        Cluster to join, HOST:PORT of its head, or auto for the one that this machine belongs to. By default, Ray is
        started on this machine for the length of the run.
    actors
        Number of actors; by default as many as the CPUs, or GPUs, suffice for.
    cpus
        CPUs an actor, which has as many threads.
    gpus
        GPUs an actor; 0.5 lets two share one.
    retries
        How often a chunk is tried again where its actor dies.
    code
        Folder of Python modules that actors shall be able to import, such as that of a classifier module:…; it is sent
        to them.
    """

    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    actors: int | None = None
    cpus: int = 1
    gpus: float = 0.0
    retries: int = 3
    code: str | None = None

    def __post_init__(self) -> None:
        require_all(self, CLUSTER_CHECKS)
