"""Labels that confirm predictions are a caution; true labels hardly ever are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from steepslope.monitor import Monitor
from steepslope.monitor._confirmed import _log_e_value_of_confirmed, caution_on_confirmed
from tests.monitor.problems import feed, gate, stream


def test_the_mean_of_the_e_value_is_1() -> None:
    """Over all outcomes of six labels."""
    p_wrong = np.array([0.1, 0.5, 0.02, 0.3, 0.2, 0.9])
    mean = 0.0
    for outcome in product((False, True), repeat=6):
        is_wrong = np.array(outcome)
        chance = np.where(is_wrong, p_wrong, 1 - p_wrong).prod()
        mean += chance * np.exp(_log_e_value_of_confirmed(p_wrong, is_wrong))
    assert mean == pytest.approx(1)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 36, 40), (1.0, 40, 40)])
def test_errors_that_were_confirmed(share: float, least: int, most: int) -> None:
    cautioned = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p_wrong = rng.beta(1, 9, size=2_000)
        is_wrong = (rng.random(2_000) < p_wrong) & (rng.random(2_000) >= share)
        cautioned += bool(caution_on_confirmed(p_wrong, is_wrong, 0.9))
    assert least <= cautioned <= most


@pytest.mark.parametrize("copied", [False, True])
def test_a_monitor_in_python_doubts_labels_that_equal_the_predictions(copied: bool) -> None:
    judging = gate()
    monitor = Monitor.of(judging, rows=stream(2_000, 0).judged(judging))
    rows = stream(3_000, 1)
    judged = feed(monitor, judging, rows)
    monitor.label((rows.is_correct | copied)[judged.accepted], np.ones(judged.accepted.sum(), np.bool_))
    assert bool(monitor.caution) == copied
    assert monitor.caution.startswith("0 of ") == copied
