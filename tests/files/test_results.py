"""What made a result: its options, and the files that they name; and when it may be replaced."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.files.artifact import MADE, Result, made_by
from steepslope.oracle.settings import OracleSettings

THING = Result("a thing", ("first.txt", "last.txt"), card="made.json")


def test_secrets_in_urls_are_not_kept() -> None:
    data = ("images:https://me:secret@host/a?signature=secret", "paths:s3://key:secret@lake/a.csv?path=place")
    made = made_by("fit", {"data": data, "settings": {"reference": "wds:gs://token:secret@lake/a.tar"}})
    assert made["data"] == ["images:https://host/a", "paths:s3://lake/a.csv?path=place"]
    assert made["reference"] == "wds:gs://lake/a.tar"
    assert "secret" not in json.dumps(made)


def test_options_and_contents_decide(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "logits.npy").write_bytes(b"12")
    options = {
        "outputs": str(tmp_path / "in"),
        "settings": OracleSettings(seed=3),
        "scores": ("mcp", "o"),
        "out": "here",
    }
    made = made_by("fit", options)
    assert made == made_by("fit", {**options, "out": "there", "replace": True})
    assert (made["command"], made["seed"], made["scores"]) == ("fit", 3, ["mcp", "o"])
    assert made == json.loads(json.dumps(made))
    assert made != made_by("fit", {**options, "settings": OracleSettings(seed=4)})
    (tmp_path / "in" / "report.html").write_text("what is not read decides nothing")
    assert made == made_by("fit", options)
    (tmp_path / "in" / "auxiliary").mkdir()
    (tmp_path / "in" / "auxiliary" / "features.npy").write_bytes(b"1")
    more = made_by("fit", options)
    assert made != more
    os.utime(tmp_path / "in" / "logits.npy", ns=(1, 1))
    assert more != made_by("fit", options)
    (tmp_path / "rows.csv").write_text("written by the command itself")
    assert list(made_by("evaluate", {"rows": str(tmp_path / "rows.csv")})) == ["command"]
    assert made_by("fit", {"name": "x" * 5000})["name"] == "x" * 5000  # no path can be so long


def test_a_result_is_complete_replaced_or_refused(tmp_path: Path) -> None:
    made = {"seed": 0, "file": "x" * 50}
    assert not THING.is_complete(tmp_path, made, replace=False)
    (tmp_path / "first.txt").write_text("")
    with pytest.raises(
        SteepslopeError, match=f"^{tmp_path}: holds a thing already, made in a way that is not known: cho"
    ):
        THING.is_complete(tmp_path, made, replace=False)
    (tmp_path / "made.json").write_text(json.dumps({MADE: made}))
    assert not THING.is_complete(tmp_path, made, replace=False)  # a run was killed while its files were moved
    (tmp_path / "last.txt").write_text("")
    assert THING.is_complete(tmp_path, made, replace=False)
    assert not THING.is_complete(tmp_path, made, replace=True)
    for changes, shown in (
        ({"seed": 1}, "seed 0, not 1"),
        ({"file": "y" * 50}, "other file"),
        ({"more": 1}, "more None"),
    ):
        with pytest.raises(SteepslopeError, match=f"holds a thing already, with {shown}.* or give --replace"):
            THING.is_complete(tmp_path, {**made, **changes}, replace=False)
        assert not THING.is_complete(tmp_path, {**made, **changes}, replace=True)
