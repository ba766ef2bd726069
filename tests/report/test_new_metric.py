"""A metric is one function and one entry: tables, JSON and the page follow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steepslope.cli.main import main
from steepslope.metrics import METRICS, Metric, Ranking
from tests.conftest import make_outputs


def test_an_entry_in_metrics_is_all_that_a_metric_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def toy(ranking: Ranking) -> float:
        return ranking.n_wrong / 1000

    monkeypatch.setitem(METRICS, "toy", Metric(toy, "Toy", "A toy.", "TOY", scale=1000, higher_is_better=False))
    outputs = make_outputs(60)
    outputs.save(tmp_path / "o.npz")
    words = f"evaluate --outputs {tmp_path / 'o.npz'} --scores margin --bootstrap 5 --out {tmp_path / 'out'}"
    assert main(words.split()) == 0
    wrong = int((~outputs.is_correct).sum())
    rows = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [row["toy"]["value"] for row in rows] == [wrong / 1000] * 2
    assert rows[1]["vs_mcp"]["toy"]["value"] == 0
    table = (tmp_path / "out" / "table.md").read_text()
    assert table.count("| Toy ×1000 ↓ |") == 2  # in the main table, and among the differences
    assert f"| {wrong}.0 [" in table
    assert ">Toy ×1000 ↓</button>" in (tmp_path / "out" / "report.html").read_text()
    assert "TOY" in capsys.readouterr().out
