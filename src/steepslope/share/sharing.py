"""The folder of a gate or an oracle as it is shared: its own files as they are, and a model card."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePath

from steepslope.errors import SteepslopeError
from steepslope.files import hub
from steepslope.files.artifact import FILES, SIGNATURE
from steepslope.files.extras import require_extra
from steepslope.files.folders import field, read_json, require_no_file, staged_folder, write_json
from steepslope.gate.storage import CALIBRATION_ROWS, GATE, SENTENCES
from steepslope.oracle.storage import ORACLE, is_oracle
from steepslope.report.grid import plain_in_markdown
from steepslope.sklearn.storage import TRUSTED

TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
ARTIFACTS = {"trusted.json": TRUSTED, "gate.json": GATE, "oracle.json": ORACLE}  # by their cards, the outermost first
TAGS = (hub.LIBRARY, "selective-classification", "failure-prediction", "uncertainty-estimation")
LOCAL = re.compile(r"(?:(?<=^checkpoint:)|(?<=^onnx:)|(?<=local-dir:)|(?<=[?&]weights=))[^&]*[/\\](?=[^&])")  # folders


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
    if for_monitor and not (folder / CALIBRATION_ROWS).is_file():
        raise SteepslopeError(f"for_monitor: expected a gate with {CALIBRATION_ROWS}, found none", name)
    shutil.copyfile(folder / artifact.card, out / artifact.card)
    copy_sealed_files(folder, out, artifact.card)
    if not for_monitor:
        (out / CALIBRATION_ROWS).unlink(missing_ok=True)
    names = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    write_json(out / hub.CONFIG, {"library_name": hub.LIBRARY})
    library = require_extra("huggingface_hub", "hub", "a model card")
    text = library.ModelCard.from_template(
        library.ModelCardData(library_name=hub.LIBRARY, license=license, tags=[*TAGS, kind]),
        template_path=str(TEMPLATE),
        kind=kind,
        place=place,
        card=card,
        names=names,
        promise="" if kind == "oracle" else (folder / SENTENCES).read_text(encoding="utf-8"),
        plain=plain_in_markdown,
        without_folders=spec_without_folders,
    )
    (out / hub.README).write_text(f"{text}\n", encoding="utf-8")
    return kind


def copy_sealed_files(folder: Path, out: Path, card: str) -> None:
    """Copy all that a card in ``out`` names, with its signature, and nothing else.

    Raises
    ------
    SteepslopeError
        If a file is missing or is not as it was sealed, or a name leads out of the folder.
    """
    artifact = ARTIFACTS[card]
    for name in (card + SIGNATURE, *field(read_json(out / card, artifact.what), FILES, dict, out / card)):
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise SteepslopeError(f"expected the names of files in this folder, found {name!r}", out / card)
        if (folder / name).is_file():  # of one that is missing, the seal tells whether it may be
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, out / name)
    artifact.sealed_card(out)
    subfolder, _, inner = artifact.inside.rpartition("/")
    if (out / subfolder / inner).is_file():
        copy_sealed_files(folder / subfolder, out / subfolder, inner)


def spec_without_folders(spec: str) -> str:
    r"""Return a net's spec without the folders in which it lies on somebody's machine.

    >>> specs = [r"checkpoint:C:\me\net", "timm:hf-hub:me/net", "timm:resnet18?weights=/home/me/own.pt"]
    >>> [spec_without_folders(spec) for spec in specs]
    ['checkpoint:net', 'timm:hf-hub:me/net', 'timm:resnet18?weights=own.pt']
    """
    return LOCAL.sub("", spec)


def copy_shared(made: Path, out: Path, replace: bool) -> None:
    """Copy what is shared to where it is wanted.

    Raises
    ------
    SteepslopeError
        If the folder is not empty, unless a gate or oracle was shared there before and may be replaced.
    """
    target = require_no_file(out)
    if any(target.glob("*")) and not (replace and (target / hub.CONFIG).exists()):
        remedy = "choose another, or give --replace where a gate or oracle was shared"
        raise SteepslopeError(f"expected an empty folder, found files: {remedy}", target)
    earlier = [name.partition("/")[0] for name in hub.FILES]
    with staged_folder(target, last=hub.CONFIG, replaced=earlier) as staging:
        shutil.copytree(made, staging, dirs_exist_ok=True)
