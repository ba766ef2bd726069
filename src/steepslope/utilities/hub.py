"""Repositories on the Hugging Face Hub, by name: what is downloaded is one revision, what is uploaded one commit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from steepslope.errors import SteepslopeError, reason_of
from steepslope.utilities.extras import require_extra
from steepslope.utilities.packed_config import CONFIG, LIBRARY, TENSORS, packed_kind

HUB = "hub:"
LONGEST = 200  # characters of the Hub's own words that are shown
LOG_IN = "log in with a token that may do this (hf auth login, or HF_TOKEN)"
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

    Where the Hub cannot be reached, the cache is taken as it is.

    Raises
    ------
    SteepslopeError
        If there is no such repository or revision, nothing is cached offline, or it holds nothing that was packed.
    """
    repository, hub = Repository.of(name), _library(name)
    with hub_errors(name, repository):
        first = Path(_download(hub, repository, [CONFIG]))
        if packed_kind(first) is None:
            raise SteepslopeError("expected a repository with a packed gate or oracle (steepslope push)", name)
        return Path(_download(hub, Repository(repository.name, first.name), [CONFIG, TENSORS]))


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
    if repository.revision is not None:
        raise SteepslopeError("expected no revision: what is uploaded is a new one", f"{place}@{repository.revision}")
    hub = _library(place)
    api = hub.HfApi(library_name=LIBRARY)
    with hub_errors(place, repository):
        if not api.repo_exists(repository.name):
            api.create_repo(repository.name, private=private, exist_ok=True)
        _require_own(hub, api.repo_info(repository.name), private, place)
        done = api.upload_folder(repo_id=repository.name, folder_path=folder, commit_message=message)
        return str(done.oid)


def _require_own(hub: Any, found: Any, private: bool, place: str) -> None:
    if private and not found.private:
        raise SteepslopeError("expected a private repository, found a public one: make it private first", place)
    files = {one.rfilename for one in found.siblings or ()} - {".gitattributes", "README.md"}
    if not files:
        return
    kind = None
    if CONFIG in files:
        kind = packed_kind(Path(_download(hub, Repository(found.id, found.sha), [CONFIG])))
    if kind is None:
        shown = ", ".join(sorted(files)[:3])
        raise SteepslopeError(f"expected a new repository, or one of a packed gate or oracle, found {shown}", place)


def require_repository(text: str) -> Repository:
    """Return the repository of a name to upload to; raise, before anything is done, for one that the Hub refuses."""
    repository = Repository.of(text)
    with hub_errors(text, repository):
        _library(text).utils.validate_repo_id(repository.name)
    return repository


def _library(name: str) -> Any:
    return require_extra("huggingface_hub", "hub", name)


def _download(hub: Any, repository: Repository, files: list[str]) -> str:
    found: str = hub.snapshot_download(
        repository.name, revision=repository.revision, allow_patterns=files, library_name=LIBRARY
    )
    return found


@contextmanager
def hub_errors(place: str, repository: Repository) -> Iterator[None]:
    """Let what the Hub's library raises leave the block as one line."""
    errors = _library(place).errors
    try:
        yield
    except SteepslopeError:
        raise
    except (OSError, ValueError, errors.HTTPError) as error:
        raise SteepslopeError(_words(error, errors, repository), place) from error


def _words(error: Exception, errors: Any, repository: Repository) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the repository has no revision {repository.revision!r}"
    if isinstance(error, errors.LocalTokenNotFoundError) or status in (401, 403):
        return f"no such repository, or not for you: {LOG_IN}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the Hub has no such repository, or does not show it to you: {LOG_IN}"
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return "the Hub cannot be reached, and its cache on this machine does not hold this repository and revision"
    if isinstance(error, errors.HFValidationError):
        return f"no name that the Hub takes ({reason_of(error, LONGEST)})"
    return f"the Hub does not answer as expected ({reason_of(error, LONGEST)})"
