"""The experiment on shifts, small, and the committed results of the large one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from steepslope.experiments import shift_table as module
from steepslope.experiments.common import Row
from steepslope.experiments.gate_table import BEST_SINGLE
from steepslope.experiments.loss_table import loss_table
from steepslope.experiments.shift_table import (
    DELTA_AUC,
    FUSED,
    ON_IMAGES,
    SEVERITIES,
    SHOWN,
    TABLE3,
    clearly,
    mean_of,
    shift_table,
    summary,
    tables,
)  # fmt: skip
from steepslope.extraction.extraction import TEST
from steepslope.losses import PAPER_LOSSES
from steepslope.scores import SCORES
from steepslope.shifts.corruptions import PAPER_CORRUPTIONS

RESULTS = Path(__file__).parents[2] / "results" / "shifts"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_the_table_on_digits(stylizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two corruptions at two severities, few steps of the attack, and an untrained auxiliary backbone."""
    for name, value in {"PAPER_CORRUPTIONS": ("fog", "defocus_blur"), "SEVERITIES": (1, 5), "FIT_ROWS": 100}.items():
        monkeypatch.setattr(module, name, value)
    for name in ("PLAIN", "AUXILIARY"):
        monkeypatch.setattr(module, name, replace(getattr(module, name), backend="torch"))
    (tmp_path / "styles").mkdir()
    Image.fromarray(skimage.data.grass()).save(tmp_path / "styles" / "grass.png")
    classifiers, work, out = (str(tmp_path / name) for name in ("classifiers", "work", "out"))
    loss_table("digits", classifiers, str(tmp_path / "losses"), net="digits-net", seeds=(0,))
    net = "module:tests.nets:ten_classes"
    some = {"auxiliary_size": 16, "rows": 100, "attacked_rows": 60, "seeds": (0,)}
    shift_table("digits", classifiers, work, out, net, str(stylizer_folder), str(tmp_path / "styles"), **some)  # type: ignore[arg-type]
    rows, severities = (json.loads(Path(out, name).read_text()) for name in ("rows.json", "severities.json"))
    assert [*dict.fromkeys(row["shift"] for row in rows)] == [
        TEST,
        "adversarial",
        "stylized",
        "fog-5",
        "defocus_blur-5",
    ]
    scores = [row["score"] for row in rows if row["shift"] == TEST]
    assert scores == ["mcp", BEST_SINGLE, *PAPER_LOSSES, ON_IMAGES, *FUSED]
    assert {row["is"] for row in rows if row["score"] == BEST_SINGLE} <= {*SCORES}
    assert {row["n"] for row in rows if row["shift"] == "adversarial"} == {60}
    assert {(row["kind"], row["severity"]) for row in severities} == {
        (kind, severity) for kind in ("fog", "defocus_blur") for severity in (1, 5)
    }
    assert tables(rows, severities) == Path(out, "table.md").read_text()


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> Row:
    return {"value": value, "low": low, "high": high}


def test_cells_count_clear_intervals_and_leave_out_what_is_undefined() -> None:
    """Where an attack succeeds on all images there is no AUC."""
    deltas = [estimate(0.02, 0.01, 0.03), estimate(-0.03, -0.05, -0.01), estimate(0.01, -0.01, 0.03), estimate(None)]
    assert clearly(deltas) == (1, 1)
    assert mean_of(deltas[:3]) == pytest.approx(0)
    assert np.isnan(mean_of(deltas))
    rows = [
        {"score": score, "kind": kind, "severity": 1, DELTA_AUC: delta}
        for score, kind, delta in (("a", "fog", deltas[0]), ("a", "fog", deltas[2]), ("a", "snow", deltas[1]),
                                   ("a", "rain", deltas[3]), ("b", "fog", deltas[1]))
    ]  # fmt: skip
    expected = "a: mean -0.8, worst snow 1 -3.0; of 4 intervals 1 lie clearly above 0 and 1 below."
    assert summary(rows, "a") == expected


def committed(name: str) -> list[Row]:
    found: list[Row] = json.loads((RESULTS / name).read_text())
    return found


def test_committed_table_is_that_of_its_rows() -> None:
    assert tables(committed("rows.json"), committed("severities.json")) == (RESULTS / "table.md").read_text()


def test_committed_rows_have_all_shifts_scores_and_seeds() -> None:
    rows, severities = committed("rows.json"), committed("severities.json")
    worst = {f"{kind}-{SEVERITIES[-1]}" for kind in PAPER_CORRUPTIONS}
    assert {row["shift"] for row in rows} == {TEST, *TABLE3, *worst}
    for row in rows:
        assert row["score"] in {"mcp", BEST_SINGLE, *PAPER_LOSSES, ON_IMAGES, *FUSED}
        assert {*SHOWN} <= {*row}
    assert len(rows) == 3 * 9 * len({TEST, *TABLE3, *worst})
    assert len(severities) == 3 * 3 * len(PAPER_CORRUPTIONS) * len(SEVERITIES)
