"""A gate or an oracle in the layout of the Hugging Face Hub: packed, with a model card, read again, and uploaded."""

from __future__ import annotations

import filecmp
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError
from steepslope.files.folders import require_no_file, staged_folder
from steepslope.files.packed import pack, unpack
from steepslope.files.packed_config import CONFIG, TENSORS, packed_kind
from steepslope.gate import Gate
from steepslope.gate.storage import CALIBRATION_ROWS, digest_of_gate, gate_folder
from steepslope.oracle import BaseOracle, Oracle
from steepslope.oracle.storage import oracle_folder

GATE, ORACLE = "gate", "oracle"  # the kinds
FOLDERS: dict[str, Callable[[str], Path]] = {GATE: gate_folder, ORACLE: oracle_folder}
README = "README.md"
FILES = (README, TENSORS, CONFIG)
LOCAL = re.compile(r"(?:^|[:=\s])((?:/|~|[A-Za-z]:\\)\S.*)")  # an absolute path of this machine, in a spec or alone
PLACED = re.compile(r"(?:^content of |(?:^|/)(?:checkpoint|onnx|images|imagefolder|paths|wds|idx):)(\S.*)")  # any path


@dataclass(frozen=True, eq=False)
class Shared:
    """A gate or an oracle that is to be shared: what was loaded, its folder, and the names of its files there."""

    name: str
    model: Gate | BaseOracle
    folder: Path
    files: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What it is: gate or oracle."""
        return GATE if isinstance(self.model, Gate) else ORACLE

    @property
    def gate(self) -> Gate | None:
        """The gate; None of an oracle alone."""
        return self.model if isinstance(self.model, Gate) else None

    @property
    def oracle(self) -> BaseOracle | None:
        """The oracle, or that of the gate; None of a gate that has none."""
        if not isinstance(self.model, Gate):
            return self.model
        return None if self.model.source is None else self.model.source.oracle

    @property
    def digest(self) -> str | None:
        """The digest that tells a gate from others; None of an oracle."""
        return digest_of_gate(self.folder) if self.kind == GATE else None

    @classmethod
    def of(cls, name: str, kind: str, backbones: Collection[str] = (), for_monitor: bool = False) -> Shared:
        """Return the gate or oracle of a name, as :meth:`Gate.load` and :meth:`Oracle.load` take it.

        What a gate keeps of each calibration row is shared only ``for_monitor``.

        Raises
        ------
        SteepslopeError
            If there is no such gate or oracle, or a gate for a monitor keeps nothing of its calibration rows.
        """
        model = _loaded(name, kind, backbones)
        if for_monitor and (not isinstance(model, Gate) or model.calibration_rows is None):
            raise SteepslopeError(f"for_monitor: expected a gate with {CALIBRATION_ROWS}, found none", name)
        with tempfile.TemporaryDirectory() as written:
            model.save(written)
            found = (path for path in Path(written).rglob("*") if path.is_file())
            names = {path.relative_to(written).as_posix() for path in found}
        files = tuple(sorted(names if for_monitor else names - {CALIBRATION_ROWS}))
        return cls(name, model, FOLDERS[kind](name), files)  # what else lies there, such as a training's, is not shared

    def pack(self, out: Path, backbones: Collection[str] = ()) -> None:
        """Write it packed into a folder, and read it again.

        Raises
        ------
        SteepslopeError
            If what is packed cannot be read as what it was.
        """
        pack(self.folder, self.files, self.kind, out)
        with tempfile.TemporaryDirectory() as again:
            unpack(out, Path(again))
            _loaded(again, self.kind, backbones)


def _loaded(name: str, kind: str, backbones: Collection[str]) -> Gate | BaseOracle:
    return Gate.load(name, backbones=backbones) if kind == GATE else Oracle.load(name, backbones)


def local_paths(config: Mapping[str, Any]) -> list[str]:
    """Return the paths, relative ones too, and URLs that a config holds, such as those of the outputs fitted on.

    A relative path is known by its spec, or by the stamp that a command keeps of each file and folder that it reads.
    """
    found = (PLACED.search(text) or LOCAL.search(text) for text in _texts(config.get("cards")))
    return sorted({one[1] for one in found if one is not None})


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            yield from _texts(name)
            yield from _texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value)


def write_packed(packed: Path, out: Path, replace: bool) -> bool:
    """Copy a packed folder to where it is wanted; return False where it is there already, the same.

    Raises
    ------
    SteepslopeError
        If the folder holds anything else, or another gate or oracle that is not to be replaced.
    """
    target = require_no_file(out)
    there = {path.name for path in target.iterdir()} if target.is_dir() else set()
    if there:
        if packed_kind(target) is None or not there <= {*FILES}:
            found = min(there - {*FILES} or there)
            raise SteepslopeError(f"holds other files, such as {found}: choose another folder", target)
        if filecmp.cmpfiles(packed, target, FILES, shallow=False)[0] == [*FILES]:
            return False
        if not replace:
            another = "holds another packed gate or oracle, or another card"
            raise SteepslopeError(f"{another}: choose another folder, or --replace", target)
    with staged_folder(target, last=CONFIG) as staging:
        for name in FILES:
            shutil.copyfile(packed / name, staging / name)
    return True
