"""What can be chosen about a gate's nets, and where they run; free of torch, so that commands can read it."""

import re
from dataclasses import dataclass, fields
from typing import Literal

from steepslope.errors import Check, SteepslopeError, choice, number, optional, require_all, whole
from steepslope.predict import STDOUT

AUTO = "auto"
_ADDRESS = re.compile(r"(?:\d+\.\d+\.\d+\.\d+|\[[0-9A-Fa-f:]+\]|[\w.-]+):\d{1,5}")
CLUSTER_CHECKS: dict[str, Check] = {
    "engine": choice("local", "ray"),
    "address": optional(Check("auto or HOST:PORT", lambda one: one == AUTO or bool(_ADDRESS.fullmatch(str(one))))),
    "actors": optional(whole(1)),
    "cpus": whole(1),
    "gpus": number(0),
}


@dataclass(frozen=True, kw_only=True)
class NetSpecs:
    """Where the nets of a gate are.

    Parameters
    ----------
    classifier
        Spec of the classifier, such as checkpoint:PATH, if the net has moved since its outputs were extracted, or if it
        is code of your own. It has to be the same net.
    auxiliary
        Spec of the second backbone, likewise.
    backbones
        Specs (module:…) of your own code that an oracle on images may run; a saved file never decides what runs.
    """

    classifier: str | None = None
    auxiliary: str | None = None
    backbones: tuple[str, ...] = ()


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
    code
        Folder of Python modules that actors shall be able to import, such as that of a classifier module:…; it is sent
        to them.
    """

    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    actors: int | None = None
    cpus: int = 1
    gpus: float = 0.0
    code: str | None = None

    def __post_init__(self) -> None:
        require_all(self, CLUSTER_CHECKS)

    def require_use(self, outputs: str | None, out: str) -> None:
        """Raise where Ray would be of no use, or could not do it, and for what is chosen about it without it."""
        if self.engine == "local":
            chosen = [option.name for option in fields(self) if getattr(self, option.name) != option.default]
            if chosen:
                raise SteepslopeError("expected none without --engine ray, of which it is an option", chosen[0])
            return
        if outputs is not None:
            raise SteepslopeError("expected --data with ray: outputs are judged on one machine", "engine")
        if out == STDOUT:
            raise SteepslopeError("expected a file to write to with ray, since its chunks come in any order", "out")
