"""Which predictions are reviewed first, and what is said about those that cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.csv as pc
import pytest

from steepslope.cli._main import main
from steepslope.gate import Gate
from steepslope.predict._review_order import ReviewOrder
from steepslope.scores import MCP
from tests.conftest import Captured, make_outputs


def test_highest_expected_loss_comes_first_over_all_chunks() -> None:
    first = {
        "decision": np.array(["accept", "review"]),
        "p_correct": np.array([0.99, 0.7]),
        "label": np.array(["a", "b"]),
    }
    second = {
        "decision": np.array(["review"] * 3),
        "p_correct": np.array([0.6, np.nan, 0.65]),
        "label": np.array(["a"] * 3),
    }
    order = ReviewOrder.of([first, second], 2, {})
    assert order.place.tolist() == [0, 0, 2, 1, 0]
    assert (order.left, round(order.wrong, 6)) == (2, 0.65)
    dear = ReviewOrder.of([first, second], 1, {"a": 1.0, "b": 10.0})
    assert dear.place.tolist() == [0, 1, 0, 0, 0]
    unknown = ReviewOrder.of([first, second], 1, {"a": 1.0}, usual=10.0)
    assert unknown.place.tolist() == [0, 1, 0, 0, 0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Gate.of(MCP(), make_outputs(600), max_risk=0.1).save("gate")
    make_outputs(400, seed=1).save("new")
    return tmp_path


def test_a_file_has_the_places(folder: Path, capsys: Captured) -> None:
    words = "predict --gate gate --outputs new --reviews 20 --audit 5 --out decisions.csv"
    assert main(words.split()) == 0
    table = pc.read_csv(folder / "decisions.csv").to_pandas()
    queue = table[table.review_order.notna()].sort_values("review_order")
    assert queue.review_order.tolist() == list(range(1, 21))
    assert (queue.decision == "review").all()
    others = table[(table.decision == "review") & table.review_order.isna()]
    assert queue.p_correct.is_monotonic_increasing
    assert queue.p_correct.max() <= others.p_correct.min()
    wrong = (1 - others.p_correct).sum()
    left = f"{len(others)} of the {len(others) + 20} to review are more than can be reviewed"
    assert f"{left}. About {wrong:,.0f} of these are wrong, by P(correct)." in capsys.readouterr().err


def test_enough_reviews_say_nothing(folder: Path, capsys: Captured) -> None:
    assert (
        main(["predict", "--gate", "gate", "--outputs", "new", "--reviews", "400", "--out", "decisions.parquet"]) == 0
    )
    assert "more than can be reviewed" not in capsys.readouterr().err
    assert main(["predict", "--gate", "gate", "--outputs", "new", "--reviews", "0", "--out", "other.csv"]) == 2
    assert "reviews" in capsys.readouterr().err
