"""What experiments show, from invented rows and searches."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from steepslope.errors import SteepslopeError
from steepslope.files._folders import read_json, write_json
from steepslope.report._grid import Grid
from steepslope_lab.paper import views as module
from steepslope_lab.paper.experiment import Experiment, sweep_steps_of
from steepslope_lab.paper.figures import SweepPanel, sweep_figure
from steepslope_lab.paper.methods import METHODS
from steepslope_lab.paper.oracle_steps import SEARCH
from steepslope_lab.paper.preset import Preset, read_paper_preset
from steepslope_lab.paper.results import Drawing
from steepslope_lab.paper.views import Findings, matrix_view, require_possible_views, sweep_view, write_views
from steepslope_lab.paper.workspace import Workspace
from steepslope_lab.search import Search, Trial

DIGITS = read_paper_preset("digits")
FOG, SNOW = "corrupt:fog:5", "corrupt:snow:5"


def lines(*names: str) -> dict[str, Any]:
    return {name: METHODS[name] for name in names}


def findings(tmp_path: Path, experiment: Experiment, rows: list[dict[str, Any]], preset: Preset = DIGITS) -> Findings:
    """Return an experiment whose steps are done, with rows that are given."""
    found = Findings(experiment, Workspace(preset, tmp_path / "work"))
    found.__dict__["rows"] = rows  # in the place of those in the work folder
    return found


def row(score: str, where: str, seed: int, auc: float | None, low: float = -0.1, high: float = 0.1) -> dict[str, Any]:
    place = {"score": score, "is": score, "where": where, "seed": seed, "oracle": "late", "classifier": "late"}
    difference = {} if score == "MCP" else {"delta_auc": {"value": 0.0, "low": low, "high": high}}
    values = {"accuracy": {"value": 0.8 + 0.1 * seed}, "auc": {"value": auc}}
    return {**place, "n": 200, "loss": None, "pair": "⟨late, late⟩", **values, **difference}


MATRIX = Experiment(
    name="own", title="T", views=("matrix",), pairs="first", where=(FOG, SNOW), columns=("auc",), note="Of mine.",
    paper=lines("SS"), ours=lines("MCP"),
)  # fmt: skip
ROWS = [
    row("MCP", FOG, 0, 0.6), row("MCP", FOG, 1, 0.7), row("MCP", SNOW, 0, 0.8), row("MCP", SNOW, 1, 0.8),
    row("SS", FOG, 0, 0.5, low=0.01), row("SS", FOG, 1, 0.7, low=0.01),
    row("SS", SNOW, 0, 0.9, high=-0.01), row("SS", SNOW, 1, 0.9),
]  # fmt: skip


def matrix_of(found: Findings) -> Grid:
    ((end, grid),) = matrix_view(found)
    assert end == ""
    assert isinstance(grid, Grid)
    return grid


def test_a_matrix_has_mean_and_deviation_over_seeds_with_arrows_aside(tmp_path: Path) -> None:
    """Means over sets of images are taken seed by seed: (.6 + .8) / 2 and (.7 + .8) / 2 of MCP, .7 and .8 of SS."""
    grid = matrix_of(findings(tmp_path, MATRIX, ROWS, DIGITS.changed(seeds=(0, 1))))
    assert grid.columns == ["images", "Acc ↑", "MCP *", "SS"]
    assert [[str(cell) for cell in line] for line in grid.rows] == [
        ["fog, severity 5", "85.0 ± 7.1", "65.0 ± 7.1", "60.0 ± 14.1 (2 ↑ 0 ↓)"],
        ["snow, severity 5", "85.0 ± 7.1", "80.0 ± 0.0", "90.0 ± 0.0 (0 ↑ 1 ↓)"],
        ["**mean**", "", "**72.5 ± 3.5**", "**75.0 ± 7.1**"],
    ]
    assert grid.note == (
        "AUC ↑, on 200 images each. In percent but where a heading tells another unit; mean ± standard deviation "
        "over 2 seeds. A star: not in the paper's table. Of mine. In brackets: in how many seeds the paired 95 % "
        "interval of the difference to MCP lies above (↑) or below (↓) 0."
    )


def test_a_mean_is_a_dash_where_a_value_is_undefined(tmp_path: Path) -> None:
    rows = [{**one, "auc": {"value": None}} if (one["score"], one["seed"]) == ("SS", 1) else one for one in ROWS]
    rows = [{**one, "n": 100} if one["where"] == FOG else one for one in rows]
    grid = matrix_of(findings(tmp_path, MATRIX, rows, DIGITS.changed(seeds=(0, 1))))
    assert [line[3].text for line in grid.rows] == ["–", "–", "–"]
    assert grid.rows[-1][2].text == "**72.5 ± 3.5**"
    assert grid.note.startswith("AUC ↑, on 100 to 200 images each. ")


SWEEP = Experiment(name="own", title="T", views=("sweep",), pairs="first")
HISTOGRAMS = Experiment(name="own", title="T", views=("histograms",), pairs="first", paper=lines("CE", "SS"))


def trial(pos: float, neg: float) -> Trial:
    """Return a trial whose TNR is highest at α⁻ = 3, and then at α⁺ = 2."""
    return Trial(pos, neg, pos / 2 + neg, 0.9, 0.2 + 0.1 * ((pos, neg) in ((1, 3), (2, 3))), 0.7)


def test_a_sweep_goes_over_both_slopes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, drawn = findings(tmp_path, SWEEP, []), list[SweepPanel]()
    (step,) = sweep_steps_of(SWEEP, found.work)
    step.folder.mkdir(parents=True)
    searched = Search(tuple(trial(1, neg) for neg in (1, 2, 3)), tuple(trial(pos, 3) for pos in (0.5, 2, 3)))
    write_json(step.folder / SEARCH, asdict(searched))

    def keep(panels: list[SweepPanel]) -> Figure:
        drawn.extend(panels)
        return sweep_figure(panels)

    monkeypatch.setattr(module, "sweep_figure", keep)
    ((end, drawing),) = sweep_view(found)
    assert end == "-sweep"
    assert isinstance(drawing, Drawing)
    assert [panel.title for panel in drawn] == [
        "loss against α⁻", "TPR and TNR against α⁻",
        "loss against α⁺, at α⁻ = 3", "TPR and TNR against α⁺, at α⁻ = 3",
    ]  # fmt: skip
    assert [panel.chosen for panel in drawn] == [3, 3, 2, 2]
    assert drawn[0].series["loss"] == pytest.approx(np.array([1.5, 2.5, 3.5]))
    assert drawn[2].series["loss"] == pytest.approx(np.array([3.25, 4, 4.5]))
    assert drawn[3].series["TNR"] == pytest.approx(np.array([20, 30, 20]))
    assert drawing.note == (
        "Of seed 0, ⟨late, late⟩, on held-out rows; the dashed line is its choice. α⁻ is swept with α⁺ = 1, then α⁺ "
        "with the chosen α⁻."
    )


COMPARED = Experiment(
    name="own", title="T", pairs="first", paper=lines("SS"), ours=lines("MCP"), columns=("auc",), published="table3"
)


def compared(where: str, tmp_path: Path, preset: Preset = DIGITS) -> list[Grid]:
    rows = [{**row(score, where, 0, 0.7), "paper_auroc": {"value": 0.5}} for score in ("MCP", "SS")]
    experiment = Experiment(**{**vars(COMPARED), "where": (where,)})
    return write_views(findings(tmp_path, experiment, rows, preset), tmp_path / "out", compare=True)


def test_numbers_are_compared_at_the_highest_severity(tmp_path: Path) -> None:
    _, grid = compared("corrupt:defocus_blur:5", tmp_path)
    accuracy, auc = ([str(cell) for cell in line] for line in grid.rows)
    assert accuracy[:5] == ["defocus_blur", "⟨ViT, ViT⟩", "SS", "Acc ↑", "80.00"]
    assert auc[:5] == ["defocus_blur", "⟨ViT, ViT⟩", "SS", "AUC, the paper's", "50.00"]
    assert (tmp_path / "out" / "own-compared.md").is_file()


@pytest.mark.parametrize(
    ("where", "changes"),
    [("corrupt:defocus_blur:4", {}), ("corrupt:defocus_blur:5", {"stands_for": {"late": "Other"}})],
)
def test_nothing_to_compare_is_told_in_one_line(where: str, changes: dict[str, Any], tmp_path: Path) -> None:
    main, grid = compared(where, tmp_path, DIGITS.changed(**changes))
    assert main.title == "T"
    assert grid.title == "T: nothing to compare, the paper prints no number for a net of preset digits"
    assert grid.rows == []
    assert not [*(tmp_path / "out").glob("own-compared.*")]
    assert [*read_json(tmp_path / "out" / "own.json", "rows")["notes"]] == ["own", "own-seeds"]


@pytest.mark.parametrize(
    ("experiment", "changes", "message"),
    [
        (MATRIX, {"pairs": "first-two"},
         "pairs: first-two: expected one pair for the view matrix, found ⟨late, late⟩, ⟨late, early⟩"),
        (HISTOGRAMS, {"drawn": ("CS",)}, "unknown line to draw 'CS': Known: CE, SS"),
        (HISTOGRAMS, {"paper": {}}, "paper: expected at least one line for the view histograms, found none"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused(experiment: Experiment, changes: dict[str, Any], message: str) -> None:
    require_possible_views(experiment, DIGITS)
    with pytest.raises(SteepslopeError) as error:
        require_possible_views(Experiment(**{**vars(experiment), **changes}), DIGITS)
    assert str(error.value).startswith(f"own: {message}")


def test_a_sweep_needs_what_is_swept() -> None:
    preset = DIGITS.changed(sweep={key: value for key, value in DIGITS.sweep.items() if key != "positives"})
    with pytest.raises(SteepslopeError, match=r"^own: preset digits: sweep: expected positives for the view sweep"):
        require_possible_views(SWEEP, preset)
    require_possible_views(SWEEP)  # not known without a preset
