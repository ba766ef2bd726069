"""Repositories on the Hugging Face Hub, by name: what is downloaded is one revision, what is uploaded one commit.

A repository is the folder of a gate or an oracle as it is, with ``config.json``, which has the digests of its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from steepslope.errors import SteepslopeError, reason_of
from steepslope.files.extras import require_extra
from steepslope.files.folders import field, fingerprint, read_json, write_json
from steepslope.files.progress import say

HUB = "hub:"
LIBRARY, CONFIG = "steepslope", "config.json"
FILE = re.compile(r"(oracle/)?[a-z_]+\.(json|md|safetensors)")  # no other is read, wherever a name comes from
LONGEST = 200  # characters of the Hub's own words that are shown
LOG_IN = "log in with a token that may do this (hf auth login, or HF_TOKEN)"
NOT_SHARED = "expected a repository with a gate or an oracle (steepslope push)"
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
def hub_snapshot(name: str) -> Path:
    """Return the folder in the Hub's cache with a repository's files; its own name is the commit.

    Where the Hub cannot be reached, the cache is taken as it is, and a notice tells which commit that is.

    Raises
    ------
    SteepslopeError
        If there is no such repository or revision, nothing is cached offline, or it is none of a gate or
        an oracle.
    """
    repository = Repository.of(name)
    with hub_errors(name, repository) as hub:
        reason = _hub_unreachable(hub, repository)
        asked = {"revision": repository.revision, "local_files_only": reason is not None}
        folder = Path(hub.hf_hub_download(repository.name, CONFIG, **asked)).parent  # which the Hub counts
        files = files_shared_on_hub(folder)
        if files is None:
            raise SteepslopeError(NOT_SHARED, name)
        asked["revision"] = folder.name
        for file in files:
            hub.hf_hub_download(repository.name, file, **asked)
        if reason is not None:
            say(f"{name}: the Hub was not reached ({reason}): commit {folder.name} is taken from the cache")
        return folder


def _hub_unreachable(hub: Any, repository: Repository) -> str | None:
    """Return why the Hub cannot be reached, or None; raise if it answers that there is no such repository."""
    try:
        hub.HfApi(library_name=LIBRARY).model_info(repository.name, revision=repository.revision)
    except hub.errors.HfHubHTTPError:
        raise
    except (OSError, hub.errors.HTTPError) as error:
        return reason_of(error, LONGEST)
    return None


def hub_commit(name: str) -> str:
    """Return the commit that a name on the Hub stands for, in hex."""
    return hub_snapshot(name).name


def upload_to_hub(folder: Path, repository: Repository, private: bool, message: str) -> str:
    """Make the repository if there is none, commit the folder's files to its main branch, and return the commit.

    Raises
    ------
    SteepslopeError
        If it may not be written to, is public where a private one is wanted, or holds what this package did not share.
    """
    place = f"{HUB}{repository.name}"
    with hub_errors(place, repository) as hub:
        api = hub.HfApi(library_name=LIBRARY)
        if not api.repo_exists(repository.name):
            api.create_repo(repository.name, private=private, exist_ok=True)
        _require_own_repository(hub, api.repo_info(repository.name), private, place)
        made = api.upload_folder(
            repo_id=repository.name, folder_path=folder, commit_message=message, delete_patterns="*"
        )
        return str(made.oid)


def _require_own_repository(hub: Any, info: Any, private: bool, place: str) -> None:
    if private and not info.private:
        remedy = "give --public, or make it private"
        raise SteepslopeError(f"expected a private repository, found a public one: {remedy}", place)
    files = {file.rfilename for file in info.siblings or ()} - {".gitattributes", "README.md"}
    config = hub.hf_hub_download(info.id, CONFIG, revision=info.sha) if CONFIG in files else None
    if files and (config is None or files_shared_on_hub(Path(config).parent) is None):
        shown = ", ".join(sorted(files)[:3])
        raise SteepslopeError(f"expected a new repository, or one of a shared gate or oracle, found {shown}", place)


def require_repository(text: str) -> Repository:
    """Return the repository of a name to upload to; raise, before anything is done, for one that the Hub refuses."""
    repository = Repository.of(text)
    if repository.revision is not None:
        raise SteepslopeError("expected no revision: what is uploaded is a new one", text)
    with hub_errors(text, repository):
        require_extra("huggingface_hub.utils", "hub", text).validate_repo_id(repository.name)
    return repository


@contextmanager
def hub_errors(place: str, repository: Repository) -> Iterator[Any]:
    """Give the Hub's library to the block, and let what it raises leave as one line."""
    hub = require_extra("huggingface_hub", "hub", place)
    errors = require_extra("huggingface_hub.errors", "hub", place)  # an attribute of the library from then on
    try:
        yield hub
    except SteepslopeError:
        raise
    except (OSError, ValueError, errors.EntryNotFoundError, errors.HTTPError) as error:
        raise SteepslopeError(_hub_error_words(error, errors, repository), place) from error


def _hub_error_words(error: Exception, errors: Any, repository: Repository) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the repository has no revision {repository.revision!r}"
    refused = isinstance(error, errors.LocalTokenNotFoundError | errors.RepositoryNotFoundError)
    if refused or status in (401, 403):
        return f"the Hub has no such repository, or not for you: {LOG_IN}"
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return "the Hub cannot be reached, and its cache on this machine does not hold this repository and revision"
    if isinstance(error, errors.EntryNotFoundError):
        return NOT_SHARED
    if isinstance(error, errors.HFValidationError):
        return f"no name that the Hub takes ({reason_of(error, LONGEST)})"
    what = "cannot be reached" if status is None else "refuses this"
    return f"the Hub {what} ({reason_of(error, LONGEST)})"


def folder_or_hub_snapshot(name: str | Path) -> Path:
    """Return the folder on this machine that a name stands for: itself, or the snapshot of ``hub:user/name@revision``.

    Raises
    ------
    SteepslopeError
        If it cannot be had from the Hub.
    """
    return hub_snapshot(str(name)) if is_hub(name) else Path(name)


def write_hub_config(folder: Path, kind: str) -> None:
    """Write the ``config.json`` of a folder that is shared: the library, by which the Hub counts, and all digests."""
    write_json(folder / CONFIG, {"library_name": LIBRARY, "kind": kind, "files": digests_in_folder(folder)})


def digests_in_folder(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder, by its name, in order."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): fingerprint(path) for path in paths}


def files_shared_on_hub(folder: Path) -> dict[str, str] | None:
    """Return the SHA-256 of each file of a shared folder by its name; None where this package has shared nothing.

    Raises
    ------
    SteepslopeError
        If its ``config.json`` names what is no file of a gate or an oracle.
    """
    path = folder / CONFIG
    if not path.is_file():
        return None
    config = read_json(path, "a shared gate or oracle")
    if config.get("library_name") != LIBRARY:
        return None
    files: dict[str, str] = field(config, "files", dict, path)
    for name in files:
        if not FILE.fullmatch(name):
            raise SteepslopeError(f"expected the files of a gate or oracle, found {name!r}", path)
    return files
