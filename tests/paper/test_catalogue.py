"""Experiments and presets as files: all of them read, and a new table is one file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli.main import main
from steepslope.paper import experiment as module
from steepslope.paper.experiment import FOLDER, ORDER, Experiment, experiment_names, read_experiment
from steepslope.paper.methods import KINDS, METHODS, kept_as, method_of
from steepslope.paper.preset import Preset, preset_names, read_preset
from steepslope.paper.tables import BEST, COLUMNS, MCP, published
from steepslope.paper.views import VIEWS, require_possible

PAPER = ["table1", "table2", "table3", "table-a1", "figure2", "figure3", "figure4",
         "appendix-d", "appendix-e", "appendix-f", "appendix-g", "appendix-h"]  # fmt: skip
LOSSES_OF_THE_PAPER = ["CE", "Focal", "TCP", "SS"]
OWN = """
title: "Two lines, one pair, one column"
pairs: first
paper: [MCP]
beside:
  - SS, shorter and flatter: {kind: images, loss: steep_slope, alpha_neg: 2, epochs: 1}
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
    assert {*one.views} <= {*VIEWS}
    assert {*one.columns} <= {*COLUMNS}
    assert all(method["kind"] in KINDS for method in one.lines.values())
    assert one.published is None or published(one.published)
    if one.lines:
        assert any(preset.groups.get(one.pairs) and preset.group(one.pairs) for preset in known_presets())
    assert ("table" in one.views or "matrix" in one.views) == bool(one.columns)


def test_the_catalogue_has_all_of_the_paper_first() -> None:
    names = experiment_names()
    assert sorted(names) == sorted(path.stem for path in FOLDER.iterdir())
    assert names[:7] == PAPER[:7]
    assert {*PAPER} <= {*names}
    sources = {name: read_experiment(name).source for name in PAPER}
    assert sources["table-a1"] == "Table A1"
    assert sources["figure3"] == "Figure 3"
    assert sources["appendix-h"] == "Appendix H"
    assert all(sources[name].lower().replace(" ", "") == name.replace("-", "") for name in PAPER)


@pytest.mark.parametrize("name", [one for one in experiment_names() if read_experiment(one).columns])
def test_every_table_has_mcp_and_those_of_the_paper_the_best_single_score(name: str) -> None:
    one = read_experiment(name)
    assert next(iter(one.lines)) == MCP
    assert BEST in one.lines or not one.source


@pytest.mark.parametrize("name", ["table1", "table3", "table-a1", "figure3", "figure4", "appendix-e", "appendix-g"])
def test_the_papers_lines_are_its_four_losses(name: str) -> None:
    assert [*read_experiment(name).paper] == LOSSES_OF_THE_PAPER


@pytest.mark.parametrize(
    ("name", "losses"),
    [("table1", ["CE", "Focal"]), ("table3", ["CE", "Focal"]), ("appendix-f", ["CE"]), ("appendix-h", ["CE"])],
)
def test_other_losses_are_also_cut_where_steep_slope_is(name: str, losses: list[str]) -> None:
    lines = read_experiment(name).beside
    found = {line: method for line, method in lines.items() if method["kind"] == "cut"}
    assert found == {f"{loss} at the cut of SS": {"kind": "cut", "line": loss} for loss in losses}


@pytest.mark.parametrize("name", [one for one in PAPER if {*read_experiment(one).views} - {"losses", "histograms"}])
def test_every_table_and_curve_has_the_rivals_of_the_papers_lines(name: str) -> None:
    assert {MCP, BEST, "TrustScore", "MCDropout", "fused, free", "fused, auxiliary"} <= {*read_experiment(name).lines}


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "appendix-f", "appendix-h"])
def test_the_last_column_is_the_difference_to_the_best_single_score(name: str) -> None:
    last = read_experiment(name).columns[-1]
    assert (last, COLUMNS[last].heading) == ("best_auc", "ΔAUC to best single")


@pytest.mark.parametrize("name", ["figure3", "appendix-d", "appendix-d-shifts", "appendix-f"])
def test_rows_of_histograms_have_six_panels_at_most(name: str) -> None:
    one = read_experiment(name)
    shown = one.settings.get("lines", [*one.lines])
    assert {MCP, "fused, free"} <= {*shown}
    assert len(shown) <= 6


def test_presets_have_what_the_paper_ran_on() -> None:
    presets = {one.name: one for one in known_presets()}
    assert {*presets} == {"digits", "fashion-mnist", "mnist", "cifar10", "imagenet"}
    assert all(one.seeds == (0, 1, 2) for one in presets.values())
    assert {name for name, one in presets.items() if one.is_paper_data} == {"mnist", "cifar10", "imagenet"}
    titles = [pair.title for pair in presets["imagenet"].pairs]
    assert titles == ["⟨vit, vit⟩", "⟨vit, rsn⟩", "⟨rsn, vit⟩", "⟨rsn, rsn⟩"]
    slopes = [(pair.training["alpha_pos"], pair.training["alpha_neg"]) for pair in presets["imagenet"].pairs]
    assert slopes == [(1, 3), (1, 3), (2, 5), (2, 5)]
    assert presets["mnist"].pairs == ()
    assert presets["mnist"].groups.get("recipe")


def test_changes_reach_their_place_alone() -> None:
    changed, plain = read_preset("digits", {"nets.late.passes": "3", "rows": "7"}), read_preset("digits")
    assert (changed.nets["late"].passes, changed.rows) == (3, 7)
    assert changed.nets["early"] == plain.nets["early"]
    assert changed.pairs == plain.pairs


def test_what_decides_results_is_what_a_work_folder_remembers() -> None:
    plain = read_preset("digits")
    assert plain.changed(seeds=(5,)).as_json() == plain.as_json()
    assert plain.changed(resamples=7).as_json() != plain.as_json()
    assert plain.changed(styles="paintings").as_json() != plain.as_json()


def test_lines_of_the_same_name_and_other_settings_are_kept_apart() -> None:
    own = method_of("SS", {"kind": "images", "loss": "steep_slope", "epochs": 1})
    assert kept_as("SS", METHODS["SS"]) == "SS"
    assert len({kept_as("SS", one) for one in (METHODS["SS"], own, {**own, "epochs": 2})}) == 3


def reproduce(name: str, work: Path, out: Path) -> None:
    words = f"--preset digits --seeds 0 --set resamples=20 --work {work} --out {out}"
    assert main(["reproduce", name, *words.split()]) == 0


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def test_a_new_table_is_one_file(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(OWN)
    out = tmp_path / "out"
    reproduce(str(tmp_path / "mine.yaml"), work, out)
    tables = {f"mine{part}.{end}" for part in ("", "-seeds") for end in ("md", "tex", "csv")}
    assert {path.name for path in out.iterdir()} == {*tables, "mine.json", "index.html"}
    content = json.loads((out / "mine.json").read_text())
    assert content["title"] == "Two lines, one pair, one column"
    assert content["preset"] == "digits"
    assert content["tables"]["mine"]["columns"] == ["score", "TNR ↑"]
    rows = {row["score"]: row for row in content["rows"]}
    assert [*rows] == [MCP, "SS, shorter and flatter"]
    assert {(row["oracle"], row["classifier"], row["seed"]) for row in rows.values()} == {("late", "late", 0)}
    for score, star in ((MCP, ""), ("SS, shorter and flatter", " *")):
        number = f"{100 * rows[score]['tnr'][0]:.1f}"
        assert f"| {score}{star} | {number} |" in (out / "mine.md").read_text()
        assert number in (out / "mine.csv").read_text()
        assert number in (out / "mine.tex").read_text()
        assert f"<td>{score}{star}</td><td>{number}</td>" in (out / "index.html").read_text()
    assert "Two lines, one pair, one column" in capsys.readouterr().out


def test_its_oracle_has_its_own_settings(work: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "title: Own\npairs: first\npaper:\n  - SS: {kind: images, loss: steep_slope, alpha_neg: 2, epochs: 1}\n"
        "beside: [MCP]\ncolumns: [auc]\n"
    )
    (tmp_path / "plain.yaml").write_text("title: Plain\npairs: first\npaper: [SS]\nbeside: [MCP]\ncolumns: [auc]\n")
    for name in ("plain", "own"):
        reproduce(str(tmp_path / f"{name}.yaml"), work, tmp_path / "out")
    rows = {name: json.loads((tmp_path / "out" / f"{name}.json").read_text())["rows"] for name in ("plain", "own")}
    (plain,), (own,) = ([row for row in some if row["score"] == "SS"] for some in rows.values())
    assert own["auc"] != plain["auc"]
    assert [row for row in rows["own"] if row["score"] == MCP] == [row for row in rows["plain"] if row["score"] == MCP]
    folders = {path.name: path for path in (work / "oracles" / "late-late-0").iterdir() if path.is_dir()}
    (named,) = [name for name in folders if name.startswith("ss-") and "shorter" not in name]
    settings = [json.loads((folders[name] / "oracle.json").read_text()) for name in ("ss", named)]
    found = [json.dumps(one) for one in settings]
    assert '"alpha_neg": 3' in found[0]
    assert '"alpha_neg": 2' in found[1]


def test_a_file_in_the_catalogue_is_found_by_its_name(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(FOLDER, tmp_path / "catalogue")
    (tmp_path / "catalogue" / "mine.yaml").write_text(OWN)
    monkeypatch.setattr(module, "FOLDER", tmp_path / "catalogue")
    others = experiment_names()[len(ORDER) :]
    assert "mine" in others
    assert others == sorted(others)
    assert isinstance(read_experiment("mine"), Experiment)
    reproduce("mine", work, tmp_path / "out")
    assert (tmp_path / "out" / "mine.md").read_text().startswith("## Two lines, one pair, one column")


def test_confidences_are_kept_with_their_rows(work: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(OWN)
    reproduce(str(tmp_path / "mine.yaml"), work, tmp_path / "out")
    folder = work / "scores" / "late-0" / "test" / "mcp"
    row = json.loads((folder / "row.json").read_text())
    with np.load(folder / "confidence.npz") as arrays:
        assert len(arrays["confidence"]) == row["n"] == 797
        assert arrays["is_correct"].mean() == pytest.approx(row["accuracy"]["value"], abs=1e-5)
