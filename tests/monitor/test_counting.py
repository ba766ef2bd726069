"""Files into a monitor: what is new in them counts, and it is told what was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepslope.errors import SteepslopeError
from steepslope.monitor import counting as watching, ledger
from steepslope.monitor.counting import Watch
from steepslope.monitor.ledger import Ledger
from steepslope.monitor.predictions import Batch, read_predictions
from steepslope.monitor.sentences import sentences
from tests.monitor.problems import gate, monitor_of, stream

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


def test_labels_that_contradict_and_labels_that_are_no_class_are_counted(tmp_path: Path) -> None:
    watch = Watch(monitor_of(GATE), classes=("cat", "dog"))
    watch.predictions([predictions(tmp_path / "predictions.parquet", slice(0, 1_000))])
    watch.true_labels(labels(tmp_path / "labels.parquet", [1, 2, 3], "cat"))
    watch.true_labels(labels(tmp_path / "labels.parquet", [3, 3], "dog"))
    assert (watch.labels_repeated, watch.contradicting) == (2, 2)
    table = pa.table({"id": [f"photo {row}" for row in range(8)], "label": ["cat"] * 5 + ["Cat", "Cat", "yak"]})
    pq.write_table(table, tmp_path / "labels.parquet")
    watch.true_labels(tmp_path / "labels.parquet")
    assert (watch.contradicting, watch.strange) == (2, {"Cat": 2, "yak": 1})
    text = "\n".join(sentences(watch))
    assert "2 labels contradict the one that was counted before; the first counts." in text
    assert "3 labels are no class, and count as errors: 'Cat' (2), 'yak' (1)." in text


def test_whether_labels_are_classes_is_judged_by_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a file in which all are new classes does not make the file wrong."""
    watch = Watch(monitor_of(GATE), classes=("cat", "dog"))
    path = predictions(tmp_path / "predictions.parquet", slice(0, 1_000))
    watch.predictions([path])
    monkeypatch.setattr(watching, "read_labels", in_parts([("photo 1", "yak"), ("photo 2", "cat")]))
    watch.true_labels(path)
    assert watch.labels == 2
    monkeypatch.setattr(watching, "read_labels", in_parts([("photo 1", "yak"), ("photo 2", "gnu")]))
    with pytest.raises(SteepslopeError, match="expected labels as they are predicted"):
        watch.true_labels(path)


def in_parts(rows: list[tuple[str, str]]) -> Any:
    """Return a reader that yields each label alone."""
    return lambda path: (
        (np.array([one], dtype=np.object_), np.array([label], dtype=np.object_)) for one, label in rows
    )


def test_what_is_forgotten_is_not_counted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "KEPT", 4)
    watch = Watch(monitor_of(GATE), classes=("cat", "dog"))
    days = [predictions(tmp_path / f"{start}.parquet", slice(start, start + 3)) for start in (0, 3, 6)]
    watch.predictions(days)
    watch = Watch(watch.monitor, Ledger.read(json.loads(json.dumps(watch.ledger.as_json()))), ("cat", "dog"))
    assert (watch.monitor.rows, watch.ledger.forgotten) == (9, 5)
    watch.predictions(days)
    assert (watch.monitor.rows, watch.new, watch.repeated) == (9, 0, 9)
    watch.true_labels(labels(tmp_path / "labels.parquet", list(range(9)), "cat"))
    watch.predictions(days)
    watch.true_labels(labels(tmp_path / "labels.parquet", list(range(9)), "cat"))
    assert (watch.monitor.labels, watch.labels_unknown) == (4, 10)


@pytest.mark.parametrize("parts", [1, 12])
def test_a_file_that_grew_beyond_what_is_remembered_is_refused(
    parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "KEPT", 4)
    watch = Watch(monitor_of(GATE))
    path = tmp_path / "all.parquet"
    watch.predictions([predictions(path, slice(0, 10))])
    assert watch.monitor.rows == 10
    grown = predictions(path, slice(0, 12))
    whole = next(iter(read_predictions(grown)))
    ends = [list(range(12))] if parts == 1 else [[row] for row in range(12)]
    batches = [Batch(whole.ids[one], whole.labels[one], whole.rows.subset(np.array(one))) for one in ends]
    monkeypatch.setattr(watching, "read_predictions", lambda path, truth: iter(batches))
    with pytest.raises(SteepslopeError, match=r"expected known predictions before new ones, .* the latest 4 are"):
        watch.predictions([grown])
    latest = predictions(tmp_path / "latest.parquet", slice(7, 12))
    monkeypatch.undo()
    monkeypatch.setattr(ledger, "KEPT", 4)
    other = Watch(monitor_of(GATE))
    other.predictions([predictions(tmp_path / "others.parquet", slice(0, 10)), latest])
    assert (other.monitor.rows, other.new) == (12, 12)


def test_labels_tell_where_in_the_stream_they_are_of(tmp_path: Path) -> None:
    watch = Watch(monitor_of(GATE), classes=("cat", "dog"))
    watch.predictions([predictions(tmp_path / "predictions.parquet", slice(0, 1_000))])
    accepted = np.flatnonzero(stream(1_000, 1).judged(GATE).accepted)[-40:]
    watch.true_labels(labels(tmp_path / "labels.parquet", accepted.tolist(), "dog"))
    assert watch.monitor.labelled.history[-1].row in (accepted + 1).tolist()
    assert watch.monitor.alarms["labels"] == 1_000  # when it was raised
    assert watch.monitor.labelled.alarm_count in range(1, 41)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    watch = Watch(monitor_of(GATE), classes=("cat", "dog"))
    path = predictions(tmp_path / "predictions.parquet", slice(0, 10))
    table = pq.read_table(path).set_column(1, "label", pa.array(["dog"] * 10))
    watch.predictions([path])
    pq.write_table(table, tmp_path / "others.parquet")
    with pytest.raises(SteepslopeError, match=r"others\.parquet: id: expected ids that tell predictions apart"):
        watch.predictions([tmp_path / "others.parquet"])
