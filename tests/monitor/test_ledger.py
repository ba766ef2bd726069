"""Which predictions were counted: each once, told by ids, and remembered in order up to a limit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from steepslope.errors import SteepslopeError
from steepslope.monitor import ledger
from steepslope.monitor.ledger import Ledger, hashes_of
from steepslope.monitor.predictions import Batch, Predicted


def batch(ids: list[int], p_correct: float = 0.5, label: str = "cat") -> Batch:
    count = len(ids)
    rows = Predicted(np.full(count, p_correct), np.ones(count, np.bool_))
    names = np.array([f"id {one}" for one in ids], dtype=np.object_)
    return Batch(names, np.full(count, label, dtype=np.object_), rows)


def counted(found: Ledger, one: Batch) -> Ledger:
    own = Ledger.of(one)
    return found.plus(own.subset(found.new(own, one.ids)))


@given(st.lists(st.lists(st.integers(0, 20), max_size=12), max_size=5))
def test_each_id_is_counted_once_in_the_order_in_which_it_came(parts: list[list[int]]) -> None:
    found = Ledger.empty()
    for ids in parts:
        found = counted(found, batch(ids))
    expected = list(dict.fromkeys(one for ids in parts for one in ids))
    np.testing.assert_array_equal(found.ids, hashes_of(f"id {one}" for one in expected))
    places = found.places(hashes_of(["id 3", "id 99"]))
    assert places.tolist() == [expected.index(3) if 3 in expected else -1, -1]


def test_it_comes_back_from_json() -> None:
    found = counted(Ledger.empty(), batch([1, 2, 3])).labelled(np.array([1, 2]), np.array([False, True])).with_file("a")
    again = Ledger.read(json.loads(json.dumps(found.as_json())))
    assert again.as_json() == found.as_json()
    assert again.flags.tolist() == [1, 3, 7]
    assert again.files == {"a"}
    assert len(Ledger.read(None)) == 0


@pytest.mark.parametrize(
    "other", [batch([7, 2], p_correct=0.6), batch([7, 2], label="dog"), batch([7, 7, 8, 2], label="dog")]
)
def test_an_id_of_another_prediction_is_refused(other: Batch) -> None:
    found = counted(Ledger.empty(), batch([1, 2, 3]))
    with pytest.raises(SteepslopeError, match=r"id: expected ids that tell predictions apart, .* found 'id 2' with"):
        counted(found, other)


def test_two_predictions_of_one_id_in_one_file_are_refused() -> None:
    one, two = batch([1, 2]), batch([2], p_correct=0.9)
    rows = Predicted(np.append(one.rows.p_correct, two.rows.p_correct), np.ones(3, np.bool_))
    both = Batch(np.append(one.ids, two.ids), np.append(one.labels, two.labels), rows)
    with pytest.raises(SteepslopeError, match="found 'id 2' with another prediction before"):
        counted(Ledger.empty(), both)


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "KEPT", 4)
    found = counted(counted(Ledger.empty(), batch([1, 2, 3])), batch([4, 5, 6]))
    assert (found.forgotten, len(found)) == (2, 4)
    assert found.places(hashes_of(["id 2", "id 3"])).tolist() == [-1, 0]
