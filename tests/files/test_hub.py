"""Names on the Hub, and what its client library and a server of our own make of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.files import _hub as hub
from steepslope.files._artifact import made_by_command
from steepslope.files._hub import folder_or_hub_snapshot, hub_snapshot, repository_and_revision, upload_to_hub
from tests.conftest import contents
from tests.files.hub_server import Repo, served, speaking_to
from tests.refusal import refusal

FILES = {"gate.json": b"{}", "oracle/oracle.safetensors": b"x", "config.json": b"{}"}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def repos(tmp_path: Path) -> Iterator[dict[str, Repo]]:
    with served(tmp_path / "cache") as found:
        yield found


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "shared", {**FILES, "README.md": b"# A gate"})


def upload(folder: Path, name: str = "me/gate", is_private: bool = False) -> str:
    return upload_to_hub(folder, name, is_private, "A gate")


@pytest.mark.parametrize("name", ["gate", "/gate", "me/a/b", "me/a b", "me/gate@ "])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(SteepslopeError, match="expected the name of a repository, user/name or user/name@revision"):
        repository_and_revision(name)


def test_what_is_uploaded_is_downloaded(folder: Path, repos: dict[str, Repo]) -> None:
    for path in (folder, folder / "no"):  # other folders are taken as they are
        assert folder_or_hub_snapshot(path) == path
    commit = upload(folder)
    assert [*repos["me/gate"].commits][1:] == [commit]  # one, after that which makes the repository
    assert contents(hub_snapshot("hub:me/gate")) == FILES  # the card is not needed
    assert hub_snapshot("hub:me/gate").name == commit == hub_snapshot(f"hub:me/gate@{commit}").name
    assert refusal(hub_snapshot, "hub:me/gate@v1").startswith("hub:me/gate@v1: the Hub has no such repository or rev")
    made = made_by_command("evaluate", {"scores": ("mcp", "hub:me/gate")})
    assert made == {"command": "evaluate", "scores": ["mcp", "hub:me/gate"], "commit of hub:me/gate": commit}


def test_a_name_is_one_revision_in_a_process_and_a_commit_for_ever(
    folder: Path, repos: dict[str, Repo], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = upload(folder)
    assert hub_snapshot("hub:me/gate").name == first
    (folder / "oracle" / "oracle.safetensors").unlink()
    write(folder, {"gate.json": b"[]"})
    second = upload(folder)
    assert hub_snapshot("hub:me/gate").name == first
    hub.hub_snapshot.cache_clear()  # as in the next process
    with monkeypatch.context() as patch:
        patch.setattr(hub, "_why_unreachable", lambda *_: "gone")  # and came back at once
        assert hub_snapshot("hub:me/gate").name == first
    hub.hub_snapshot.cache_clear()
    assert hub_snapshot("hub:me/gate").name == second != first
    assert contents(hub_snapshot("hub:me/gate")) == {"gate.json": b"[]", "config.json": b"{}"}
    assert "oracle/oracle.safetensors" not in repos["me/gate"].commits[second]
    assert contents(hub_snapshot(f"hub:me/gate@{first}")) == FILES


def test_no_other_file_is_downloaded(repos: dict[str, Repo]) -> None:
    repos["me/evil"] = Repo()
    others = {"gate.py": b"raise", "model.safetensors": b"", "sub/gate.json": b"{}", "../gate.json": b"{}"}
    repos["me/evil"].commit({**FILES, **others})
    assert contents(hub_snapshot("hub:me/evil")) == FILES


def test_without_network_the_cache_is_taken(
    folder: Path, repos: dict[str, Repo], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = upload(folder)
    known = hub_snapshot("hub:me/gate")
    assert capsys.readouterr().err == ""
    with pytest.MonkeyPatch.context() as patch:
        speaking_to(patch, NOWHERE, tmp_path / "cache")
        assert hub_snapshot("hub:me/gate") == hub_snapshot(f"hub:me/gate@{commit}") == known
        first, second = capsys.readouterr().err.splitlines()
        assert first.startswith("hub:me/gate: the Hub was not reached (")
        assert second.startswith(f"hub:me/gate@{commit}: the Hub was not reached (")
        assert first.endswith(f": commit {commit} is taken from the cache")
        for name in ("hub:me/other", "hub:me/gate@v1"):
            assert "the Hub cannot be reached, and its cache on this machine does not" in refusal(hub_snapshot, name)
        assert refusal(upload, folder).startswith("hub:me/gate: the Hub cannot be reached, or refuses this (")
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        hub.hub_snapshot.cache_clear()
        assert hub_snapshot("hub:me/gate") == known
        assert f"commit {commit} is taken from the cache" in capsys.readouterr().err


def test_what_others_made_is_neither_taken_nor_overwritten(folder: Path, repos: dict[str, Repo]) -> None:
    repos["me/bert"] = Repo()
    head = repos["me/bert"].commit({"config.json": b"{}", "model.safetensors": b""})
    assert "expected a repository with a gate or an oracle" in refusal(hub_snapshot, "hub:me/bert")
    assert "holds other files, such as model.safetensors" in refusal(upload, folder, "me/bert")
    assert repos["me/bert"].head == head


def test_private_is_private_or_nothing_is_uploaded(folder: Path, repos: dict[str, Repo]) -> None:
    upload(folder, "me/secret", is_private=True)
    assert repos["me/secret"].private
    repos["me/open"] = Repo()
    head = repos["me/open"].commit({})
    assert "expected a private repository, found a public one" in refusal(upload, folder, "me/open", is_private=True)
    assert repos["me/open"].head == head


def test_without_a_token_one_is_told_to_log_in(folder: Path, tmp_path: Path) -> None:
    with served(tmp_path / "cache", token=None) as repos:
        repos["me/secret"] = Repo(private=True)
        repos["me/secret"].commit(FILES)
        told = [refusal(upload, folder), *(refusal(hub_snapshot, name) for name in ("hub:me/secret", "hub:me/no"))]
        for line in told:
            assert line.endswith("or not for you: log in (hf auth login, or HF_TOKEN)")
