"""Names on the Hub, and what its client library and a server of our own make of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.files import hub
from steepslope.files.artifact import made_by_command
from steepslope.files.hub import (
    Repository,
    folder_or_hub_snapshot,
    hub_commit,
    hub_snapshot,
    require_repository,
    upload_to_hub,
    write_hub_config,
)
from tests.conftest import contents
from tests.files.hub_server import Repo, served, speaking_to

FILES = {"gate.json": b"{}", "oracle/oracle.safetensors": b"x"}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def repos(tmp_path: Path) -> Iterator[dict[str, Repo]]:
    with served(tmp_path / "cache") as found:
        yield found


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files as they are shared, with their digests and a card."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "config.json").unlink(missing_ok=True)
    (folder / "README.md").unlink(missing_ok=True)
    write_hub_config(folder, "gate")
    (folder / "README.md").write_text("# A gate", encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "shared", FILES)


@pytest.mark.parametrize("name", ["gate", "/gate", "me/a/b", "me/a b", "me/gate@ "])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(SteepslopeError, match="expected the name of a repository, user/name or user/name@revision"):
        Repository.of(name)


@pytest.mark.parametrize("name", ["me/a--b", "me/gäte", "me/" + 97 * "a"])
def test_names_to_upload_to(name: str) -> None:
    """What the Hub refuses is refused before anything is done."""
    assert require_repository("hub:me/gate") == Repository("me/gate")
    with pytest.raises(SteepslopeError, match="me/gate@v1: expected no revision: what is uploaded is a new one"):
        require_repository("me/gate@v1")
    with pytest.raises(SteepslopeError, match="no name that the Hub takes") as error:
        require_repository(name)
    assert "\n" not in str(error.value)


def test_what_is_uploaded_is_downloaded(folder: Path, repos: dict[str, Repo]) -> None:
    for path in (folder, folder / "no"):  # other folders are taken as they are
        assert folder_or_hub_snapshot(path) == path
    commit = upload_to_hub(folder, Repository("me/gate"), False, "A gate")
    with pytest.raises(SteepslopeError, match="hub:me/gate@v1: the repository has no revision 'v1'"):
        hub_snapshot("hub:me/gate@v1")
    assert [*repos["me/gate"].commits][1:] == [commit]  # one, after that which makes the repository
    assert not repos["me/gate"].private
    found = contents(hub_snapshot("hub:me/gate"))
    config = json.loads(found.pop("config.json"))
    assert found == FILES  # the card is not needed
    assert config["library_name"] == "steepslope"
    assert config["files"] == {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    assert hub_commit("hub:me/gate") == commit == hub_commit(f"hub:me/gate@{commit}")
    made = made_by_command("evaluate", {"scores": ("mcp", "hub:me/gate")})
    assert made == {"command": "evaluate", "scores": ["mcp", "hub:me/gate"], "commit of hub:me/gate": commit}


def test_a_name_is_one_revision_in_a_process_and_a_commit_for_ever(folder: Path, repos: dict[str, Repo]) -> None:
    first = upload_to_hub(folder, Repository("me/gate"), False, "A gate")
    assert hub_commit("hub:me/gate") == first
    (folder / "gate.json").unlink()
    write(folder, {"oracle/oracle.safetensors": b"another"})
    second = upload_to_hub(folder, Repository("me/gate"), False, "Another gate")
    assert hub_commit("hub:me/gate") == first
    hub.hub_snapshot.cache_clear()  # as in the next process
    assert hub_commit("hub:me/gate") == second != first
    assert {*contents(hub_snapshot("hub:me/gate"))} == {"config.json", "oracle/oracle.safetensors"}
    assert "gate.json" not in repos["me/gate"].commits[second]
    assert (hub_snapshot(f"hub:me/gate@{first}") / "oracle" / "oracle.safetensors").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../gate.json", "/tmp/gate.json", "gate.py"])
def test_no_other_file_is_read(name: str, folder: Path, repos: dict[str, Repo]) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["files"][name] = "0"
    repos["me/evil"] = Repo()
    repos["me/evil"].commit({**FILES, "config.json": json.dumps(config).encode(), "gate.py": b"raise"})
    with pytest.raises(SteepslopeError, match="expected the files of a gate or oracle, found"):
        hub_snapshot("hub:me/evil")


def test_without_network_the_cache_is_taken(
    folder: Path, repos: dict[str, Repo], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = upload_to_hub(folder, Repository("me/gate"), False, "A gate")
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
            with pytest.raises(SteepslopeError, match="the Hub cannot be reached, and its cache on this machine does"):
                hub_snapshot(name)
        with pytest.raises(SteepslopeError, match=r"hub:me/gate: the Hub cannot be reached \("):
            upload_to_hub(folder, Repository("me/gate"), False, "A gate")
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        hub.hub_snapshot.cache_clear()
        assert hub_snapshot("hub:me/gate") == known
        assert f"commit {commit} is taken from the cache" in capsys.readouterr().err


@pytest.mark.parametrize("content", [{"pytorch_model.bin": b""}, {"config.json": b"{}", "model.safetensors": b""}])
def test_what_others_made_is_neither_taken_nor_overwritten(
    content: dict[str, bytes], folder: Path, repos: dict[str, Repo]
) -> None:
    repos["me/bert"] = Repo()
    head = repos["me/bert"].commit(content)
    with pytest.raises(SteepslopeError, match="expected a repository with a gate or an oracle"):
        hub_snapshot("hub:me/bert")
    with pytest.raises(SteepslopeError, match="expected a new repository, or one of a shared gate or oracle, found "):
        upload_to_hub(folder, Repository("me/bert"), False, "A gate")
    assert repos["me/bert"].head == head


def test_private_is_private_or_nothing_is_uploaded(folder: Path, repos: dict[str, Repo]) -> None:
    upload_to_hub(folder, Repository("me/secret"), True, "A gate")
    assert repos["me/secret"].private
    repos["me/open"] = Repo()
    head = repos["me/open"].commit({})
    with pytest.raises(SteepslopeError, match="expected a private repository, found a public one"):
        upload_to_hub(folder, Repository("me/open"), True, "A gate")
    assert repos["me/open"].head == head


def test_without_a_token_one_is_told_to_log_in(folder: Path, tmp_path: Path) -> None:
    with served(tmp_path / "cache", token=None) as repos:
        with pytest.raises(SteepslopeError, match=r"log in with a token .*\(hf auth login, or HF_TOKEN"):
            upload_to_hub(folder, Repository("me/gate"), False, "A gate")
        repos["me/secret"] = Repo(private=True)
        repos["me/secret"].commit(FILES)
        for name in ("hub:me/secret", "hub:me/no"):
            with pytest.raises(SteepslopeError, match="the Hub has no such repository, or not for you"):
                hub_snapshot(name)
