"""What is kept for the user between runs: whole or not at all, and never more than fits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from steepslope.files import _cache as cache
from steepslope.files._cache import DIGEST, _cache_folder, read_cache, write_cache

KEY, OTHER = "a" * 64, "b" * 64


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEEPSLOPE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_contents_come_back_under_their_key_alone() -> None:
    assert read_cache(KEY) is None
    write_cache(KEY, b"first")
    assert (read_cache(KEY), read_cache(OTHER)) == (b"first", None)


def test_new_contents_replace_those_of_the_key(folder: Path) -> None:
    for content in (b"first", b"second", b"second"):
        write_cache(KEY, content)
    assert read_cache(KEY) == b"second"
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("damaged", [b"", b"fir", b"fIrst", b"first and more"])
def test_damaged_contents_are_nothing_and_go(folder: Path, damaged: bytes) -> None:
    write_cache(KEY, b"first")
    (path,) = folder.iterdir()
    path.write_bytes(damaged)
    assert read_cache(KEY) is None
    assert not path.exists()


def test_files_used_longest_ago_make_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LARGEST", 2 * (DIGEST + 5))
    for moment, key in enumerate((KEY, OTHER)):
        write_cache(key, b"12345")
        os.utime(next(folder.glob(f"{key}*")), (moment, moment))
    assert read_cache(KEY) == b"12345"  # used last from now on
    write_cache("c" * 64, b"12345")
    assert (read_cache(KEY), read_cache(OTHER), read_cache("c" * 64)) == (b"12345", None, b"12345")


def test_a_folder_that_cannot_be_had_costs_nothing_else(folder: Path) -> None:
    folder.write_text("a file in its place")
    write_cache(KEY, b"first")
    assert read_cache(KEY) is None
    assert folder.read_text() == "a file in its place"


def test_the_folder_is_that_of_the_users_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STEEPSLOPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _cache_folder() == tmp_path / "steepslope"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert _cache_folder() == Path.home() / ".cache" / "steepslope"
