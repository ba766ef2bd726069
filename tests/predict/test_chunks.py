"""Long tables in parts: stopped anywhere, by a signal or an error, they end in the same bytes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from steepslope.cli.main import main
from steepslope.outputs import ClassifierOutputs
from steepslope.predict import prediction_file
from tests.images import digits_below

ROWS, PARTS, KILLS = 50, 7, 10


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits_below(tmp_path_factory.mktemp("photos"), [f"{row:03d}.png" for row in range(ROWS)])


def words(gates: Path, photos: Path, out: Path, *options: str) -> list[str]:
    data = ["--data", f"images:{photos}", "--shard-rows", "8", "--batch-size", "8"]
    return ["predict", "--gate", str(gates / "free"), *data, "--out", str(out), *options]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def stop_at(step: str, count: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step of the writing fail when it comes for the n-th time."""
    real, calls = getattr(prediction_file, step), iter(range(1, 1000))

    def failing(*given: Any, **named: Any) -> Any:
        if next(calls) == count:
            raise error
        return real(*given, **named)

    monkeypatch.setattr(prediction_file, step, failing)


@pytest.mark.slow
def test_an_interrupt_says_how_to_go_on_and_parts_that_are_there_are_not_made_again(
    gates: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, parts = tmp_path / "found.csv", tmp_path / ".found.csv.chunks"
    with monkeypatch.context() as patch:
        stop_at("staged_folder", 4, KeyboardInterrupt(), patch)
        assert main(words(gates, photos, out)) == 130
    error = capsys.readouterr().err
    assert error.startswith("steepslope: interrupted; earlier results are as they were; to go on: steepslope predict")
    assert error.count("\n") == 1
    before = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
    assert len(before) == 3
    with monkeypatch.context() as patch:
        stop_at("_join_prediction_chunks", 1, RuntimeError("stopped"), patch)
        assert main(words(gates, photos, out)) == 2
    after = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
    assert len(after) == PARTS
    assert {name: after[name] for name in before} == before
    assert main(words(gates, photos, out)) == 0


def command(words: list[str]) -> None:
    sys.exit(main(words))


@pytest.mark.slow
def test_killed_ten_times_at_random_moments(gates: Path, photos: Path, tmp_path: Path) -> None:
    """A process with all imports forks each run, so that kills fall into the work and not into imports."""
    whole, out = tmp_path / "whole.parquet", tmp_path / "found" / "found.parquet"
    out.parent.mkdir()
    assert main(words(gates, photos, whole)) == 0
    context, rng = multiprocessing.get_context("forkserver"), np.random.default_rng(0)
    context.set_forkserver_preload(["steepslope.predict.source"])

    def run(delay: float | None = None) -> int | None:
        process = context.Process(target=command, args=(words(gates, photos, out),))
        process.start()
        process.join(delay)
        process.kill()
        process.join()
        return process.exitcode

    def fresh() -> None:
        for path in out.parent.glob(f"{out.name}*"):
            path.unlink()

    usual = 0.0
    for _ in range(2):  # the first run is slower
        fresh()
        start = time.monotonic()
        assert run() == 0
        usual = time.monotonic() - start
    kills = 0
    while kills < KILLS:
        if out.exists() and not (out.parent / f".{out.name}.chunks").exists():  # finished: once more
            assert out.read_bytes() == whole.read_bytes()
            fresh()
        kills += run(rng.uniform(0.1, 0.7) * usual) == -signal.SIGKILL
    assert run() == 0
    assert out.read_bytes() == whole.read_bytes()
    assert names(out.parent) == [out.name, f"{out.name}.json"]


# outputs of any length


STATUS = Path("/proc/self/status")
BOUND = """
import sys
from pathlib import Path
from steepslope.cli.main import main
code = main(sys.argv[1:])
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
sys.exit(code)
"""


def peak(out: str, *given: str) -> float:
    """Return the largest memory in MiB of a command in a process of its own.

    What getrusage tells is at least that of the parent, which it was before it became another program.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", BOUND, "predict", "--out", out, *given]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(found.stdout) / 1024


def long_outputs(home: Path, rows: int) -> ClassifierOutputs:
    """Write outputs of ten classes with features to a folder, and their logits to a .parquet file."""
    rng, labels = np.random.default_rng(0), np.random.default_rng(1).integers(10, size=rows)
    centres = np.random.default_rng(2).normal(size=(10, 64)).astype(np.float32)
    logits = rng.standard_normal((rows, 10), dtype=np.float32)
    logits[np.arange(rows), labels] += 2
    features = centres[labels] + rng.standard_normal((rows, 64), dtype=np.float32)
    outputs = ClassifierOutputs(logits, labels, features)
    outputs.save(home / "folder")
    outputs.changed(features=None).save(home / "logits.parquet")
    return outputs


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="Linux tells the peak there")
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """With 200,000 rows; a million take the same."""
    long_outputs(tmp_path, 200_000)
    fit_set = long_outputs(tmp_path / "fit", 3_000).subset(slice(0, 3_000))
    for name, rows in {"fit": slice(0, 1_000), "reference": slice(1_000, 2_000), "rest": slice(2_000, 3_000)}.items():
        fit_set.subset(rows).changed(ids=[f"{name}/{row}" for row in range(1_000)]).save(tmp_path / f"{name}.npz")
    known = f"--outputs {tmp_path}/fit.npz --reference {tmp_path}/reference.npz"
    assert main(f"fit --budget free {known} --out {tmp_path}/oracle".split()) == 0
    for name in ("mcp", str(tmp_path / "oracle")):
        words = f"calibrate --oracle {name} --outputs {tmp_path}/rest.npz --max-risk 0.3 --out {tmp_path}/gate"
        assert main([*words.split(), "--replace"]) == 0
        for source in ("folder", "logits.parquet") if name == "mcp" else ("folder",):
            out = tmp_path / "found.parquet"
            given = ("--gate", str(tmp_path / "gate"), "--outputs", str(tmp_path / source), "--replace")
            assert peak(str(out), *given) < 1024
            assert pq.read_metadata(out).num_rows == 200_000
            out.unlink()
