"""Files into a monitor: what is new in them counts, and it is told what was not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepslope.deploy.monitoring.watch import Watch
from steepslope.errors import SteepslopeError
from tests.deploy.monitoring.problems import gate, monitor_of, stream

GATE = gate()


def predictions(path: Path, rows: slice) -> Path:
    """Write some of 1,000 predictions, all of class cat."""
    judged = stream(1_000, 1).judged(GATE)
    names = [f"photo {row}" for row in range(1_000)]
    columns = {"id": names, "label": ["cat"] * 1_000, **judged.arrays()}
    pq.write_table(pa.table(columns).slice(rows.start, rows.stop - rows.start), path)
    return path


def labels(path: Path, ids: list[int], truth: str) -> Path:
    pq.write_table(pa.table({"id": [f"photo {one}" for one in ids], "label": [truth] * len(ids)}), path)
    return path


def test_what_overlaps_counts_once(tmp_path: Path) -> None:
    watch = Watch(monitor_of(GATE))
    parts = (slice(0, 600), slice(400, 1_000), slice(0, 1_000))
    watch.predictions([predictions(tmp_path / f"{part.start}-{part.stop}.parquet", part) for part in parts])
    assert (watch.new, watch.repeated) == (1_000, 1_200)
    assert watch.monitor.accepted == stream(1_000, 1).judged(GATE).accepted.sum()


def test_of_two_labels_of_a_prediction_the_first_counts(tmp_path: Path) -> None:
    watch = Watch(monitor_of(GATE), classes=("cat", "dog"))
    watch.predictions([predictions(tmp_path / "predictions.parquet", slice(0, 1_000))])
    watch.true_labels(labels(tmp_path / "labels.parquet", [5, 5, 3, 2_000], "cat"))
    watch.true_labels(labels(tmp_path / "labels.parquet", [3, 4], "dog"))
    assert (watch.labels, watch.labels_repeated, watch.labels_unknown) == (3, 2, 1)
    assert (watch.monitor.labels, watch.monitor.correct) == (3, 2)


def test_labels_tell_where_in_the_stream_they_are_of(tmp_path: Path) -> None:
    watch = Watch(monitor_of(GATE), classes=("cat", "dog"))
    watch.predictions([predictions(tmp_path / "predictions.parquet", slice(0, 1_000))])
    accepted = np.flatnonzero(stream(1_000, 1).judged(GATE).accepted)[-40:]
    watch.true_labels(labels(tmp_path / "labels.parquet", accepted.tolist(), "dog"))
    assert watch.monitor.alarms["labels"] in (accepted + 1).tolist()


def test_an_error_names_the_file(tmp_path: Path) -> None:
    watch = Watch(monitor_of(GATE), classes=("cat", "dog"))
    path = predictions(tmp_path / "predictions.parquet", slice(0, 10))
    table = pq.read_table(path).set_column(1, "label", pa.array(["dog"] * 10))
    watch.predictions([path])
    pq.write_table(table, tmp_path / "others.parquet")
    with pytest.raises(SteepslopeError, match=r"others\.parquet: id: expected ids that tell predictions apart"):
        watch.predictions([tmp_path / "others.parquet"])
