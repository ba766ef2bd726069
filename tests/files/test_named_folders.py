"""Names of folders: as they are, packed, unpacked once, and never half."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.files.folders import write_json
from steepslope.files.hub import as_folder, cache_folder
from steepslope.files.packed import pack


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEEPSLOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    (tmp_path / "packed").mkdir()
    write_json(tmp_path / "made" / "gate.json", {"rows": 1})
    pack(tmp_path / "made", ["gate.json"], "gate", tmp_path / "packed")
    return tmp_path / "packed"


def test_other_folders_are_taken_as_they_are(tmp_path: Path, packed: Path) -> None:
    for path in (tmp_path / "made", tmp_path / "no", tmp_path):
        assert as_folder(path, "gate.json") == path
    assert as_folder("mcp", "oracle.json") == Path("mcp")


def test_it_is_unpacked_once_for_each_content(tmp_path: Path, packed: Path, cache: Path) -> None:
    found = as_folder(packed, "gate.json")
    assert (found / "gate.json").read_bytes() == (tmp_path / "made" / "gate.json").read_bytes()
    packed.rename(tmp_path / "moved")
    assert as_folder(str(tmp_path / "moved"), "gate.json") == found
    write_json(tmp_path / "made" / "gate.json", {"rows": 2})
    pack(tmp_path / "made", ["gate.json"], "gate", tmp_path / "moved")
    assert as_folder(tmp_path / "moved", "gate.json") != found
    assert len([*cache.iterdir()]) == 2


def test_many_at_once_find_one_complete_folder(packed: Path, cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = {*pool.map(lambda _: as_folder(packed, "gate.json"), range(32))}
    assert [*cache.iterdir()] == [*found]


def test_a_packed_gate_is_no_oracle(packed: Path) -> None:
    with pytest.raises(SteepslopeError, match="packed: expected a packed oracle, found a packed gate"):
        as_folder(packed, "oracle.json")


def test_what_is_damaged_leaves_nothing_in_the_cache(packed: Path, cache: Path) -> None:
    (packed / "model.safetensors").write_bytes(b"")
    with pytest.raises(SteepslopeError, match=r"model\.safetensors: was changed after it was packed"):
        as_folder(packed, "gate.json")
    assert [*cache.iterdir()] == []
    (packed / "model.safetensors").unlink()
    with pytest.raises(SteepslopeError, match=r"model\.safetensors: expected a packed folder's file"):
        as_folder(packed, "gate.json")


def test_a_cache_that_cannot_be_written_to_is_named(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STEEPSLOPE_CACHE", str(tmp_path / "file"))
    with pytest.raises(SteepslopeError, match=r"file: cannot unpack .* name another folder in \$STEEPSLOPE_CACHE"):
        as_folder(packed, "gate.json")


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("STEEPSLOPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "usual"))
    assert cache_folder() == tmp_path / "usual" / "steepslope"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "steepslope"
