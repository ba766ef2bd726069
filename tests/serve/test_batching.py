"""What arrives together is run together; each request gets its own rows; a bad one spoils no other."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.nets.export._file import Arrays, ArraySpec, ExportedGate
from steepslope.serve import _served as serving
from steepslope.serve._batching import Batcher
from steepslope.serve._metrics import ServerMetrics
from steepslope.serve._served import served_file, served_row_count, serves_images
from tests.serve.models import array_gate, drawn, file_served, image_gate, of_images


@dataclass(eq=False)
class Doubles:
    """A model that doubles numbers, as soon as it may run; it refuses −1, breaks at −2, and writes down its batches."""

    may_run: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)
    tops: list[int] = field(default_factory=list)

    def run(self, parts: Sequence[Arrays], top: int) -> list[Arrays]:
        self.may_run.wait(20)
        self.batches.append([len(one["x"]) for one in parts])
        self.tops.append(top)
        if any((one["x"] == -1).any() for one in parts):
            raise SteepslopeError("expected no -1")
        if any((one["x"] == -2).any() for one in parts):
            raise ZeroDivisionError
        return [{"x": 2 * one["x"]} for one in parts]


def batcher_of(model: Doubles, seen: Any = lambda found, seconds: None) -> Batcher:
    return Batcher(model, 4, seen)  # type: ignore[arg-type]


def x(*values: float) -> dict[str, np.ndarray[Any, Any]]:
    return {"x": np.array(values)}


def test_jobs_that_wait_are_run_together_up_to_the_limit() -> None:
    model = Doubles()
    batcher = batcher_of(model)
    first = batcher.submit(x(0))
    while batcher.waiting.qsize():
        time.sleep(0.001)  # the thread has taken it, and waits
    others = [batcher.submit(x(*range(count)), top) for count, top in ((1, 1), (2, 3), (2, 1), (7, 1), (1, 2))]
    model.may_run.set()
    batcher.close()
    assert model.batches == [[1], [1, 2], [2], [7], [1]]
    assert model.tops == [1, 3, 1, 1, 2]
    assert first.result()["x"].tolist() == [0]
    for count, one in zip((1, 2, 2, 7, 1), others, strict=True):
        assert one.result()["x"].tolist() == [2 * value for value in range(count)]


def test_a_bad_job_spoils_no_other(caplog: pytest.LogCaptureFixture) -> None:
    model = Doubles()
    batcher = batcher_of(model)
    batcher.submit(x(0))
    while batcher.waiting.qsize():
        time.sleep(0.001)
    good, refused, broken, late = (batcher.submit(x(value), request_id=f"r{value}") for value in (5, -1, -2, 7))
    with caplog.at_level(logging.ERROR):
        model.may_run.set()
        batcher.close()
    assert good.result()["x"].tolist() == [10]
    assert late.result()["x"].tolist() == [14]
    assert isinstance(refused.exception(), SteepslopeError)
    assert isinstance(broken.exception(), ZeroDivisionError)
    assert [one.message for one in caplog.records] == [
        "request r-2 failed"
    ]  # of the one that is not the client's fault


def test_an_answer_of_nan_is_refused_and_infinity_is_the_largest_number() -> None:
    model = Doubles()
    model.may_run.set()
    batcher = batcher_of(model)
    infinite, unknown = batcher.submit(x(np.inf, 1)), batcher.submit(x(np.nan))
    batcher.close()
    assert infinite.result()["x"].tolist() == [np.finfo(np.float64).max, 2]
    assert "NaN" in str(unknown.exception())


def test_what_fails_to_watch_changes_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    model, told = Doubles(), []
    model.may_run.set()

    def seen(found: Sequence[Arrays], seconds: float) -> None:
        told.append((len(found), seconds >= 0))
        raise OSError("disk full")

    with caplog.at_level(logging.ERROR):
        batcher = batcher_of(model, seen=seen)
        assert batcher.submit(x(3)).result(20)["x"].tolist() == [6]
        assert batcher.submit(x(4)).result(20)["x"].tolist() == [8]
        batcher.close()
    assert told == [(1, True), (1, True)]
    assert {one.message for one in caplog.records} == {"what watches the decisions failed"}


def test_closing_runs_what_is_queued() -> None:
    model = Doubles()
    batcher = batcher_of(model)
    jobs = [batcher.submit(x(value)) for value in range(20)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    model.may_run.set()
    closing.join(20)
    assert [job.result(0)["x"].tolist() for job in jobs] == [[2 * value] for value in range(20)]
    batcher.close()  # a second time does nothing


@dataclass
class Counting:
    """A session that writes down the shape of each run."""

    session: Any
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    released: list[bool] = field(default_factory=list)

    def run(self, names: Sequence[str], arrays: Any, options: Any = None) -> Any:
        self.shapes.append(arrays["images"].shape)
        self.released.append(options is not None)
        return self.session.run(names, arrays, options)


def test_requests_of_one_size_are_run_together(tmp_path: Path) -> None:
    exported = ExportedGate.open(image_gate(tmp_path))
    counting = Counting(exported.session)
    served = served_file(replace(exported, session=counting), 4)
    several = [drawn(count, height, 5, seed=count) for count, height in ((1, 3), (2, 7), (2, 3), (3, 3))]
    found = served.run([{"images": images} for images in several], 1)
    assert counting.shapes == [(4, 3, 5, 3), (2, 3, 5, 3), (2, 7, 5, 3)]
    for images, rows in zip(several, found, strict=True):
        expected = of_images(images)
        assert served_row_count(rows) == len(images)
        for name, array in expected.items():
            np.testing.assert_allclose(rows[name], array, rtol=1e-6)
        assert rows["decision"].tolist() == ["accept" if one else "review" for one in expected["accepted"]]


def test_an_oracle_alone_decides_nothing(tmp_path: Path) -> None:
    exported = ExportedGate.open(image_gate(tmp_path))
    served = served_file(replace(exported, outputs=(ArraySpec("trust_logit", np.float64, (None,)),)), 4)
    (rows,) = served.run([{"images": drawn(2, 3, 3)}], 1)
    assert [*rows] == ["trust_logit"]
    assert not serves_images(served)
    metrics = ServerMetrics()
    metrics.of_batch([rows], 0.1)
    assert b"steepslope_predictions_total 0.0" in metrics.text()
    assert b"steepslope_batch_rows_sum 2.0" in metrics.text()


def test_images_of_unknown_channels_are_refused(tmp_path: Path) -> None:
    exported = ExportedGate.open(image_gate(tmp_path))
    for shape in ((None, None, None, None), (None, None, 3)):
        with pytest.raises(SteepslopeError, match=r"expected images .N, H, W, C. of a known number of channels"):
            served_file(replace(exported, inputs=(ArraySpec("images", np.uint8, shape),)), 4)
    assert not serves_images(file_served(array_gate(tmp_path)))


def test_large_images_are_run_alone_and_their_memory_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = ExportedGate.open(image_gate(tmp_path))
    session = Counting(exported.session)
    file = served_file(replace(exported, session=session), 32)
    monkeypatch.setattr(serving, "PIXELS", 200)
    small, large = drawn(3, 10, 9), drawn(3, 30, 9)
    found = file.run([{"images": small}, {"images": large}], 1)
    assert session.shapes == [(2, 10, 9, 3), (1, 10, 9, 3), *[(1, 30, 9, 3)] * 3]
    assert session.released == [False, False, True, True, True]
    for images, rows in zip((small, large), found, strict=True):
        np.testing.assert_allclose(rows["p_correct"], of_images(images)["p_correct"], rtol=1e-6)


def test_memory_of_large_images_is_given_back(tmp_path: Path) -> None:
    def run(release: bool) -> int:
        exported.run({"images": np.zeros((1, 3_000, 3_000, 3), np.uint8)}, release=release)
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    exported = ExportedGate.open(image_gate(tmp_path))
    before = run(release=True)
    kept = run(release=False) - before
    assert kept > 100 << 20
    assert run(release=True) - before < kept / 4
