"""What results come to, on rows that are made: each cell, the arrows, the counts of what is clear, and the figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import t

from steepslope.files._folders import write_json
from steepslope.report._grid import UNDEFINED, Grid
from steepslope.score_benchmark._standing import Estimate, difference_cell
from steepslope_lab.benchmark.lines import AVERAGE, BEST, BOOSTED, ENSEMBLE, MCP, PROBE, STACK, STACKED
from steepslope_lab.benchmark.summary import (
    Result,
    estimate_over_seeds,
    gains_table,
    promises_table,
    results_in,
    risks_table,
    standing_of_oracles,
    write_summary,
)
from steepslope_lab.benchmark.trial import FREE

SECOND = "fused, tree"


def line(auc: float, **minus: tuple[float, float, float]) -> dict[str, Any]:
    """Return what a row has of a line; differences in AURC have the other sign, and are half as large."""
    found: dict[str, Any] = {"auc": [auc, auc - 0.01, auc + 0.01], "aurc": [0.02, 0.01, 0.03]}
    names = {"mcp": MCP, "best": BEST, "average": AVERAGE, "free": FREE, "stack": STACKED, "boost": BOOSTED}
    for name, (value, low, high) in minus.items():
        found[f"minus {names[name]}"] = {"auc": [value, low, high], "aurc": [-value / 2, -high / 2, -low / 2]}
    return found


def gate(coverage: float, broken: float) -> dict[str, Any]:
    return {f"{risk}": {"coverage": coverage + risk, "broken": broken} for risk in (0.02, 0.05)}


def made_row(seed: int, gain: float, low: float, high: float, opinion: bool = True) -> dict[str, Any]:
    lines = {MCP: line(0.8), BEST: line(0.82, mcp=(0.02, 0.01, 0.03)), "p-norm": line(0.7 + seed / 10)}
    lines[FREE] = line(0.82 + gain, mcp=(0.02 + gain, 0.01 + gain, 0.04 + gain), best=(gain, low, high))
    gates = {MCP: {"ours": gate(0.3, 0.01), "SGR": gate(0.2, 0.0)}, FREE: {"ours": gate(0.5, 0.04 * seed)}}
    others = {PROBE: {"accuracy": 0.7, "aurc": 0.05}}
    if opinion:
        lines[AVERAGE] = line(0.85)
        lines[SECOND] = line(0.9, mcp=(0.1, 0.09, 0.11), average=(-0.05, -0.06, -0.04), free=(0.03, -0.01, 0.07),
                             stack=(0.04, 0.03, 0.06), boost=(-0.02, -0.04, 0.01))  # fmt: skip
        gates[SECOND] = {"ours": gate(0.6, 0.0)}
        others[ENSEMBLE] = {"accuracy": 0.8 + seed / 10, "aurc": 0.04}
        others[STACK] = {"accuracy": 0.6, "aurc": 0.03}
    shifted = {"fog": {
        "n": 9, "accuracy": 0.5, "estimates": {"doc": 0.03 - 0.02 * seed},
        "lines": {name: {"auc": 0.6, "aurc": 0.1} for name in (MCP, BEST, FREE)},
    }}  # fmt: skip
    return {
        "seed": seed, "n": 10, "classes": 1_200, "errors": 2, "known": 5, "part": 1,
        "accuracy": 0.75 + seed / 10, "best": "mcp",
        "lines": lines, "in its place": others, "gates": gates, "shifted": shifted,
        "opinions": {"tree": {"accuracy": 0.6, "correlation": 0.25}} if opinion else {},
        "seconds": {FREE: 1.0, SECOND: 10.0 + 10 * seed},
    }  # fmt: skip


def made_result(title: str, kind: str, rows: list[dict[str, Any]]) -> Result:
    return Result(title.lower(), {"title": title, "kind": kind, "key": "k", "source": "S"}, rows)


ABOVE = made_result("Above", "table", [made_row(0, 0.02, 0.005, 0.02), made_row(1, 0.02, 0.001, 0.05)])
BELOW = made_result("Below", "image", [made_row(0, -0.02, -0.03, -0.01, opinion=False)])
OPEN = made_result("Open", "text", [made_row(0, 0.02, -0.01, 0.05), made_row(1, 0.02, 0.01, 0.03)])
RESULTS = [ABOVE, BELOW, OPEN]


def texts(grid: Grid, row: int = 0) -> dict[str, str]:
    return {column: str(cell) for column, cell in zip(grid.columns, grid.rows[row], strict=True)}


def test_an_estimate_is_the_mean_over_seeds() -> None:
    found = estimate_over_seeds(ABOVE.rows, FREE, f"minus {BEST}", "auc")
    assert found == pytest.approx((0.02, 0.003, 0.035))  # of two seeds that judge the same rows
    found = estimate_over_seeds([{**row, "part": 0.4} for row in ABOVE.rows], FREE, f"minus {BEST}", "auc")
    assert found == pytest.approx((0.02, 0.02 - 0.017 * np.sqrt(0.7), 0.02 + 0.015 * np.sqrt(0.7)))
    of_rows = (0.02 / 2 / 1.959964) ** 2  # the variance of one seed; two seeds, 0.7 and 0.8, have one of 0.005
    of_mean = of_rows + 0.005 / 2
    half = t(of_mean**2 / (0.005 / 2) ** 2).ppf(0.975) * np.sqrt(of_mean)  # the first part is known
    assert estimate_over_seeds(ABOVE.rows, "p-norm", "auc") == pytest.approx((0.75, 0.75 - half, 0.75 + half), rel=1e-5)
    assert estimate_over_seeds(BELOW.rows, FREE, f"minus {BEST}", "auc") == pytest.approx(
        (-0.02, -0.03, -0.01)
    )  # one seed
    assert estimate_over_seeds(BELOW.rows, AVERAGE, "auc") is None
    assert estimate_over_seeds(ABOVE.rows, BEST, f"minus {FREE}", "auc") is None


@pytest.mark.parametrize(
    ("part", "of_rows", "of_fits", "least", "most"), [(0.6, 1, 0, 0.935, 0.98), (0.4, 1, 0.1, 0.85, 0.95)]
)
def test_the_interval_of_a_mean_over_seeds_covers_the_truth(
    part: float, of_rows: float, of_fits: float, least: float, most: float
) -> None:
    """What is measured of a row is the same in all splits, or a split's alone; fits differ, as three hardly tell."""
    rng, inside = np.random.default_rng(0), []
    for _ in range(1_000):
        same, rows = rng.normal(size=500), []
        for _ in range(3):
            drawn = (of_rows * same + (1 - of_rows) * rng.normal(size=500))[rng.permutation(500)[: round(500 * part)]]
            value, wide = drawn.mean() + of_fits * rng.normal(), 1.96 * drawn.std() / np.sqrt(len(drawn))
            rows.append({"part": part, "lines": {FREE: {"auc": [value, value - wide, value + wide]}}})
        found = estimate_over_seeds(rows, FREE, "auc")
        assert found is not None
        inside.append(found.low <= 0 <= found.high)
    assert least < np.mean(inside) <= most


@pytest.mark.parametrize(
    ("found", "lower_is_better", "text", "look"),
    [
        (Estimate(0.02, 0.01, 0.03), False, "+2.0 ↑", "better"),
        (Estimate(-0.02, -0.03, -0.01), False, "-2.0 ↓", "worse"),
        (Estimate(0.02, 0.0, 0.05), False, "+2.0", ""),
        (Estimate(-0.02, -0.05, 0.0), False, "-2.0", ""),
        (Estimate(0.02, 0.01, 0.03), True, "+2.0 ↓", "worse"),
        (Estimate(-0.02, -0.03, -0.01), True, "-2.0 ↑", "better"),
    ],
)
def test_arrows_stand_where_the_interval_excludes_zero(
    found: Estimate, lower_is_better: bool, text: str, look: str
) -> None:
    cell = difference_cell(found, lower_is_better=lower_is_better)
    assert (cell.text, cell.look) == (text, look)


def test_gains() -> None:
    assert texts(gains_table(RESULTS)) == {
        "data and classifier": "Above", "classes": "1,200", "right": "80.0", "MCP": "80.0", "best single": "82.0",
        "fused − MCP": "+4.0 ↑ (+3.0 to +6.0)", "fused − best single": "+2.0 ↑ (+0.3 to +3.5)",
        "with opinions − MCP": "+10.0 ↑ (+9.0 to +11.0)", "with opinions − average": "-5.0 ↓ (-6.0 to -4.0)",
        "all − stacking": "+4.0 ↑ (+3.0 to +6.0)", "all − boosting": "-2.0 (-4.0 to +1.0)",
    }  # fmt: skip
    below = texts(gains_table(RESULTS), 1)
    assert below["fused − best single"] == "-2.0 ↓ (-3.0 to -1.0)"
    assert below["with opinions − average"] == str(UNDEFINED)


def test_risks_are_in_thousandths() -> None:
    found = texts(risks_table(RESULTS))
    assert found["MCP"] == "20.0"
    assert found["fused − best single"] == "-10.0 ↑ (-17.5 to -1.5)"
    assert found["with opinions − average"] == "+25.0 ↓ (+20.0 to +30.0)"
    assert found["all − stacking"] == "-20.0 ↑ (-30.0 to -15.0)"
    assert found["stacking in its place"] == "30.0 (60.0 right)"
    assert found["a probe in its place"] == "50.0 (70.0 right)"
    assert found["the average in its place"] == "40.0 (85.0 right)"
    assert texts(risks_table(RESULTS), 1)["the average in its place"] == str(UNDEFINED)


def test_promises_and_how_often_they_break() -> None:
    grid = promises_table(RESULTS, "0.05")
    assert grid.title == "What gates accept at a promise of 5 %"
    found = texts(grid)
    assert (found["MCP"], found["MCP, SGR"], found["fused"]) == ("35.0 (1)", "25.0 (0)", "55.0 (2)")
    assert found["with opinions"] == "65.0 (0)"
    assert {found[column] for column in ("MCP, MAPIE", "best single", "fused, SGR")} == {str(UNDEFINED)}
    assert texts(promises_table(RESULTS, "0.02"))["MCP"] == "32.0 (1)"
    assert texts(grid, 1)["with opinions"] == str(UNDEFINED)


def test_standing_counts_what_is_clear() -> None:
    counts = {
        "fused − MCP": "2 of 3 clearly better, 0 clearly worse",
        "with opinions − MCP": "2 of 2 clearly better, 0 clearly worse",
        "fused − best single": "1 of 3 clearly better, 1 clearly worse",
        "with opinions − average": "0 of 2 clearly better, 2 clearly worse",
        "all − stacking": "2 of 2 clearly better, 0 clearly worse",
        "all − boosting": "0 of 2 clearly better, 0 clearly worse",
    }
    assert standing_of_oracles(RESULTS) == {
        f"{name}, {one}": text for name, text in counts.items() for one in ("AUC", "AURC")
    }


def write_rows(folder: Path, *results: Result) -> None:
    for result in results:
        write_json(folder / f"{result.name}.json", {**result.about, "rows": list(result.rows)})


def test_tables_and_a_figure_are_written(tmp_path: Path) -> None:
    write_rows(tmp_path, *RESULTS)
    grids = write_summary(tmp_path)
    names = ["gains", "risks", "rivals", "promises-2", "promises-5", "opinions", "shifts"]
    assert len(grids) == len(names)
    for name in names:
        assert (tmp_path / f"evidence-{name}.md").stat().st_size > 100
    with Image.open(tmp_path / "evidence.png") as image:
        assert min(image.size) > 200
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 50
    card = json.loads((tmp_path / "evidence.json").read_text())
    assert card["fused − best single, AUC"] == standing_of_oracles(RESULTS)["fused − best single, AUC"]
    assert {*card["notes"]} == {"evidence", *(f"evidence-{name}" for name in names)}
    assert len(write_summary(tmp_path)) == len(names)  # evidence.json is no result


def test_results_are_in_the_order_of_kinds(tmp_path: Path) -> None:
    write_rows(tmp_path, *RESULTS, made_result("Aaa", "image", [made_row(0, 0, 0, 0)]))
    write_json(tmp_path / "other.json", {"key": "of something else"})
    assert [result.about["title"] for result in results_in(tmp_path)] == ["Open", "Above", "Aaa", "Below"]
