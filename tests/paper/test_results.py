"""A folder of tables and figures, and the page with all of them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.paper.figures import loss_graphs
from steepslope.paper.results import Drawing, write_page, write_results
from steepslope.report.grid import Cell, Grid

SCRIPT = "<script>alert(1)</script>"


def grid(title: str = "Main") -> Grid:
    return Grid(title, ["score", "AUC ↑"], [[Cell("**block**"), Cell("")], [Cell("SS"), Cell("71.8", "[70.1, 73.2]")]])


def write(out: Path, name: str, title: str, source: str = "Table 1") -> None:
    about = {"title": title, "source": source, "preset": "digits"}
    rows = [{"score": "SS", "auc": {"value": 0.5, "low": None, "high": 0.6}}]
    drawing = Drawing(loss_graphs(), f"Of seed 0, the first of 3, {title}.")
    shown: dict[str, Grid | Drawing] = {name: grid(title), f"{name}-seeds": grid("By seed"), f"{name}-loss": drawing}
    write_results(out, name, about, shown, rows)
    write_page(out, ["second", "first"])


def test_a_table_is_there_in_every_form(tmp_path: Path) -> None:
    write(tmp_path, "first", "One")
    tables = {f"first{part}.{end}" for part in ("", "-seeds") for end in ("md", "tex", "csv")}
    figures = {f"first-loss.{end}" for end in ("png", "svg")}
    assert {path.name for path in tmp_path.iterdir()} == {*tables, *figures, "first.json", "index.html"}
    assert "| SS | 71.8 [70.1, 73.2] |" in (tmp_path / "first.md").read_text()
    with (tmp_path / "first.csv").open(encoding="utf-8", newline="") as file:
        assert [*csv.reader(file)][1][:2] == ["block", "SS"]
    assert "71.8" in (tmp_path / "first.tex").read_text()
    content = json.loads((tmp_path / "first.json").read_text())
    assert content["rows"] == [{"score": "SS", "auc": [0.5, None, 0.6]}]
    assert content["figures"] == ["first-loss"]
    assert content["notes"] == {"first-loss": "Of seed 0, the first of 3, One."}
    assert [*content["tables"]] == ["first", "first-seeds"]


def test_the_page_has_all_in_order_and_links_to_what_is_there(tmp_path: Path) -> None:
    for name in ("first", "another", "second"):
        write(tmp_path, name, f"The {name}", source="" if name == "another" else "Table 1")
    (tmp_path / "foreign.json").write_text('{"a": 1}')
    write_page(tmp_path, ["second", "first", "not-made"])
    page = (tmp_path / "index.html").read_text()
    assert re.findall(r'<section id="([^"]+)"', page) == ["second", "first", "another"]
    assert re.findall(r'<li><a href="#([^"]+)"', page) == ["second", "first", "another"]
    assert page.count("Not in the paper") == 1
    notes = re.findall(r'SVG</a></p>\s*<p class="note">([^<]*)</p>', page)
    assert notes == [f"Of seed 0, the first of 3, The {name}." for name in ("second", "first", "another")]
    links = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert links
    assert all((tmp_path / link).is_file() for link in links)


def test_results_without_notes_are_shown(tmp_path: Path) -> None:
    """Those that were written before figures had notes."""
    write(tmp_path, "first", "One")
    content = json.loads((tmp_path / "first.json").read_text())
    del content["notes"]
    (tmp_path / "first.json").write_text(json.dumps(content))
    write_page(tmp_path, [])
    assert 'src="first-loss.png"' in (tmp_path / "index.html").read_text()


def test_the_page_shows_texts_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, "first", SCRIPT)
    page = (tmp_path / "index.html").read_text()
    assert SCRIPT not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
    assert "**" not in page


def test_results_are_replaced_and_others_stay(tmp_path: Path) -> None:
    for title in ("Old", "New"):
        write(tmp_path, "first", title)
        write(tmp_path, "second", "Other")
    page = (tmp_path / "index.html").read_text()
    assert "Old" not in page
    assert page.count("<h2>New</h2>") == page.count("<h2>Other</h2>") == 1


def test_what_is_no_longer_shown_goes(tmp_path: Path) -> None:
    write(tmp_path, "first", "Old")
    write(tmp_path, "second", "Other")
    before = {path.name for path in tmp_path.iterdir()}
    (tmp_path / "first-own.md").write_text("a reader's own")
    write_results(tmp_path, "first", {"title": "New", "source": ""}, {"first": grid("New")}, [])
    gone = before - {path.name for path in tmp_path.iterdir()}
    assert gone == {f"first-{one}" for one in ("seeds.md", "seeds.tex", "seeds.csv", "loss.png", "loss.svg")}
    assert (tmp_path / "first-own.md").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"tables": 1}', '{"tables": {}}'])
def test_a_broken_result_is_replaced(content: str, tmp_path: Path) -> None:
    (tmp_path / "first.json").write_text(content)
    write(tmp_path, "first", "New")
    assert "New" in (tmp_path / "first.json").read_text()


def test_a_broken_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "first.json").write_text("{")
    with pytest.raises(
        SteepslopeError, match=r"first.json: expected the results of an experiment, but it cannot be read"
    ):
        write_page(tmp_path, [])
