"""Repositories on the Hugging Face Hub, by name: what is downloaded is one revision, what is uploaded one commit.

The folder that a name stands for: one on this machine, as it is or packed, or one on the Hugging Face Hub.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from steepslope.errors import SteepslopeError, reason_of
from steepslope.files.extras import require_extra
from steepslope.files.packed import unpack
from steepslope.files.packed_config import CONFIG, LIBRARY, TENSORS, packed_kind
from steepslope.files.progress import console

HUB = "hub:"
LONGEST = 200  # characters of the Hub's own words that are shown
LOG_IN = "log in with a token that may do this (hf auth login, or HF_TOKEN)"
NOT_PACKED = "expected a repository with a packed gate or oracle (steepslope push)"
NAME = re.compile(r"[^/@\s]+/[^/@\s]+")


class Repository(NamedTuple):
    """A repository's name, ``user/name``, and a branch, tag or commit; None for the newest."""

    name: str
    revision: str | None = None

    @classmethod
    def of(cls, text: str | Path) -> Repository:
        """Return what ``hub:user/name`` or ``hub:user/name@revision`` names; ``hub:`` may be left out.

        >>> Repository.of("hub:me/digits-gate@v1")
        Repository(name='me/digits-gate', revision='v1')
        >>> Repository.of("digits-gate")
        Traceback (most recent call last):
        steepslope.errors.SteepslopeError: digits-gate: expected the name of a repository, user/name or \
user/name@revision
        """
        name, at, revision = str(text).removeprefix(HUB).partition("@")
        if not NAME.fullmatch(name) or (at and not revision.strip()):
            raise SteepslopeError("expected the name of a repository, user/name or user/name@revision", str(text))
        return cls(name, revision or None)


def is_hub(name: str | Path) -> bool:
    """Return whether a name is one of the Hub's, ``hub:…``."""
    return str(name).startswith(HUB)


@cache  # in one process a name stands for one revision, whatever is pushed meanwhile
def snapshot(name: str) -> Path:
    """Return the folder in the Hub's cache with a repository's packed files; its own name is the commit.

    Where the Hub cannot be reached, the cache is taken as it is, and a notice tells which commit that is.

    Raises
    ------
    SteepslopeError
        If there is no such repository or revision, nothing is cached offline, or it holds nothing that was packed.
    """
    repository, hub = Repository.of(name), _library(name)
    with hub_errors(name, repository):
        reason = _unreachable(hub, repository)
        known = {"revision": repository.revision, "local_files_only": reason is not None}
        folder = Path(hub.hf_hub_download(repository.name, CONFIG, **known)).parent
        if packed_kind(folder) is None:
            raise SteepslopeError(NOT_PACKED, name)
        hub.hf_hub_download(repository.name, TENSORS, **{**known, "revision": folder.name})
        if reason is not None:
            console().print(f"{name}: the Hub was not reached ({reason}): commit {folder.name} is taken from the cache")
        return folder


def _unreachable(hub: Any, repository: Repository) -> str | None:
    """Return why the Hub cannot be reached, or None; raise if it answers that there is no such repository."""
    errors = import_module("huggingface_hub.errors")
    try:
        hub.HfApi(library_name=LIBRARY).model_info(repository.name, revision=repository.revision)
    except (OSError, errors.HTTPError) as error:
        if isinstance(error, errors.HfHubHTTPError):
            raise
        return reason_of(error, LONGEST)
    return None


def commit_of(name: str) -> str:
    """Return the commit that a name on the Hub stands for, in hex."""
    return snapshot(name).name


def upload(folder: Path, repository: Repository, private: bool, message: str) -> str:
    """Make the repository if there is none, commit the folder's files to its main branch, and return the commit.

    Raises
    ------
    SteepslopeError
        If it may not be written to, is public where a private one is wanted, or holds what this package did not pack.
    """
    place = f"{HUB}{repository.name}"
    hub = _library(place)
    api = hub.HfApi(library_name=LIBRARY)
    with hub_errors(place, repository):
        if not api.repo_exists(repository.name):
            api.create_repo(repository.name, private=private, exist_ok=True)
        _require_own(hub, api.repo_info(repository.name), private, place)
        files = [hub.CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())]
        return str(api.create_commit(repository.name, files, commit_message=message).oid)


def _require_own(hub: Any, found: Any, private: bool, place: str) -> None:
    if private and not found.private:
        raise SteepslopeError(
            "expected a private repository, found a public one: give --public, or make it private", place
        )
    files = {one.rfilename for one in found.siblings or ()} - {".gitattributes", "README.md"}
    if not files:
        return
    kind = None
    if CONFIG in files:
        kind = packed_kind(Path(hub.hf_hub_download(found.id, CONFIG, revision=found.sha)).parent)
    if kind is None:
        shown = ", ".join(sorted(files)[:3])
        raise SteepslopeError(f"expected a new repository, or one of a packed gate or oracle, found {shown}", place)


def require_repository(text: str) -> Repository:
    """Return the repository of a name to upload to; raise, before anything is done, for one that the Hub refuses."""
    repository = Repository.of(text)
    if repository.revision is not None:
        raise SteepslopeError("expected no revision: what is uploaded is a new one", text)
    with hub_errors(text, repository):
        import_module("huggingface_hub.utils").validate_repo_id(repository.name)
    return repository


def _library(name: str) -> Any:
    return require_extra("huggingface_hub", "hub", name)


@contextmanager
def hub_errors(place: str, repository: Repository) -> Iterator[None]:
    """Let what the Hub's library raises leave the block as one line."""
    _library(place)
    errors = import_module("huggingface_hub.errors")
    try:
        yield
    except SteepslopeError:
        raise
    except (OSError, ValueError, errors.EntryNotFoundError, errors.HTTPError) as error:
        raise SteepslopeError(_words(error, errors, repository), place) from error


def _words(error: Exception, errors: Any, repository: Repository) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the repository has no revision {repository.revision!r}"
    refused = isinstance(error, errors.LocalTokenNotFoundError | errors.RepositoryNotFoundError)
    if refused or status in (401, 403):
        return f"the Hub has no such repository, or not for you: {LOG_IN}"
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return "the Hub cannot be reached, and its cache on this machine does not hold this repository and revision"
    if isinstance(error, errors.EntryNotFoundError):
        return NOT_PACKED
    if isinstance(error, errors.HFValidationError):
        return f"no name that the Hub takes ({reason_of(error, LONGEST)})"
    if status is None:
        return f"the Hub cannot be reached ({reason_of(error, LONGEST)})"
    return f"the Hub refuses this ({reason_of(error, LONGEST)})"


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
