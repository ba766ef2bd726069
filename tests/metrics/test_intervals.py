"""Intervals and paired differences: they hold what they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from benchmarks.results.coverage import CLUSTER_RUNS, RUNS, Source, misses
from scipy.special import expit, logit
from scipy.stats import kstest, norm, t as student

from steepslope.errors import SteepslopeError
from steepslope.metrics import _intervals as intervals, auroc, compare, evaluate, tnr, tpr
from steepslope.metrics._intervals import Levels, Resampled, _interval_of_area, resample
from steepslope.metrics._measures import measures_at
from steepslope.metrics._ranking import rank_rows
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


def resampled(name: str, sample: tuple[Floats, Bools], bootstrap: int, clusters: Any = None) -> Resampled[str]:
    """Return one metric alone on all rows and on resamples."""
    return resample(rank_rows(*sample), {name: measures_at(0.5, 0.5)[name]}, bootstrap, 0, clusters)


def test_intervals_of_accuracy_are_those_of_the_binomial() -> None:
    """The bootstrap of a mean has the standard error of the mean; a wider level gives a wider interval."""
    found = resampled("accuracy", binormal(2000, 1.0, seed=0), 2000)
    estimate, wider = (found.estimates(level)["accuracy"] for level in (0.95, 0.99))
    p = estimate["value"]
    half_width = 1.96 * np.sqrt(p * (1 - p) / 2000)
    assert estimate["high"] - estimate["low"] == pytest.approx(2 * half_width, rel=0.06)
    assert wider["low"] < estimate["low"] < estimate["high"] < wider["high"]


def test_comparing_with_itself_is_no_difference() -> None:
    confidence, is_correct = binormal(200, 1.0, seed=0)
    for difference in compare(confidence, confidence, is_correct, bootstrap=100).values():
        assert difference == {"value": 0, "low": 0, "high": 0, "p": 1}


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


@pytest.mark.parametrize("settings", [{"bootstrap": -1}, {"level": 95}, {"seed": 0.5}])
def test_bad_settings_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises(SteepslopeError, match=f"{next(iter(settings))}: expected"):
        evaluate([0.2, 0.8], [False, True], **({"bootstrap": 5} | settings))


def test_p_agrees_with_the_interval() -> None:
    """The interval at a level excludes 0 if and only if p is below one less that level, for areas and for rates."""
    found, measures = set(), measures_at(0.5, 0.5)
    for seed in range(6):
        confidence, is_correct = binormal(150, 1.0, seed)
        other = confidence + 0.7 * np.random.default_rng(seed + 100).normal(size=150) - 0.1 * (~is_correct)
        a, b = (resample(rank_rows(one, is_correct), measures, 200, seed) for one in (confidence, other))
        for level in (0.8, 0.95):
            for name, one in a.minus(b, level).items():
                excluded = one["low"] > 0 or one["high"] < 0
                assert excluded == (one["p"] < 1 - level), name
                found.add((excluded, name))
    assert {(excluded, name) for excluded in (True, False) for name in ("auc", "fpr_at_95tpr", "aurc")} <= found


def test_p_is_that_of_the_normal_where_replicates_are_normal() -> None:
    """On the quantiles of a normal around 2 standard deviations, p is that of z = 2; with few units that of t."""
    replicates = norm.ppf((np.arange(4000) + 0.5) / 4000) + 2
    assert Levels().p(replicates) == pytest.approx(2 * norm.sf(2), rel=0.02)
    few_replicates = np.array([-3, -2, -1, -0.5, 1.5, 2, 3, 4, 5])  # 0 is a quarter of the way from the fourth on
    assert Levels().p(few_replicates) == pytest.approx(2 * 3.25 / 8)
    few = 2 * student.sf(2 * np.sqrt(9 / 10), 9)
    assert Levels(units=10).p(replicates) == pytest.approx(few, rel=0.02)
    assert Levels().limits(replicates, 0.9) == pytest.approx((2 - 1.645, 2 + 1.645), abs=0.01)


def test_the_interval_of_an_area_is_symmetric_in_the_logit_and_stays_inside() -> None:
    values = expit(norm.ppf((np.arange(4000) + 0.5) / 4000) + 4)
    low, high = _interval_of_area(float(expit(4.0)), values, 0.95, 10_000)
    assert logit([low, high]) == pytest.approx([4 - 1.96, 4 + 1.96], abs=0.01)
    low, high = _interval_of_area(0.9, np.array([0.8, 0.9, 1.0, 1.0]), 0.95, 3)
    assert 0 < low < 0.9 < high < 1
    assert _interval_of_area(1.0, np.ones(9), 0.95, 3) == (1, 1)


def test_clusters_of_one_row_are_rows() -> None:
    names = [f"row {row}" for row in range(400)]
    rows, single = (
        resampled("auc", binormal(400, 1.0, seed=0), 1000, clusters).estimates()["auc"] for clusters in (None, names)
    )
    assert single == pytest.approx(rows, abs=0.008)


def test_clusters_of_copies_are_as_wide_as_the_rows_they_copy() -> None:
    """Eight copies of each row tell nothing new: by clusters the interval stays, by rows it shrinks by √8."""
    sample = binormal(300, 1.0, seed=0)
    copies = np.repeat(sample[0], 8), np.repeat(sample[1], 8)
    for name in ("auc", "accuracy", "aupr_success"):
        tables = [
            resampled(name, some, 400, clusters).estimates()[name]
            for some, clusters in ((sample, None), (copies, np.repeat(np.arange(300), 8)), (copies, None))
        ]
        width, wide, narrow = (table["high"] - table["low"] for table in tables)
        assert wide == pytest.approx(width, rel=0.15)
        assert narrow == pytest.approx(width / np.sqrt(8), rel=0.2)


@pytest.mark.parametrize(
    ("clusters", "message"), [([1, 2], "clusters: expected 3 labels"), (["a"] * 3, "clusters: expected at least two")]
)
def test_bad_clusters_are_named(clusters: Any, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        evaluate([0.1, 0.2, 0.3], [True, False, True], clusters=clusters)


def test_resamples_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = binormal(300, 1.0, seed=0)
    alone = evaluate(*sample, bootstrap=175)
    monkeypatch.setattr(intervals, "ROWS_FOR_THREADS", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert evaluate(*sample, bootstrap=175) == alone


def test_there_are_as_many_resamples_as_were_asked_for() -> None:
    found = resample(rank_rows(*binormal(60, 1.0, seed=0)), {"auc": auroc.of}, intervals.BLOCK + 20, seed=0)
    assert found.replicates["auc"].shape == (intervals.BLOCK + 20,)


@pytest.mark.slow
@pytest.mark.parametrize(("source", "n"), [RUNS[0], CLUSTER_RUNS[0]], ids=["rows", "clusters"])
def test_intervals_cover_and_nulls_are_seldom_significant(source: Source, n: int) -> None:
    """A small Monte Carlo; the large one stands in docs/intervals.md. Bounds: 4 standard errors around 95 and 5 %."""
    count = 100
    for name, (outside, excluded, _) in misses(source, n, count, resamples=200).items():
        assert outside <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / count), name
        assert excluded <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / count), name


@pytest.mark.slow
def test_p_is_uniform_under_no_difference() -> None:
    """Two scores that see the same signal through equal, independent noise: p has no favourite value."""
    p = []
    for trial in range(130):
        rng = np.random.default_rng(trial)
        is_correct = rng.random(300) < 0.7
        signal = rng.normal(size=300) + is_correct
        a, b = (
            resample(rank_rows(signal + rng.normal(size=300), is_correct), {"auc": auroc.of}, 100, seed=trial)
            for _ in range(2)
        )
        p.append(a.minus(b)["auc"]["p"])
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) < 0.05) < 0.10
