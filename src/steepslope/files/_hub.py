"""Gates and oracles on the Hugging Face Hub, by name: ``hub:user/name`` or ``hub:user/name@revision``.

The Hub's library uploads, downloads and caches. No other files than those that a gate or an oracle writes are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError, reason_of
from steepslope.files._extras import require_extra
from steepslope.files._progress import say

HUB = "hub:"
LIBRARY = "steepslope"
CONFIG, README = "config.json", "README.md"  # the Hub counts downloads of the first, and shows the second
_GATE_FILES = ("gate.json", "gate.json.sig", "certificate.md", "calibration_rows.safetensors", "score.safetensors")
_ORACLE_FILES = ("oracle.json", "oracle.json.sig", "oracle.safetensors", "evidence.safetensors", "fit_rows.safetensors")
FILES = (*_GATE_FILES, *_ORACLE_FILES, *(f"oracle/{name}" for name in _ORACLE_FILES))
NAME = re.compile(rf"(?:{HUB})?([^/@\s]+/[^/@\s]+)(?:@(\S+))?")
LONGEST = 200  # characters of the Hub's own words that are shown
REFUSED = "the Hub has no such repository or revision, or not for you: log in (hf auth login, or HF_TOKEN)"
_NOT_CACHED = "the Hub cannot be reached, and its cache on this machine does not hold this repository and revision"


def is_hub(name: str | Path) -> bool:
    """Return whether a name is one of the Hub's, ``hub:…``."""
    return str(name).startswith(HUB)


def repository_and_revision(name: str) -> tuple[str, str | None]:
    """Return the repository that a name means, and its branch, tag or commit; None for the newest commit.

    ``hub:`` may be left out.

    >>> repository_and_revision("hub:me/digits-gate@v1")
    ('me/digits-gate', 'v1')
    >>> repository_and_revision("digits-gate")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: digits-gate: expected the name of a repository, user/name or user/name@revision
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise SteepslopeError("expected the name of a repository, user/name or user/name@revision", name)
    return match[1], match[2]


@cache  # in one process a name stands for one revision, whatever is pushed meanwhile
def hub_snapshot(name: str) -> Path:
    """Return the folder in the Hub's cache with the files of a gate or an oracle; its own name is the commit.

    If the Hub cannot be reached, the cache is used, and a notice tells which commit that is.

    Raises
    ------
    SteepslopeError
        If there is no such repository or revision, it holds no gate or oracle, or it is not cached and the Hub cannot
        be reached.
    """
    repository, revision = repository_and_revision(name)
    with _hub_errors(name) as hub:
        reason = _why_unreachable(hub, repository, revision)
        downloaded = hub.snapshot_download(
            repository,
            revision=revision,
            library_name=LIBRARY,
            allow_patterns=[CONFIG, *FILES],
            local_files_only=reason is not None,
        )
    folder = Path(downloaded)
    if not ((folder / "gate.json").exists() or (folder / "oracle.json").exists()):
        raise SteepslopeError("expected a repository with a gate or an oracle (steepslope push)", name)
    if reason is not None:
        say(f"{name}: the Hub was not reached ({reason}): commit {folder.name} is taken from the cache")
    return folder


def _why_unreachable(hub: Any, repository: str, revision: str | None) -> str | None:
    """Return why the Hub cannot be reached, or None; raise if it answers that there is no such repository."""
    try:
        hub.HfApi(library_name=LIBRARY).model_info(repository, revision=revision)
    except hub.errors.HfHubHTTPError:
        raise
    except (OSError, hub.errors.HTTPError) as error:
        return reason_of(error, LONGEST)
    return None


def folder_or_hub_snapshot(name: str | Path) -> Path:
    """Return the folder on this machine that a name stands for: itself, or the snapshot of ``hub:user/name@revision``.

    See :func:`hub_snapshot` for errors.
    """
    if is_hub(name):
        return hub_snapshot(str(name))
    return Path(name)


def upload_to_hub(folder: Path, repository: str, is_private: bool, message: str) -> str:
    """Make the repository if there is none, let one commit replace its files by the folder's, and return that commit.

    Raises
    ------
    SteepslopeError
        If it may not be written to, is public where a private one is wanted, or holds other files.
    """
    place = f"{HUB}{repository}"
    with _hub_errors(place) as hub:
        api = hub.HfApi(library_name=LIBRARY)
        api.create_repo(repository, private=is_private, exist_ok=True)
        found = api.model_info(repository)
        if is_private and not found.private:
            raise SteepslopeError("expected a private repository, found a public one (--public)", place)
        others = {file.rfilename for file in found.siblings} - {".gitattributes", README, CONFIG, *FILES}
        if others:
            raise SteepslopeError(f"holds other files, such as {min(others)}: choose another repository", place)
        commit = api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message, delete_patterns="*")
    return str(commit.oid)


@contextmanager
def _hub_errors(place: str) -> Iterator[Any]:
    """Give the Hub's library to the block, and let what it raises leave as one line."""
    hub = require_extra("huggingface_hub", "hub", place)
    errors = require_extra("huggingface_hub.errors", "hub", place)  # an attribute of the library from then on
    try:
        yield hub
    except SteepslopeError:
        raise
    except (OSError, ValueError, errors.HTTPError) as error:
        raise SteepslopeError(_hub_error_in_words(error, errors), place) from error


def _hub_error_in_words(error: Exception, errors: Any) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403, 404):
        return REFUSED
    if isinstance(error, errors.LocalEntryNotFoundError):
        return _NOT_CACHED
    return f"the Hub cannot be reached, or refuses this ({reason_of(error, LONGEST)})"
