"""A folder is one thing: what is not as it was written is not read, and a reader sees the files of one time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepslope.errors import SteepslopeError
from steepslope.files import _memory as memory
from steepslope.files._folders import read_json
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs._options import ReadingOptions
from tests.files.sealing import INNER, OUTER, WRITE, write


def texts(folder: Path) -> set[str]:
    """Return the texts that one reading finds, of which there should be one."""

    def of_inner(card: dict[str, Any]) -> set[str]:
        return {card["text"], (folder / "inside" / "d").read_text()}

    def of_outer(card: dict[str, Any]) -> set[str]:
        found = {card["text"], *((folder / name).read_text() for name in ("a", "b"))}
        return found | INNER.read(folder / "inside", of_inner)

    return OUTER.read(folder, of_outer)


def test_each_file_is_bound_to_all_others(tmp_path: Path) -> None:
    write(tmp_path / "one", "1")
    write(tmp_path / "two", "2")
    assert texts(tmp_path / "one") == {"1"}
    for path in sorted(path for path in (tmp_path / "one").rglob("*") if path.is_file()):
        content = path.read_bytes()
        for other in (
            bytes([content[0] ^ 1]) + content[1:],
            (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(),
        ):
            path.write_bytes(other)
            with pytest.raises(SteepslopeError):
                texts(tmp_path / "one")
        path.write_bytes(content)
    write(tmp_path / "two", "3", inside=False)  # c may lie there as any file
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["a", "c", "card.json"]
    (tmp_path / "one" / "c").unlink()
    assert texts(tmp_path / "one") == {"1"}
    (tmp_path / "one" / "a").unlink()
    with pytest.raises(SteepslopeError, match=r"one/a: expected the file written with card.json, found none: copy"):
        texts(tmp_path / "one")


def test_what_made_it_does_not_count_and_other_formats_are_named(tmp_path: Path) -> None:
    write(tmp_path, "1")
    card = json.loads((tmp_path / "card.json").read_text())
    assert sorted(card["files"]) == ["a", "b", "c", "inside/inner.json"]  # that one answers for what lies next to it
    (tmp_path / "card.json").write_text(json.dumps({**card, "made": {"by": "others"}}))
    assert texts(tmp_path) == {"1"}
    (tmp_path / "card.json").write_text(json.dumps({**card, "version": 0}))
    with pytest.raises(SteepslopeError, match=r"card\.json: expected version 1 of the format, found 0"):
        texts(tmp_path)


def test_two_write_and_one_reads(tmp_path: Path) -> None:
    """Each of the readings finds the files of one writer, and none fails."""
    folder, stop = tmp_path / "it", tmp_path / "stop"
    write(folder, "1")
    running = [subprocess.Popen([sys.executable, "-c", WRITE, str(folder), str(stop), text]) for text in "12"]
    try:
        while not all((tmp_path / f"stop{text}").exists() for text in "12"):
            assert all(process.poll() is None for process in running)
        found = [texts(folder) for _ in range(30)]
    finally:
        stop.touch()
    assert [process.wait() for process in running] == [0, 0]
    assert {len(one) for one in found} == {1}
    assert texts(folder) in ({"1"}, {"2"})
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "c", "card.json", "inside"]


def test_what_is_nested_too_deeply_is_a_plain_refusal(tmp_path: Path) -> None:
    (tmp_path / "gate.json").write_text("[" * 200_000)
    with pytest.raises(SteepslopeError, match=r"gate\.json: expected a gate, .* cannot be read .it is nested too deep"):
        read_json(tmp_path / "gate.json", "a gate")


def of_npz(path: Path) -> Path:
    np.savez_compressed(path.with_suffix(".npz"), logits=np.zeros((60_000, 4)))
    return path.with_suffix(".npz")


def of_parquet(path: Path) -> Path:
    columns = {f"logit_{k}": np.zeros(60_000) for k in range(4)}
    pq.write_table(pa.table(columns), path.with_suffix(".parquet"), row_group_size=5_000)
    return path.with_suffix(".parquet")


@pytest.mark.parametrize("make", [of_npz, of_parquet])
def test_a_small_file_that_unpacks_to_much_is_refused_before(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "rows")
    assert len(ClassifierOutputs.load(path)) == 60_000  # little harm is no harm
    monkeypatch.setattr(memory, "HARMLESS", 1 << 20)
    with pytest.raises(SteepslopeError, match=r"rows.\w+: expected a file that unpacks to 100 times its size at most"):
        ClassifierOutputs.load(path)
    full = ClassifierOutputs(np.random.default_rng(0).normal(size=(60_000, 4)))
    full.save(path)
    assert len(ClassifierOutputs.load(path)) == 60_000
    with pytest.raises(SteepslopeError, match=r"expected a file that unpacks to 100 times its size at most"):
        ClassifierOutputs.load(path, ReadingOptions(opinion=(f"other={make(tmp_path / 'opinion')}",)))
    monkeypatch.setattr(memory, "free_memory", lambda: 1e6)
    with pytest.raises(SteepslopeError, match=r"rows.\w+: expected a file that fits into 0.0 GiB of free memory"):
        ClassifierOutputs.load(path)
