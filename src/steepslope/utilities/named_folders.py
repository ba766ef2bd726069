"""The folder that a name stands for: one on this machine, as it is or packed, or one on the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from steepslope.errors import SteepslopeError
from steepslope.utilities.hub import is_hub, snapshot
from steepslope.utilities.packed import unpack
from steepslope.utilities.packed_config import CONFIG, TENSORS, packed_kind

CACHE = "STEEPSLOPE_CACHE"


def as_folder(name: str | Path, card: str) -> Path:
    """Return the folder on this machine with the files of a gate or an oracle, whose card is ``gate.json`` say.

    A folder that holds the card is returned as it is, and so is one that holds nothing of ours. One that is packed, or
    ``hub:user/name@revision``, is unpacked into a cache (:func:`cache_folder`), once for each content.

    Raises
    ------
    SteepslopeError
        If what is packed is of another kind, was changed, or cannot be had from the Hub.
    """
    folder = snapshot(str(name)) if is_hub(name) else Path(name)
    if (folder / card).exists():
        return folder
    kind, wanted = packed_kind(folder), Path(card).stem
    if kind is None:
        return folder
    if kind != wanted:
        raise SteepslopeError(f"expected a packed {wanted}, found a packed {kind}", name)
    return _unpacked(folder, card)


def cache_folder() -> Path:
    """Return where packed folders are unpacked: ``$STEEPSLOPE_CACHE``, or steepslope in the user's cache folder."""
    own = os.environ.get(CACHE)
    if own:
        return Path(own)
    usual = os.environ.get("XDG_CACHE_HOME")
    return (Path(usual) if usual else Path.home() / ".cache") / "steepslope"


def _unpacked(folder: Path, card: str) -> Path:
    """Return the unpacked folder, which is complete as soon as it is there, whoever else unpacks at the same time."""
    target = cache_folder() / _digest(folder)
    if (target / card).exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    except OSError as error:
        reason = f"cannot unpack {folder} here ({error.strerror}): name another folder in ${CACHE}"
        raise SteepslopeError(reason, target.parent) from error
    try:
        unpack(folder, staging)
        with suppress(OSError):  # another process was faster
            staging.rename(target)
    except OSError as error:
        raise SteepslopeError(f"cannot unpack {folder} here ({error.strerror})", target.parent) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _digest(folder: Path) -> str:
    """Return the SHA-256 of a packed folder's files, in hex."""
    digest = hashlib.sha256()
    for name in (CONFIG, TENSORS):
        try:
            with (folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise SteepslopeError(f"expected a packed folder's file ({error.strerror})", folder / name) from error
    return digest.hexdigest()
