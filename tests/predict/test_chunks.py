"""Long tables in chunks: stopped anywhere, by a kill or an error, they end in the same bytes, in little memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.files._folders import staged_folder
from steepslope.gate import Gate
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs._table import TableBlocks
from steepslope.predict import _prediction_file as prediction_file
from steepslope.predict._chunks import FromOutputs
from steepslope.predict._options import PredictOptions
from steepslope.predict._prediction_file import predict_to_file
from steepslope.predict._source import write_decisions_on_outputs
from steepslope.scores import MCP
from tests.conftest import kill_once_there, make_outputs
from tests.images import digits_below

ROWS = 50


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate.of(MCP(), make_outputs(), 0.3)


def test_chunks_that_are_there_are_not_made_again(gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_outputs(ROWS).save(tmp_path / "outputs")
    source = FromOutputs(gate, TableBlocks(tmp_path / "outputs", size=8), PredictOptions())
    whole, out, chunks = (tmp_path / name for name in ("whole.csv", "found.csv", ".found.csv.chunks"))
    predict_to_file(source, whole, {})
    made = 0

    def stopped_at_the_fifth(*given: Any, **named: Any) -> Any:
        nonlocal made
        made += 1
        if made == 5:
            raise KeyboardInterrupt
        return staged_folder(*given, **named)

    monkeypatch.setattr(prediction_file, "staged_folder", stopped_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        predict_to_file(source, out, {})
    before = {path.name: path.stat().st_mtime_ns for path in chunks.glob("*.npz")}
    assert len(before) == 4
    with monkeypatch.context() as patch:
        patch.setattr(prediction_file, "_join_prediction_chunks", lambda *_: pytest.fail("stopped"))
        with pytest.raises(pytest.fail.Exception):
            predict_to_file(source, out, {})
    after = {path.name: path.stat().st_mtime_ns for path in chunks.glob("*.npz")}
    assert len(after) == 7
    assert {name: after[name] for name in before} == before
    assert predict_to_file(source, out, {}).rows == ROWS
    assert out.read_bytes() == whole.read_bytes()
    assert not chunks.exists()


def test_a_full_disk_is_one_line_and_an_earlier_file_stays(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, outputs = tmp_path / "found.parquet", make_outputs(40)
    write_decisions_on_outputs(gate, outputs, None, out, PredictOptions())
    before = out.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for step in ("chunk_with_columns", "table_writer"):
        with monkeypatch.context() as patch:
            patch.setattr(prediction_file, step, full)
            with pytest.raises(SteepslopeError, match=r"writing failed \(No space left on device\)"):
                write_decisions_on_outputs(gate, outputs.subset(slice(20)), None, out, PredictOptions())
        assert out.read_bytes() == before


@pytest.mark.slow
def test_a_killed_run_on_images_goes_on_to_the_same_bytes(gates: Path, tmp_path: Path) -> None:
    digits_below(tmp_path / "photos", [f"{row:03d}.png" for row in range(ROWS)])
    data = f"--data images:{tmp_path}/photos --shard-rows 8 --batch-size 8"
    whole, out = tmp_path / "whole.parquet", tmp_path / "found" / "found.parquet"
    out.parent.mkdir()
    words = f"predict --gate {gates}/free {data} --out".split()
    assert main([*words, str(whole)]) == 0
    kill_once_there([sys.executable, "-m", "steepslope", *words, str(out)], out.parent / f".{out.name}.chunks/*.npz")
    assert main([*words, str(out)]) == 0
    assert out.read_bytes() == whole.read_bytes()
    left = sorted(path.name for path in out.parent.iterdir() if path.suffix != ".lock")
    assert left == [out.name, f"{out.name}.json"]


STATUS = Path("/proc/self/status")
PEAK = """
import sys
from pathlib import Path
from steepslope.cli._main import main
code = main(sys.argv[1:])
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
sys.exit(code)
"""  # what getrusage tells is at least that of the parent, which it was before it became another program


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="Linux tells the peak there")
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """With 200,000 rows; a million take the same."""
    rng, rows, out = np.random.default_rng(0), 200_000, tmp_path / "found.parquet"
    logits = rng.standard_normal((rows, 10), dtype=np.float32)
    outputs = ClassifierOutputs(logits, features=rng.standard_normal((rows, 64), dtype=np.float32))
    outputs.save(tmp_path / "folder")
    outputs.changed(features=None).save(tmp_path / "logits.parquet")
    known = ClassifierOutputs(rng.standard_normal((2_000, 10), dtype=np.float32))
    Gate.of(MCP(), known.changed(labels=known.predictions), 0.1).save(tmp_path / "gate")
    for source in ("folder", "logits.parquet"):
        words = f"predict --gate {tmp_path}/gate --outputs {tmp_path}/{source} --replace --out {out}"
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", PEAK, *words.split()]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert int(found.stdout) < 2**20  # KiB
        assert pq.read_metadata(out).num_rows == rows
