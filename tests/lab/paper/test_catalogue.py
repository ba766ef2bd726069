"""Experiments and presets as files: all of them read, and a new table is one file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from numpy.testing import assert_array_equal

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.losses import LOSSES
from steepslope.outputs import ClassifierOutputs
from steepslope_lab.paper import methods
from steepslope_lab.paper.experiment import FOLDER, experiment_names, read_experiment
from steepslope_lab.paper.methods import METHODS, method_of_line, stored_line_name
from steepslope_lab.paper.preset import Preset, paper_preset_names, read_paper_preset
from steepslope_lab.paper.tables import MCP
from steepslope_lab.paper.views import require_possible_views
from tests.conftest import Captured, make_outputs

PAPER = ["table1", "table2", "table3", "table-a1", "figure2", "figure3", "figure4",
         "appendix-d", "appendix-e", "appendix-f", "appendix-g", "appendix-h"]  # fmt: skip


OWN = """
title: "Two lines, one pair, one column"
pairs: first
paper: [MCP]
ours:
  - SS, shorter and flatter: {kind: images, loss: steep_slope, alpha_neg: 2, epochs: 1}
columns: [tnr]
"""


def known_presets() -> list[Preset]:
    return [read_paper_preset(name) for name in paper_preset_names()]


@pytest.mark.parametrize("name", experiment_names())
def test_all_that_a_file_names_is_known(name: str) -> None:
    one = read_experiment(name)
    require_possible_views(one)
    for preset in known_presets():
        if preset.groups.get(one.pairs):
            require_possible_views(one, preset)
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
    plain = read_paper_preset("digits")
    assert plain.changed(seeds=(5,)).as_json() == plain.as_json()
    assert plain.changed(resamples=7).as_json() != plain.as_json()
    assert plain.changed(styles="paintings").as_json() != plain.as_json()


def test_lines_of_the_same_name_and_other_settings_are_kept_apart() -> None:
    own = method_of_line("SS", {"kind": "images", "loss": "steep_slope", "epochs": 1})
    assert stored_line_name("SS", METHODS["SS"]) == "SS"
    assert len({stored_line_name("SS", one) for one in (METHODS["SS"], own, {**own, "epochs": 2})}) == 3


def least(trust_logit: Any, target: Any) -> Any:
    return trust_logit * (1 - 2 * target)


def gap(outputs: ClassifierOutputs) -> Any:
    return outputs.logits.max(axis=1)


def test_a_line_takes_a_score_or_a_loss_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = {**LOSSES}
    monkeypatch.setattr(methods, "LOSSES", losses)
    trained = method_of_line("mine", {"kind": "images", "loss": f"{__name__}:least"})
    assert losses[trained["loss"]] is least
    scored = method_of_line("gap", {"kind": "score", "score": f"{__name__}:gap"})
    outputs = make_outputs(50)
    work = SimpleNamespace(own_outputs=lambda *_: outputs, place=lambda case: "test")
    wanted = SimpleNamespace(case=SimpleNamespace(classifier="net", seed=0), method=scored)
    found = methods._confidences_by_score(work, wanted, tmp_path)  # type: ignore[arg-type]
    assert_array_equal(found.confidence, outputs.logits.max(axis=1))
    assert found.only_ranks
    with pytest.raises(SteepslopeError, match="no_module:gap: cannot be imported"):
        method_of_line("gap", {"kind": "score", "score": "no_module:gap"})


def test_an_experiment_of_ones_own_is_one_file(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "mine.yaml").write_text(OWN)
    words = f"reproduce {tmp_path}/mine.yaml --preset digits --seeds 0 --set resamples=20 --out {tmp_path}/out"
    assert main(words.split()) == 0
    content = json.loads((tmp_path / "out" / "mine.json").read_text())
    rows = {row["score"]: row for row in content["rows"]}
    assert [*rows] == [MCP, "SS, shorter and flatter"]
    assert {(row["oracle"], row["classifier"], row["seed"]) for row in rows.values()} == {("late", "late", 0)}
    for score, star in ((MCP, ""), ("SS, shorter and flatter", " *")):
        assert f"| {score}{star} | {100 * rows[score]['tnr'][0]:.1f} |" in (tmp_path / "out" / "mine.md").read_text()
    assert "Two lines, one pair, one column" in capsys.readouterr().out
