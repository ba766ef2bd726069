"""Gates' promises on simulated rows of known risk, and published ways against plain loops of their algorithms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import beta, binom

from steepslope.gate import Gate
from steepslope.promise import _draws as draws
from steepslope.promise._draws import DELTA, DRAWS, MOST_CALIBRATED, outcome_of_promise, promised_threshold
from steepslope_lab.benchmark import promises
from steepslope_lab.benchmark.lines import MCP, Ranked
from steepslope_lab.benchmark.promises import (
    OURS,
    RISKS,
    WAYS,
    Bools,
    Floats,
    confidences_as_ranks,
    promised_by_gates,
    selection_with_guaranteed_risk,
)


def rows(n: int, seed: int, risk_at: float = 0.3) -> tuple[Floats, Bools]:
    """Return confidences, and whether predictions are right: the risk falls from ``risk_at`` to 0 with them."""
    rng = np.random.default_rng(seed)
    confidence = rng.random(n)
    return confidence, rng.random(n) > risk_at * (1 - confidence)


def upper_bound(errors: int, n: int, delta: float) -> float:
    """Return the largest risk at which so few errors have a probability of delta (Clopper & Pearson, 1934)."""
    return 1.0 if errors == n else float(beta.ppf(1 - delta, errors + 1, n - errors))


def plain_sgr(confidence: Floats, is_correct: Bools, risk: float, delta: float) -> float:
    """Follow Algorithm 1 of Geifman & El-Yaniv, 2017, line by line, and take the largest coverage that holds."""
    order = np.argsort(confidence, kind="stable")
    ranked, right, m = confidence[order], is_correct[order], len(confidence)
    steps = math.ceil(math.log2(m))
    low, high, held = 1, m, []
    for _ in range(steps):
        z = math.ceil((low + high) / 2)
        accepted = ranked >= ranked[z - 1]
        if upper_bound(int((~right[accepted]).sum()), int(accepted.sum()), delta / steps) <= risk:
            held.append(float(ranked[z - 1]))
            high = z
        else:
            low = z
    return min(held, default=math.inf)


@pytest.mark.parametrize("n", [2, 37, 500, 2_000])
@pytest.mark.parametrize("risk", [0.02, 0.1])
def test_selection_with_guaranteed_risk_is_as_published(n: int, risk: float) -> None:
    for seed in range(20):
        confidence, right = rows(n, seed)
        confidence = np.round(confidence, 2) if seed % 2 else confidence  # also with ties
        assert selection_with_guaranteed_risk(confidence, right, risk, 0.05) == plain_sgr(confidence, right, risk, 0.05)


@pytest.mark.parametrize("way", ["ours", "SGR"])
def test_promises_break_in_no_more_draws_than_delta(way: str) -> None:
    """On rows of known risk: above a threshold t it is 0.3 (1 − t) / 2."""
    broken, coverage = 0, []
    for seed in range(200):
        threshold = WAYS[way](*rows(500, seed), 0.1, 0.1, seed)
        broken += threshold < math.inf and 0.15 * (1 - max(threshold, 0)) > 0.1
        coverage.append(0 if threshold == math.inf else 1 - max(threshold, 0))
    assert broken <= binom.ppf(0.999, 200, 0.1)
    assert np.mean(coverage) > 0.2  # of two thirds, at best


@pytest.mark.parametrize("way", ["ours", "SGR"])
def test_outcome_is_counted_on_all_rows(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "DRAWS", 30)
    ranked, thresholds = Ranked(*rows(900, 1)), []
    found = outcome_of_promise(*ranked, 0.1, 7, WAYS[way])
    rng = np.random.default_rng(7)
    for draw in range(30):
        drawn = [int(one) for one in rng.integers(900, size=450)]
        thresholds.append(WAYS[way](ranked.confidence[drawn], ranked.is_correct[drawn], 0.1, DELTA, draw))
    coverages, broken = [], 0
    for threshold in thresholds:
        accepted = [right for one, right in zip(*ranked, strict=True) if one >= threshold]
        coverages.append(len(accepted) / 900)
        broken += bool(accepted) and accepted.count(False) / len(accepted) > 0.1
    assert found == {"coverage": round(float(np.mean(coverages)), 5), "broken": broken / 30}
    assert 0 < found["coverage"] < 1


def test_calibration_rows_are_at_most_so_many() -> None:
    sizes = []

    def way(confidence: Floats, is_correct: Bools, risk: float, delta: float, seed: int) -> float:
        sizes.append((len(confidence), risk, delta, seed))
        return math.inf

    outcome_of_promise(*rows(101, 0), 0.05, 0, way)
    assert sizes == [(50, 0.05, DELTA, draw) for draw in range(DRAWS)]
    sizes.clear()
    outcome_of_promise(*rows(5_000, 0), 0.05, 0, way)
    assert {size for size, *_ in sizes} == {MOST_CALIBRATED}


def test_ways_of_others_are_for_two_lines_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "DRAWS", 3)
    lines = {name: Ranked(*rows(200, 0)) for name in (MCP, "average", "fused, free")}
    found = promised_by_gates(lines, "fused, free", 0)
    assert {line: [*ways] for line, ways in found.items()} == {MCP: [*WAYS], "average": [OURS], "fused, free": [*WAYS]}
    assert all([*of] == [f"{risk:g}" for risk in RISKS] for ways in found.values() for of in ways.values())
    assert found[MCP][OURS] == {
        "0.02": outcome_of_promise(*lines[MCP], 0.02),
        "0.05": outcome_of_promise(*lines[MCP], 0.05),
    }


def test_mapie_controls_precision() -> None:
    """On well ranked rows it accepts most of what may be accepted, and nothing where half is wrong."""
    pytest.importorskip("mapie")
    confidence, right = rows(2_000, 0)
    threshold = promises.mapie_threshold(confidence, right, 0.1, 0.05)
    assert 0.33 < threshold < 0.7
    assert threshold in promises.EVEN
    sequence = np.array([0.5, 0.9])
    found = promises.mapie_threshold(
        confidence, right, 0.1, 0.05, list_predict_params=sequence, fwer_method="fixed_sequence"
    )
    assert found in sequence
    assert promises.mapie_threshold(confidence, np.arange(2_000) % 2 == 0, 0.1, 0.05) == math.inf


def test_our_way_is_that_of_gates_on_the_same_rows() -> None:
    """A gate without other rows makes the same split by the same seed."""
    for draw in range(4):
        confidence, right = rows(1_500, draw)
        gate = Gate.calibrate(confidence, right, max_risk=0.1, delta=0.05, seed=9)
        assert_array_equal(confidence >= promised_threshold(confidence, right, 0.1, 0.05, 9), gate.accepts(confidence))


def test_ranks_keep_order_and_ties() -> None:
    confidence = np.array([3.0, -1.0, 3.0, 100.0, -np.inf])
    ranks = confidences_as_ranks(Ranked(confidence, np.ones(5, np.bool_))).confidence
    assert ranks.tolist() == [0.4, 0.2, 0.4, 0.8, 0.0]
