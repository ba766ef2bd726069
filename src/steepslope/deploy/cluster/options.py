"""What can be chosen about a cluster; free of torch and Ray, so that the command line can read it."""

import re
from dataclasses import dataclass
from typing import Literal

from steepslope.checks import Check, choice, number, optional, require_all, whole

AUTO = "auto"
ADDRESS = re.compile(r"(?:\d+\.\d+\.\d+\.\d+|\[[0-9A-Fa-f:]+\]|[\w.-]+):\d{1,5}")
CHECKS: dict[str, Check] = {
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
        How often a part is tried again where its actor dies.
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
        require_all(self, CHECKS)
