"""The folder of a gate or an oracle as it is shared: its own files as they are, and a model card."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError
from steepslope.files import (
    FILES,
    SIGNATURE,
    Artifact,
    _hub as hub,
    require_extra,
    require_no_file,
    staged_folder,
    staging_of,
    write_json,
)
from steepslope.gate import CALIBRATION_ROWS, GATE, ORACLE as INNER, SENTENCES
from steepslope.oracle import ORACLE, is_oracle
from steepslope.report import plain_in_markdown

_TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
_TAGS = (hub.LIBRARY, "selective-classification", "failure-prediction", "uncertainty-estimation")
_LOCAL = re.compile(r"(?:(?<=^checkpoint:)|(?<=^onnx:)|(?<=local-dir:)|(?<=[?&]weights=))[^&]*[/\\](?=[^&])")  # folders


def write_shared(name: str, out: Path, place: str, license: str | None = None, for_monitor: bool = False) -> str:
    """Write the files of a gate or an oracle into an empty folder, with a model card, and return which one it is.

    The folder has what the seals of the gate or oracle name, and nothing else that lies next to it.

    Parameters
    ----------
    name
        A folder or a name on the Hub.
    out
        The folder to write to.
    place
        What others will load it by, such as ``hub:user/name``.
    license
        The license as the Hub names it.
    for_monitor
        Also write what the gate keeps of its calibration rows.

    Raises
    ------
    SteepslopeError
        If there is no such gate or oracle, a file is missing or was changed, or a gate for a monitor keeps nothing of
        its calibration rows.
    """
    folder = hub.folder_or_hub_snapshot(name)
    artifact = ORACLE if is_oracle(name) else GATE
    kind = Path(artifact.card).stem
    card = artifact.sealed_card(folder)
    names = _own_files(folder, artifact, card)
    if not for_monitor:
        names.discard(CALIBRATION_ROWS)
    elif not (folder / CALIBRATION_ROWS).is_file():
        raise SteepslopeError(f"for_monitor: expected a gate with {CALIBRATION_ROWS}, found none", name)
    for file in names:
        (out / file).parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / file, out / file)
    write_json(out / hub.CONFIG, {"library_name": hub.LIBRARY})
    library = require_extra("huggingface_hub", "hub", "a model card")
    text = library.ModelCard.from_template(
        library.ModelCardData(library_name=hub.LIBRARY, license=license, tags=[*_TAGS, kind]),
        template_path=str(_TEMPLATE),
        kind=kind,
        place=place,
        card=card,
        names=names,
        promise="" if kind == "oracle" else (folder / SENTENCES).read_text(encoding="utf-8"),
        plain=plain_in_markdown,
        without_folders=_spec_without_folders,
    )
    (out / hub.README).write_text(f"{text}\n", encoding="utf-8")
    return kind


def _own_files(folder: Path, artifact: Artifact, card: Mapping[str, Any]) -> set[str]:
    """Return the names of the files that a gate or an oracle has by its seals, and of its signature if it has one."""
    names = {artifact.card, *card[FILES]}
    if (folder / (artifact.card + SIGNATURE)).is_file():
        names.add(artifact.card + SIGNATURE)
    if artifact.inside in names:
        inner = ORACLE.sealed_card(folder / INNER)
        names |= {f"{INNER}/{file}" for file in inner[FILES]}
    return names & {*hub.FILES}


def _spec_without_folders(spec: str) -> str:
    r"""Return a net's spec without the folders in which it lies on somebody's machine.

    >>> specs = [r"checkpoint:C:\me\net", "timm:hf-hub:me/net", "timm:resnet18?weights=/home/me/own.pt"]
    >>> [_spec_without_folders(spec) for spec in specs]
    ['checkpoint:net', 'timm:hf-hub:me/net', 'timm:resnet18?weights=own.pt']
    """
    return _LOCAL.sub("", spec)


def copy_shared(made: Path, out: Path, replace: bool) -> None:
    """Copy what is shared to where it is wanted, also after a copy that was killed.

    Raises
    ------
    SteepslopeError
        If the folder is not empty, unless a gate or oracle was shared there before and may be replaced.
    """
    target = require_no_file(out)
    staging = staging_of(target, hub.CONFIG)
    files = [path for path in target.glob("*") if not path.name.startswith(staging.name)]
    if files and not staging.exists() and not (replace and (target / hub.CONFIG).exists()):
        remedy = "choose another, or give --replace where a gate or oracle was shared"
        raise SteepslopeError(f"expected an empty folder, found files: {remedy}", target)
    earlier = [name.partition("/")[0] for name in hub.FILES]
    with staged_folder(target, last=hub.CONFIG, replaced=earlier) as staging:
        shutil.copytree(made, staging, dirs_exist_ok=True)
