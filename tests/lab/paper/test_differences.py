"""The paired differences of a table's lines, from invented confidences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.files._folders import write_json
from steepslope.metrics import compare
from steepslope_lab.paper.differences import cases_of_scores, differences_of_lines
from steepslope_lab.paper.methods import ARRAYS, METHODS, ROW, Wanted
from steepslope_lab.paper.preset import read_paper_preset
from steepslope_lab.paper.workspace import Case

PAIR = read_paper_preset("digits").group("first")[0]
RIGHT = np.arange(300) % 5 > 0
COLUMNS = ("fpr_at_95tpr", "auc", "tpr", "delta_auc")
Scores = list[tuple[Wanted, Path]]


def score(root: Path, name: str, seed: int, noise: float, where: str = "test") -> tuple[Wanted, Path]:
    """Write confidences of a line, the better the less noise."""
    folder = root / f"{name}-{seed}-{where}"
    folder.mkdir()
    draw = np.random.default_rng((seed, int(10 * noise)))
    confidence = np.clip(0.4 + 0.2 * RIGHT + noise * draw.normal(size=len(RIGHT)), 0, 1)
    np.savez(folder / ARRAYS, confidence=confidence, is_correct=RIGHT)
    write_json(folder / ROW, {"score": name, "loss": None, "scale": "probability"})
    return Wanted(name, METHODS["MCP"], PAIR, Case(PAIR.oracle, PAIR.classifier, where, seed)), folder


@pytest.fixture
def scores(tmp_path: Path) -> Scores:
    """MCP once, two others for the seeds 3 and 0, on clean images; and two lines on others."""
    clean = [("MCP", 3, 0.3), ("TCP", 3, 0.2), ("TCP", 0, 0.25), ("SS", 3, 0.1), ("SS", 0, 0.15)]
    fog = [score(tmp_path, name, 3, noise, "corrupt:fog:5") for name, noise in (("MCP", 0.3), ("SS", 0.3))]
    return [*(score(tmp_path, *one) for one in clean), *fog]


def test_each_seed_has_its_own_lines_and_those_that_all_share(scores: Scores) -> None:
    found = [
        (case.where, case.seed, [folder.name for folder in lines.values()]) for case, lines in cases_of_scores(scores)
    ]
    assert found == [
        ("test", 3, ["MCP-3-test", "TCP-3-test", "SS-3-test"]),
        ("test", 0, ["MCP-3-test", "TCP-0-test", "SS-0-test"]),
        ("corrupt:fog:5", 3, ["MCP-3-corrupt:fog:5", "SS-3-corrupt:fog:5"]),
    ]


def test_differences_are_those_of_compare_without_what_needs_a_threshold(scores: Scores) -> None:
    ((end, grid),) = differences_of_lines(scores, COLUMNS, 200, "Table")
    folders = {folder.name: folder for _, folder in scores}
    mine, theirs = (np.load(folders[name] / ARRAYS)["confidence"] for name in ("SS-0-test", "TCP-0-test"))
    expected = compare(mine, theirs, RIGHT, bootstrap=200, seed=0)
    assert (end, list(grid.columns)) == ("-differences", ["lines", "ΔFPR-95%-TPR ↓", "ΔAUC ↑"])
    names = [row[0].text.removeprefix(f"{PAIR.title}, ") for row in grid.rows]
    pairs = ("TCP − MCP", "SS − MCP", "SS − TCP")
    clean = [f"clean, {pair}, seed {seed}" for seed in (3, 0) for pair in pairs]
    assert names == [*clean, "fog, severity 5, SS − MCP, seed 3"]
    cells = {name: [str(cell) for cell in row[1:]] for name, row in zip(names, grid.rows, strict=True)}
    assert cells["clean, SS − TCP, seed 0"] == [
        f"{100 * one['value']:+.1f} [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]"
        for one in (expected["fpr_at_95tpr"], expected["auc"])
    ]
    assert cells["clean, SS − TCP, seed 3"] != cells["clean, SS − TCP, seed 0"]
