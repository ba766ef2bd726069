"""A folder of tables and figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from steepslope.report._grid import Cell, Grid
from steepslope_lab.paper.results import Drawing, write_results


def grid(title: str = "Main") -> Grid:
    return Grid(title, ["score", "AUC ↑"], [[Cell("**block**"), Cell("")], [Cell("SS"), Cell("71.8", "[70.1, 73.2]")]])


def write(out: Path, name: str, title: str, source: str = "Table 1") -> None:
    about = {"title": title, "source": source, "preset": "digits"}
    rows = [{"score": "SS", "auc": {"value": 0.5, "low": None, "high": 0.6}}]
    drawing = Drawing(Figure(figsize=(2, 1)), f"Of seed 0, the first of 3, {title}.")
    shown: dict[str, Grid | Drawing] = {name: grid(title), f"{name}-seeds": grid("By seed"), f"{name}-loss": drawing}
    write_results(out, name, about, shown, rows)


def test_a_table_is_there_in_every_form(tmp_path: Path) -> None:
    write(tmp_path, "first", "One")
    tables = {"first.md", "first-seeds.md"}
    figures = {f"first-loss.{end}" for end in ("png", "svg")}
    assert {path.name for path in tmp_path.iterdir()} == {*tables, *figures, "first.json"}
    assert "| SS | 71.8 [70.1, 73.2] |" in (tmp_path / "first.md").read_text()
    content = json.loads((tmp_path / "first.json").read_text())
    assert content["rows"] == [{"score": "SS", "auc": [0.5, None, 0.6]}]
    assert content["notes"] == {"first": "", "first-seeds": "", "first-loss": "Of seed 0, the first of 3, One."}


def test_what_is_no_longer_shown_goes(tmp_path: Path) -> None:
    write(tmp_path, "first", "Old")
    write(tmp_path, "second", "Other")
    before = {path.name for path in tmp_path.iterdir()}
    (tmp_path / "first-own.md").write_text("a reader's own")
    write_results(tmp_path, "first", {"title": "New", "source": ""}, {"first": grid("New")}, [])
    gone = before - {path.name for path in tmp_path.iterdir()}
    assert gone == {f"first-{one}" for one in ("seeds.md", "loss.png", "loss.svg")}
    assert (tmp_path / "first-own.md").exists()


@pytest.mark.parametrize("content", ["{", '{"notes": []}'])
def test_a_broken_result_is_replaced(content: str, tmp_path: Path) -> None:
    (tmp_path / "first.json").write_text(content)
    write(tmp_path, "first", "New")
    assert "New" in (tmp_path / "first.json").read_text()
