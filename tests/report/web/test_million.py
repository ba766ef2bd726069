"""A million rows make a page as small as a thousand do: operating points are few, and rows stay beside it."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from steepslope.metrics import confusion
from steepslope.outputs import Confidences
from steepslope.report.confidences import Scored
from steepslope.report.evaluation import Evaluation, row_numbers, table_rows
from steepslope.report.page import page

N = 1_000_000


@pytest.mark.slow
def test_a_million_rows_make_a_small_page_that_counts_them_all() -> None:
    rng = np.random.default_rng(0)
    is_correct = rng.random(N) < 0.9
    confidence = rng.normal(size=N) + is_correct
    scored = [Scored("confidence", None, confidence, "rank")]
    predictions = Confidences(confidence, is_correct)
    html = page(Evaluation(predictions, scored, table_rows(scored, predictions, bootstrap=0), "", row_numbers))
    assert len(html.encode()) < 1.5e6
    assert "All rows are in rows.parquet" in html
    found = re.search(r'id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    data = json.loads(found[1])
    points = data["scores"][0]["points"]
    assert data["n"] == N
    assert data["files"]["rows"] is None
    for place in np.linspace(0, len(points["threshold"]) - 1, 5).astype(int):
        expected = confusion(confidence, is_correct, points["threshold"][place])
        assert (points["correct"][place], points["wrong"][place]) == (
            expected["trusted_correct"],
            expected["trusted_wrong"],
        )
