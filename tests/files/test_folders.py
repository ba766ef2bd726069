"""What tells a file from others, and what decides an artifact."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.files._artifact import made_by_command
from steepslope.files._folders import fingerprint
from steepslope.oracle._settings import OracleSettings


def test_contents_count_or_sizes_times_and_places_do(tmp_path: Path) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    first.write_bytes(b"1234")
    shutil.copy2(first, copy)
    assert fingerprint(first) == fingerprint(copy)
    assert fingerprint(first, contents=False) == fingerprint(first, contents=False) != fingerprint(copy, contents=False)
    before = [fingerprint(first), fingerprint(first, contents=False)]
    times = first.stat()
    first.write_bytes(b"1235")
    os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = [fingerprint(first), fingerprint(first, contents=False)]
    assert before[0] != after[0]
    assert before[1] != after[1]
    with pytest.raises(SteepslopeError, match=r"no: cannot be read \(No such file"):
        fingerprint(tmp_path / "no")


def test_of_a_folder_what_is_read_counts(tmp_path: Path) -> None:
    (tmp_path / "logits.npy").write_bytes(b"12")
    before = fingerprint(tmp_path)
    (tmp_path / "report.html").write_text("what is not read decides nothing")
    (tmp_path / "logits.npy").touch()
    assert fingerprint(tmp_path) == before
    (tmp_path / "auxiliary").mkdir()
    (tmp_path / "auxiliary" / "features.npy").write_bytes(b"1")
    assert fingerprint(tmp_path) != before


def test_options_and_contents_decide(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "logits.npy").write_bytes(b"12")
    settings = OracleSettings(seed=3)
    options = {"outputs": str(tmp_path / "in"), "settings": settings, "scores": ("mcp", "o"), "out": "here"}
    made = made_by_command("fit", options)
    assert made == made_by_command("fit", {**options, "out": "there", "replace": True}) == json.loads(json.dumps(made))
    assert (made["command"], made["seed"], made["scores"]) == ("fit", 3, ["mcp", "o"])
    assert made != made_by_command("fit", {**options, "settings": OracleSettings(seed=4)})
    (tmp_path / "in" / "logits.npy").write_bytes(b"21")
    assert made != made_by_command("fit", options)
    (tmp_path / "rows.csv").write_text("written by the command itself")
    assert list(made_by_command("evaluate", {"rows": str(tmp_path / "rows.csv")})) == ["command"]
    assert made_by_command("fit", {"name": "x" * 5000})["name"] == "x" * 5000  # no path can be so long
    assert list(made_by_command("fit", {"outputs": os.devnull})) == ["command", "outputs"]  # nothing waits for its end


def test_secrets_in_urls_are_not_kept() -> None:
    data = ("images:https://me:secret@host/a?signature=secret", "paths:s3://key:secret@lake/a.csv?path=place")
    made = made_by_command("fit", {"data": data, "settings": {"reference": "images:gs://token:secret@lake/a"}})
    assert made["data"] == ["images:https://host/a", "paths:s3://lake/a.csv?path=place"]
    assert made["reference"] == "images:gs://lake/a"
    assert "secret" not in json.dumps(made)
