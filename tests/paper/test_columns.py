"""Cells of tables: means over seeds, differences, and what is undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.metrics.measures import METRICS
from steepslope.metrics.paper import PAPER_METRICS
from steepslope.paper.tables import COLUMNS, MCP, arrows, cell, column, grouped, interval_cell, mean_cell
from steepslope.report.grid import UNDEFINED

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
        assert column(name).scale == column(f"delta_{name}").scale == metric.scale
        assert (column(name).sign, column(f"delta_{name}").sign) == ("", "+")
    assert all(f"paper_{name}" in COLUMNS for name in PAPER_METRICS)
    assert column("delta_auc").heading == "ΔAUC to MCP"
    assert column("best_auc").heading == "ΔAUC to best single"


def test_an_unknown_column_has_its_closest_name() -> None:
    with pytest.raises(SteepslopeError, match="unknown column 'acu': did you mean 'auc'"):
        column("acu")


def test_rows_are_grouped_in_the_order_in_which_they_come() -> None:
    rows: list[Row] = [{"a": 2, "b": 0}, {"a": 1, "b": 0}, {"a": 2, "b": 1}]
    assert grouped(rows, "a") == {2: [rows[0], rows[2]], 1: [rows[1]]}
    assert [*grouped(rows, "a", "b")] == [(2, 0), (1, 0), (2, 1)]


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
    assert str(cell(rows, "delta_auc")) == "-0.7 ± 3.1 (1 ↑ 1 ↓)"
    assert arrows([one["delta_auc"] for one in rows]) == "(1 ↑ 1 ↓)"


def test_mcp_has_no_difference_to_itself_and_what_is_undefined_is_a_dash() -> None:
    assert cell([row(MCP, delta_auc=(0.0, 0.0, 0.0))], "delta_auc") is UNDEFINED
    assert str(cell([row(MCP, auc=0.5)], "auc")) == "50.0"
    assert cell([row()], "tnr") is UNDEFINED
    assert cell([row(tnr=0.5), row(tnr=None)], "tnr") is UNDEFINED
    assert cell([row(delta_tnr=(None, None, None))], "delta_tnr") is UNDEFINED


def test_the_scale_of_a_column_is_that_of_its_metric() -> None:
    assert str(cell([row(aurc=0.0123)], "aurc")) == "12.3"
    assert str(cell([row(average_kl=1.5)], "average_kl")) == "1.50"


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
