"""Every benchmark runs at a tiny size, and one that fails keeps neither the others nor their lines away."""

from __future__ import annotations

import math
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from benchmarks.__main__ import main
from benchmarks.predicting import _seconds_an_image
from benchmarks.registry import BENCHMARKS, Benchmark
from benchmarks.results import health
from benchmarks.timing import Comparison

from steepslope_lab.benchmark.rows import CHOOSING


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of rows and images that are far too few
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_runs_at_a_tiny_size(name: str) -> None:
    run = partial(BENCHMARKS[name].run, **BENCHMARKS[name].tiny)
    if name.startswith("ray"):
        pytest.importorskip("ray")
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:  # which Ray may end
            result = alone.submit(run).result()
    else:
        result = run()
    assert result.title
    assert math.isfinite(result.ratio)
    assert result.theirs > 0


def test_what_fails_is_told_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> Comparison:
        assert "| first: one |" in (tmp_path / "bench.md").read_text()  # what was measured is there already
        raise ValueError("no\nluck")

    works = Benchmark(lambda: Comparison("one", 1.0, 2.0, 1.5), {})
    for name, one in (("first", works), ("broken", Benchmark(broken, {})), ("last", works)):
        monkeypatch.setitem(BENCHMARKS, name, one)
    assert main(["first", "broken", "last"], tmp_path / "bench.md") == 1
    lines = (tmp_path / "bench.md").read_text().splitlines()
    assert lines[2:] == [
        "| first: one | 1 s | 2 s | 2 | ≥ 1.5 |",
        "| broken: failed, ValueError: no luck | | | | |",
        "| last: one | 1 s | 2 s | 2 | ≥ 1.5 |",
    ]
    assert capsys.readouterr().out.splitlines() == lines
    assert main(["last"], tmp_path / "bench.md") == 0
    with pytest.raises(SystemExit, match="unknown benchmark 'lst'"):
        main(["lst"], tmp_path / "bench.md")


def test_the_time_an_image_counts_rows_and_not_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    def chunks(folder: Path) -> Generator[tuple[Path, dict[str, np.ndarray]]]:
        for _ in range(3):
            yield folder, {"id": np.arange(100), "label": np.arange(100)}

    monkeypatch.setattr("benchmarks.predicting.time.perf_counter", count().__next__)
    assert _seconds_an_image(chunks) == 2 / 200  # two seconds after the first chunk, two chunks


def test_what_health_changes_in_a_preset_is_known_to_its_reader() -> None:
    changes = [*health.KNOWN.values()]
    for sets in (*health.SHIFTED.values(), *health.OTHERS.values()):
        changes += sets.values()
    for change in changes:
        assert {*change} <= {"format", "files", "labelled", *CHOOSING}
