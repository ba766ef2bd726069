"""An exported gate behind the server: requests of the same sizes are run together, a batch at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.nets.export.file import ArraySpec, ExportedGate
from steepslope.serve import served as serving
from steepslope.serve.metrics import Metrics
from steepslope.serve.served import served_file, takes_images
from tests.serve.models import array_gate, drawn, file_served, image_gate, of_images


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
        assert len(rows) == len(images)
        for name, array in expected.items():
            np.testing.assert_allclose(rows.outputs[name], array, rtol=1e-6)
        assert rows.decision is not None
        assert rows.decision.tolist() == ["accept" if one else "review" for one in expected["accepted"]]


def test_an_oracle_alone_decides_nothing(tmp_path: Path) -> None:
    exported = ExportedGate.open(image_gate(tmp_path))
    served = served_file(replace(exported, outputs=(ArraySpec("trust_logit", np.float64, (None,)),)), 4)
    (rows,) = served.run([{"images": drawn(2, 3, 3)}], 1)
    assert [*rows.outputs] == ["trust_logit"]
    assert rows.decision is None
    assert not takes_images(served)
    metrics = Metrics()
    metrics.of_batch([rows], 0.1)
    assert b"steepslope_predictions_total 0.0" in metrics.text()
    assert b"steepslope_batch_rows_sum 2.0" in metrics.text()


def test_images_of_unknown_channels_are_refused(tmp_path: Path) -> None:
    exported = ExportedGate.open(image_gate(tmp_path))
    for shape in ((None, None, None, None), (None, None, 3)):
        with pytest.raises(SteepslopeError, match=r"expected images .N, H, W, C. of a known number of channels"):
            served_file(replace(exported, inputs=(ArraySpec("images", np.uint8, shape),)), 4)
    assert not takes_images(file_served(array_gate(tmp_path)))


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
        np.testing.assert_allclose(rows.outputs["p_correct"], of_images(images)["p_correct"], rtol=1e-6)


def test_memory_of_large_images_is_given_back(tmp_path: Path) -> None:
    exported = ExportedGate.open(image_gate(tmp_path))
    images = np.zeros((1, 3_000, 3_000, 3), np.uint8)
    exported.run({"images": images}, release=True)
    before = resident()
    exported.run({"images": images})
    kept = resident() - before
    exported.run({"images": images}, release=True)
    assert kept > 100 << 20
    assert resident() - before < kept / 4
