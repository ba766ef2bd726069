"""Experiments and presets as files: all of them read, and a new table is one file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from steepslope.cli.main import main
from steepslope.lab.paper import experiment as module
from steepslope.lab.paper.experiment import FOLDER, ORDER, experiment_names, read_experiment
from steepslope.lab.paper.methods import METHODS, method_of, stored_name
from steepslope.lab.paper.preset import Preset, preset_names, read_preset
from steepslope.lab.paper.tables import MCP
from steepslope.lab.paper.views import require_possible

PAPER = ["table1", "table2", "table3", "table-a1", "figure2", "figure3", "figure4",
         "appendix-d", "appendix-e", "appendix-f", "appendix-g", "appendix-h"]  # fmt: skip
OWN = """
title: "Two lines, one pair, one column"
pairs: first
paper: [MCP]
ours:
  - SS, shorter and flatter: {kind: images, loss: steep_slope, alpha_neg: 2, epochs: 1}
  - MCP again
columns: [tnr]
"""


def known_presets() -> list[Preset]:
    return [read_preset(name) for name in preset_names()]


@pytest.mark.parametrize("name", experiment_names())
def test_all_that_a_file_names_is_known(name: str) -> None:
    one = read_experiment(name)
    require_possible(one)
    for preset in known_presets():
        if preset.groups.get(one.pairs):
            require_possible(one, preset)
    assert one.name == name
    assert one.title
    if one.lines:
        assert any(preset.groups.get(one.pairs) and preset.group(one.pairs) for preset in known_presets())
    assert ("table" in one.views or "matrix" in one.views) == bool(one.columns)


def test_the_catalogue_has_all_of_the_paper_first() -> None:
    names = experiment_names()
    assert sorted(names) == sorted(path.stem for path in FOLDER.iterdir())
    assert names[:7] == PAPER[:7]
    assert {*PAPER} <= {*names}
    sources = {name: read_experiment(name).source for name in PAPER}
    assert all(sources[name].lower().replace(" ", "") == name.replace("-", "") for name in PAPER)


def test_what_decides_results_is_what_a_work_folder_remembers() -> None:
    plain = read_preset("digits")
    assert plain.changed(seeds=(5,)).as_json() == plain.as_json()
    assert plain.changed(resamples=7).as_json() != plain.as_json()
    assert plain.changed(styles="paintings").as_json() != plain.as_json()


def test_lines_of_the_same_name_and_other_settings_are_kept_apart() -> None:
    own = method_of("SS", {"kind": "images", "loss": "steep_slope", "epochs": 1})
    assert stored_name("SS", METHODS["SS"]) == "SS"
    assert len({stored_name("SS", one) for one in (METHODS["SS"], own, {**own, "epochs": 2})}) == 3


def reproduce(name: str, work: Path, out: Path) -> None:
    words = f"--preset digits --seeds 0 --set resamples=20 --work {work} --out {out}"
    assert main(["reproduce", name, *words.split()]) == 0


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def test_a_new_table_is_one_file_and_a_new_line_an_entry(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(FOLDER, tmp_path / "catalogue")
    (tmp_path / "catalogue" / "mine.yaml").write_text(OWN)
    monkeypatch.setattr(module, "FOLDER", tmp_path / "catalogue")
    monkeypatch.setitem(METHODS, "MCP again", {"kind": "score", "score": "mcp"})
    others = experiment_names()[len(ORDER) :]
    assert "mine" in others
    assert others == sorted(others)
    out = tmp_path / "out"
    reproduce("mine", work, out)
    tables = {f"mine{part}.{end}" for part in ("", "-seeds") for end in ("md", "csv")}
    assert {path.name for path in out.iterdir()} == {*tables, "mine.json"}
    content = json.loads((out / "mine.json").read_text())
    assert content["title"] == "Two lines, one pair, one column"
    assert content["preset"] == "digits"
    assert [*content["notes"]] == ["mine", "mine-seeds"]
    rows = {row["score"]: row for row in content["rows"]}
    assert [*rows] == [MCP, "SS, shorter and flatter", "MCP again"]
    assert {(row["oracle"], row["classifier"], row["seed"]) for row in rows.values()} == {("late", "late", 0)}
    for score, star in ((MCP, ""), ("SS, shorter and flatter", " *"), ("MCP again", " *")):
        number = f"{100 * rows[score]['tnr'][0]:.1f}"
        assert f"| {score}{star} | {number} |" in (out / "mine.md").read_text()
    assert "Two lines, one pair, one column" in capsys.readouterr().out
