"""Cells of tables: means over seeds, differences, and what is undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.metrics._measures import METRICS
from steepslope.metrics._paper import PAPER_METRICS
from steepslope.report._grid import UNDEFINED, Grid
from steepslope_lab.paper.tables import (
    COLUMNS,
    COMPARED,
    MCP,
    cell_of_seeds,
    clear_seed_arrows,
    comparison_with_paper,
    interval_cell,
    mean_cell,
    published_numbers,
    spread_of_runs,
    table_column,
)

Row = dict[str, Any]


def row(score: str = "SS", **values: float | tuple[float | None, ...] | None) -> Row:
    """Return a row as it is kept: a number alone, or with its interval."""
    found: Row = {"score": score}
    for name, value in values.items():
        numbers = value if isinstance(value, tuple) else (value,)
        found[name] = dict(zip(("value", "low", "high"), numbers, strict=False))
    return found


def test_every_metric_has_a_column_its_difference_and_the_papers_variant() -> None:
    for name, metric in METRICS.items():
        assert table_column(name).scale == table_column(f"delta_{name}").scale == metric.scale
        assert (table_column(name).sign, table_column(f"delta_{name}").sign) == ("", "+")
    assert all(f"paper_{name}" in COLUMNS for name in PAPER_METRICS)
    assert table_column("delta_auc").heading == "ΔAUC to MCP"
    assert table_column("best_auc").heading == "ΔAUC to best single"


def test_means_over_seeds_have_the_deviation_of_a_sample() -> None:
    values = [0.7, 0.8, 0.75]
    shown = f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}"
    assert str(mean_cell(list(values))) == shown == "75.0 ± 5.0"
    assert str(mean_cell([0.7])) == "70.0"
    assert str(mean_cell([0.7, None])) == "–"
    assert str(mean_cell([2.0, 4.0], 1)) == "3.00 ± 1.41"
    assert str(mean_cell([0.5], sign="+", digits=2)) == "+50.00"


def test_a_difference_tells_in_how_many_seeds_it_is_clear() -> None:
    rows = [row(delta_auc=(0.02, 0.01, 0.03)), row(delta_auc=(-0.04, -0.05, -0.01)), row(delta_auc=(0.0, -0.1, 0.1))]
    assert str(cell_of_seeds(rows, "delta_auc")) == "-0.7 ± 3.1 (1 ↑ 1 ↓)"
    assert clear_seed_arrows([one["delta_auc"] for one in rows]) == "(1 ↑ 1 ↓)"


def test_mcp_has_no_difference_to_itself_and_what_is_undefined_is_a_dash() -> None:
    assert cell_of_seeds([row(MCP, delta_auc=(0.0, 0.0, 0.0))], "delta_auc") is UNDEFINED
    assert str(cell_of_seeds([row(MCP, auc=0.5)], "auc")) == "50.0"
    assert cell_of_seeds([row()], "tnr") is UNDEFINED
    assert cell_of_seeds([row(tnr=0.5), row(tnr=None)], "tnr") is UNDEFINED
    assert cell_of_seeds([row(delta_tnr=(None, None, None))], "delta_tnr") is UNDEFINED


@pytest.mark.parametrize(
    ("value", "scale", "sign", "shown"),
    [
        ({"value": 0.5, "low": 0.4, "high": 0.6}, 100, "", "50.0 [40.0, 60.0]"),
        ({"value": 0.5, "low": 0.4, "high": 0.6}, 100, "+", "+50.0 [+40.0, +60.0]"),
        ({"value": 0.5}, 1, "", "0.50"),
        ({"value": 0.5, "low": None, "high": None}, 100, "", "50.0"),
        ({"value": None}, 100, "", "–"),
        (None, 100, "", "–"),
    ],
)
def test_intervals_stand_beside_their_value(value: Any, scale: float, sign: str, shown: str) -> None:
    assert str(interval_cell(value, scale, sign)) == shown


TABLES = ("table1", "table2", "table3")
NAMED = {"paper_auroc": "auc"}
NAMES = {"net": "ViT", "lite0": "ResNet"}

# Typed anew from the paper's text: oracle, classifier, where, score, metric, value, standard deviation.
RETYPED: list[tuple[str, str | None, str, str, str, str, float, float | None]] = [
    ("table1", "ViT", "ViT", "test", "CE", "paper_fpr_at_95tpr", 93.01, 0.17),
    ("table1", "ViT", "ResNet", "test", "TCP", "tpr", 94.25, 0.96),
    ("table1", "ResNet", "ViT", "test", "TCP", "paper_tnr", 0.0, 0.0),
    ("table1", "ResNet", "ViT", "test", "Focal", "accuracy", 83.9, None),
    ("table2", None, "MNIST", "test", "TCP †", "aupr_error", 45.88, None),
    ("table2", None, "CIFAR-10", "test", "TCP", "paper_tnr", 0.0, None),
    ("table3", "ViT", "ViT", "adversarial", "TCP", "accuracy", 6.11, None),
    ("table3", "ViT", "ViT", "defocus_blur", "CE", "paper_aupr_error", 68.56, None),
]

# The first number of each column of a table plus twice the second and so on, and the same of its deviations, taken
# from the paper's text: no number can change, nor trade places, unseen.
METRIC_NAMES = ("accuracy", "fpr_at_95tpr", "aupr_error", "aupr_success", "auc", "tpr", "tnr")
CHECKSUMS = {
    "table1": (10135.28, 12243.48, 2905.51, 10912.93, 8069.44, 12823.42, 1525.86),
    "table2": (7335.93, 2796.78, 3560.98, 7752.25, 7287.63, 3568.13, 266.51),
    "table3": (1655.91, 7247.73, 5888.81, 2071.92, 4400.99, 7120.52, 1066.48),
}
DEVIATIONS = {"table1": (0, 50.25, 24.83, 35.6, 51.37, 67.65, 95.1)}  # others have none


def printed_row(
    score: str, seed: int, oracle: str | None = "net", classifier: str = "net", **metrics: float | None
) -> Any:
    """Return a row as experiments keep it."""
    place = {"oracle": oracle, "classifier": classifier, "where": "test", "score": score, "seed": seed}
    return place | {name: {"value": value, "low": None, "high": None} for name, value in metrics.items()}


def lines_of(grid: Grid | None) -> list[dict[str, str]]:
    """Return the texts of a grid's lines by column."""
    assert grid is not None
    return [dict(zip(grid.columns, map(str, line), strict=True)) for line in grid.rows]


def test_numbers_are_those_in_print() -> None:
    for table, *place, value, std in RETYPED:
        (found,) = [
            one
            for one in published_numbers(table)
            if [one.oracle, one.classifier, one.where, one.score, one.metric] == place
        ]
        assert (found.value, found.std) == (value, std), (table, place)


@pytest.mark.parametrize("table", TABLES)
def test_columns_add_up(table: str) -> None:
    columns: dict[str, list[tuple[float, float]]] = {name: [] for name in METRIC_NAMES}
    for one in published_numbers(table):
        columns[NAMED.get(one.metric, one.metric.removeprefix("paper_"))].append((one.value, one.std or 0))
    sums = np.array([np.arange(1, len(numbers) + 1) @ np.array(numbers) for numbers in columns.values()])
    assert sums[:, 0] == pytest.approx(np.array(CHECKSUMS[table]), abs=1e-6)
    assert sums[:, 1] == pytest.approx(np.array(DEVIATIONS.get(table, (0,) * 7)), abs=1e-6)


def test_a_line_for_each_printed_number_with_rows() -> None:
    """Differences of +0.26 and −1.27 points to 73.68 ± 0.27 and 38.27 ± 2.48, of three seeds."""
    rows = [printed_row("SS", seed, paper_auroc=0.7394 + 0.001 * (seed - 1), tnr=0.37) for seed in range(3)]
    rows += [printed_row("MCP", 0, paper_auroc=0.9), printed_row("SS", 0, "lite0", "lite0", aurc=0.1)]  # not in print
    auc, tnr = lines_of(comparison_with_paper("table1", rows, NAMES))
    place = ["test", "⟨ViT, ViT⟩", "SS"]
    assert list(auc.values())[:3] == list(tnr.values())[:3] == place
    assert list(auc.values())[3:7] == ["AUC, the paper's", "73.94 ± 0.10", "3", "73.68 ± 0.27"]
    assert list(tnr.values())[3:7] == ["TNR ↑", "37.00 ± 0.00", "3", "38.27 ± 2.48"]
    assert list(auc.values())[7:] == ["+0.26", "yes", "yes (≤ 0.97)"]
    assert list(tnr.values())[7:] == ["-1.27", "yes", "yes (≤ 8.73)"]
    assert list(auc) == COMPARED


@pytest.mark.parametrize(
    ("auc", "seeds", "verdicts"),
    [
        (0.7395, 3, ["+0.27", "yes", "yes (≤ 0.97)"]),
        (0.7271, 3, ["-0.97", "no", "yes (≤ 0.97)"]),
        (0.7270, 3, ["-0.98", "no", "no (≤ 0.97)"]),
        (0.7270, 1, ["-0.98", "no", "yes (≤ 1.37)"]),
        (0.736799, 2, ["+0.00", "yes", "yes (≤ 1.08)"]),
        (None, 3, ["–", "–", "–"]),
    ],
)
def test_both_rules(auc: float | None, seeds: int, verdicts: list[str]) -> None:
    (line,) = lines_of(
        comparison_with_paper("table1", [printed_row("SS", seed, paper_auroc=auc) for seed in range(seeds)], NAMES)
    )
    assert [line[name] for name in COMPARED[-3:]] == verdicts
    assert line["seeds"] == str(seeds)


def test_a_deviation_printed_as_zero_may_be_as_high_as_it_is_rounded() -> None:
    """0.00 ± 0.00 stands for up to 0.005: 0.01 points are within its spread, 0.03 are not."""
    for value, verdict in ((0.0001, "yes (≤ 0.02)"), (0.0003, "no (≤ 0.02)")):
        rows = [printed_row("TCP", seed, paper_tnr=value, tnr=0.5) for seed in range(3)]
        (line,) = lines_of(comparison_with_paper("table1", rows, NAMES))
        assert line["metric"] == "TNR, the paper's"
        assert line["within their spread"] == verdict


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_further_runs_of_theirs_lie_within_their_spread_in_95_percent(seeds: int) -> None:
    """And, of three runs, within their ± in two thirds, as the note says; 20,000 draws, four standard errors."""
    draws = np.random.default_rng(0).normal(50, 10, (20_000, 3 + seeds))
    apart = np.abs(draws[:, :3].mean(axis=1) - draws[:, 3:].mean(axis=1))
    deviations = draws[:, :3].std(axis=1, ddof=1)
    inside = np.mean([distance <= spread_of_runs(std, seeds) for distance, std in zip(apart, deviations, strict=True)])
    assert inside == pytest.approx(0.95, abs=0.0062)
    if seeds == 3:
        assert np.mean(apart <= deviations) == pytest.approx(1.5**0.5 / (1.5 + 2 * 1) ** 0.5, abs=0.014)


def test_table_2_has_data_in_the_place_of_classifiers_and_no_oracles() -> None:
    names = {"digits-net": "MNIST", "mcp": "MCP", "clean": "test"}
    rows = [printed_row("mcp", 0, "a", "digits-net", auc=0.9663, aupr_error=0.3) | {"where": "clean"}]
    error, auc = lines_of(comparison_with_paper("table2", rows, names))
    assert list(auc.values())[:5] == ["test", "MNIST", "MCP", "AUC ↑", "96.63"]
    assert list(auc.values())[5:] == ["1", "98.63", "-2.00", "–", "–"]
    assert [error["metric"], error["theirs"]] == ["AUPR-Error ↑", "35.05"]


def test_nothing_to_compare() -> None:
    assert comparison_with_paper("table1", [], NAMES) is None
    assert comparison_with_paper("table1", [printed_row("SS", 0, paper_auroc=0.7)], {}) is None
    assert comparison_with_paper("table3", [printed_row("SS", 0, paper_auroc=0.7)], NAMES) is None
    assert comparison_with_paper("table1", [printed_row("SS", 0, aurc=0.7)], NAMES) is None


def test_two_rows_for_one_number_and_seed_are_refused() -> None:
    rows = [printed_row("SS", 0, paper_auroc=0.7), printed_row("SS", 0, "vit", paper_auroc=0.8)]
    with pytest.raises(SteepslopeError, match=r"^rows of ViT, SS: expected one a seed, found more$"):
        comparison_with_paper("table1", rows, NAMES | {"vit": "ViT"})
    assert len(lines_of(comparison_with_paper("table1", rows, NAMES))) == 1
