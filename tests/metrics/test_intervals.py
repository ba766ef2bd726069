"""Intervals and paired differences: they hold what they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest, norm

from steepslope.errors import SteepslopeError
from steepslope.metrics import auroc, compare, evaluate, tnr, tpr
from steepslope.metrics.curves import rank_rows
from steepslope.metrics.intervals import resample
from steepslope.metrics.measures import auroc_of
from tests.metrics.references import Bools, Floats


def binormal(n: int, shift: float, seed: int) -> tuple[Floats, Bools]:
    rng = np.random.default_rng(seed)
    is_correct = rng.random(n) < 0.7
    return rng.normal(size=n) + shift * is_correct, is_correct


def test_values_are_those_of_the_single_functions() -> None:
    confidence, is_correct = binormal(300, 1.0, seed=0)
    table = evaluate(confidence, is_correct, positive_threshold=0.2, negative_threshold=0.1, bootstrap=50)
    assert table["auc"]["value"] == auroc(confidence, is_correct)
    assert table["tpr"]["value"] == tpr(confidence, is_correct, 0.2)
    assert table["tnr"]["value"] == tnr(confidence, is_correct, 0.1)
    assert all(one["low"] <= one["value"] <= one["high"] for one in table.values())


def test_a_seed_fixes_the_intervals() -> None:
    sample = binormal(100, 1.0, seed=0)
    assert evaluate(*sample, bootstrap=100) == evaluate(*sample, bootstrap=100)
    assert evaluate(*sample, bootstrap=100) != evaluate(*sample, bootstrap=100, seed=1)


def test_intervals_of_accuracy_are_those_of_the_binomial() -> None:
    """The bootstrap of a mean has the standard error of the mean; a wider level gives a wider interval."""
    confidence, is_correct = binormal(2000, 1.0, seed=0)
    estimate = evaluate(confidence, is_correct, bootstrap=2000)["accuracy"]
    p = estimate["value"]
    half_width = 1.96 * np.sqrt(p * (1 - p) / 2000)
    assert estimate["high"] - estimate["low"] == pytest.approx(2 * half_width, rel=0.06)
    wider = evaluate(confidence, is_correct, bootstrap=2000, level=0.99)["accuracy"]
    assert wider["low"] < estimate["low"] < estimate["high"] < wider["high"]


def test_comparing_with_itself_is_no_difference() -> None:
    confidence, is_correct = binormal(200, 1.0, seed=0)
    for difference in compare(confidence, confidence, is_correct, bootstrap=100).values():
        assert difference == {"value": 0, "low": 0, "high": 0, "p": 1}


def test_paired_intervals_are_tighter_than_unpaired() -> None:
    confidence, is_correct = binormal(500, 1.0, seed=0)
    other = confidence + 0.1 * np.random.default_rng(1).normal(size=500)
    paired = compare(confidence, other, is_correct, bootstrap=300)["auc"]
    alone = evaluate(confidence, is_correct, bootstrap=300)["auc"]
    assert paired["high"] - paired["low"] < 0.5 * (alone["high"] - alone["low"])


def test_a_clear_difference_is_found_and_has_the_right_sign() -> None:
    confidence, is_correct = binormal(500, 2.0, seed=0)
    noise = np.random.default_rng(1).normal(size=500)
    better = compare(confidence, noise, is_correct, bootstrap=300)
    assert better["auc"]["low"] > 0
    assert better["aurc"]["high"] < 0
    assert better["auc"]["p"] < 0.01


def test_one_class_is_nan_in_tables() -> None:
    table = evaluate([0.2, 0.8, 0.9], [True, True, True], bootstrap=20)
    assert np.isnan(table["auc"]["value"])
    assert table["accuracy"] == {"value": 1, "low": 1, "high": 1}


def test_without_resamples_there_are_no_intervals() -> None:
    table = evaluate([0.2, 0.8], [False, True], bootstrap=0)
    assert table["auc"]["value"] == 1
    assert np.isnan(table["auc"]["low"])


@pytest.mark.parametrize(
    "settings", [{"bootstrap": -1}, {"bootstrap": 1.5}, {"level": 95}, {"level": 0}, {"seed": -1}, {"seed": 0.5}]
)
def test_bad_settings_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises(SteepslopeError, match=f"{next(iter(settings))}: expected"):
        evaluate([0.2, 0.8], [False, True], **({"bootstrap": 5} | settings))


def test_intervals_of_the_auc_cover_as_often_as_they_say() -> None:
    """Monte Carlo on a binormal source with 500 rows, whose AUC is known: 95 % intervals hold it 92 to 97 times."""
    trials, truth = 300, norm.cdf(1.2 / np.sqrt(2))
    covered = 0
    for trial in range(trials):
        table = {"auc": auroc_of}
        estimate = resample(rank_rows(*binormal(500, 1.2, seed=trial)), table, 100, seed=trial).estimates()["auc"]
        covered += estimate["low"] <= truth <= estimate["high"]
    assert 0.92 <= covered / trials <= 0.97


def test_p_is_uniform_under_no_difference() -> None:
    """Two scores that see the same signal through equal, independent noise: p has no favourite value."""
    p = []
    for trial in range(200):
        rng = np.random.default_rng(trial)
        is_correct = rng.random(300) < 0.7
        signal = rng.normal(size=300) + is_correct
        a, b = (
            resample(rank_rows(signal + rng.normal(size=300), is_correct), {"auc": auroc_of}, 100, seed=trial)
            for _ in range(2)
        )
        p.append(a.minus(b)["auc"]["p"])
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) < 0.05) < 0.10
