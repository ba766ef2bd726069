"""The folder of a gate or an oracle as it is shared: its own files, their digests, and a model card."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import safe_open

from steepslope.errors import SteepslopeError
from steepslope.files import hub
from steepslope.files.folders import read_json, require_no_file, staged_folder
from steepslope.gate import Gate
from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.gate.storage import CALIBRATION_ROWS, digest_of_gate
from steepslope.nets.training.loading import load_oracle
from steepslope.oracle.base import BaseOracle, FitRecord
from steepslope.oracle.storage import is_image_oracle, is_oracle

GATE, ORACLE = "gate", "oracle"  # the kinds
README = "README.md"
LOCAL = re.compile(r"(?:^|[:=\s])((?:/|~|[A-Za-z]:\\)\S.*)")  # an absolute path of this machine, in a spec or alone
PLACED = re.compile(r"(?:^content of |(?:^|/)(?:checkpoint|onnx|images|imagefolder|paths|idx):)(\S.*)")  # any path


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
        if isinstance(self.model, BaseOracle):
            return self.model
        return None if self.source is None else self.source.oracle

    @property
    def source(self) -> ConfidenceSource | None:
        """What a gate ranks by; None of an oracle alone, and of a gate of confidences that are brought."""
        return self.model.source if isinstance(self.model, Gate) else None

    @property
    def sees_images(self) -> bool:
        """Whether its oracle is one on images."""
        folder = self.folder if self.kind == ORACLE else self.folder / ORACLE
        return self.oracle is not None and is_image_oracle(folder)

    @property
    def record(self) -> FitRecord | None:
        """What the oracle knows of its fit; None where there is none."""
        return None if self.oracle is None else self.oracle.record_

    @property
    def digest(self) -> str | None:
        """The digest that tells a gate from others; None of an oracle."""
        return digest_of_gate(self.folder) if self.kind == GATE else None

    @classmethod
    def of(cls, name: str, backbones: Collection[str] = (), for_monitor: bool = False) -> Shared:
        """Return the gate or oracle of a name, as :meth:`Gate.load` and :meth:`Oracle.load` take it.

        What a gate keeps of each calibration row is shared only ``for_monitor``.

        Raises
        ------
        SteepslopeError
            If there is no such gate or oracle, or a gate for a monitor keeps nothing of its calibration rows.
        """
        load = partial(load_oracle, backbones=backbones)
        model = load(name) if is_oracle(name) else Gate.load(name, load)
        if for_monitor and (not isinstance(model, Gate) or model.calibration_rows is None):
            raise SteepslopeError(f"for_monitor: expected a gate with {CALIBRATION_ROWS}, found none", name)
        with tempfile.TemporaryDirectory() as written:
            model.save(written)
            paths = (path for path in Path(written).rglob("*") if path.is_file())
            names = {path.relative_to(written).as_posix() for path in paths}
        files = tuple(sorted(names if for_monitor else names - {CALIBRATION_ROWS}))
        return cls(
            name, model, hub.folder_or_hub_snapshot(name), files
        )  # what else lies there, such as a training's, is not shared

    def copy(self, out: Path) -> None:
        """Write its files into a folder, with ``config.json``, which has their digests."""
        for name in self.files:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / name, out / name)
        hub.write_hub_config(out, self.kind)


def shared_tensor_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all arrays in a folder, by ``file:name``, such as ``oracle/evidence:neighbors/points``."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.rglob("*.safetensors")):
        file = path.relative_to(folder).with_suffix("").as_posix()
        with safe_open(path, "np") as arrays:
            names = arrays.keys()
            shapes |= {f"{file}:{name}": tuple(arrays.get_slice(name).get_shape()) for name in names}
    return shapes


def local_paths_in_shared(folder: Path) -> list[str]:
    """Return the paths, relative ones too, in the JSON files of a folder, such as those of outputs.

    A relative path is known by its spec, or by the stamp that a command keeps of each file and folder that it reads.
    """
    texts = (text for path in folder.rglob("*.json") for text in _shared_texts(read_json(path, "settings")))
    matches = (PLACED.search(text) or LOCAL.search(text) for text in texts)
    return sorted({one[1] for one in matches if one is not None})


def _shared_texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            yield from _shared_texts(name)
            yield from _shared_texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from _shared_texts(value)


def write_shared(made: Path, out: Path, replace: bool) -> bool:
    """Copy what is shared to where it is wanted; return False where it is there already, the same.

    Raises
    ------
    SteepslopeError
        If the folder holds anything else, or another gate or oracle that is not to be replaced.
    """
    target = require_no_file(out)
    there, wanted = hub.digests_in_folder(target), hub.digests_in_folder(made)
    if there:
        before = hub.files_shared_on_hub(target)
        others = there.keys() - {README, hub.CONFIG, *(before or ())} if before is not None else there.keys()
        if others:
            raise SteepslopeError(f"holds other files, such as {min(others)}: choose another folder", target)
        if there == wanted:
            return False
        if not replace:
            another = "holds another shared gate or oracle, or another card"
            raise SteepslopeError(f"{another}: choose another folder, or --replace", target)
    with staged_folder(target, last=hub.CONFIG) as staging:
        shutil.copytree(made, staging, dirs_exist_ok=True)
    for name in there.keys() - wanted.keys():
        (target / name).unlink(missing_ok=True)
    return True
