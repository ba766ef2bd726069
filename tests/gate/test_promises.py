"""Monte Carlo: P(risk of what is accepted <= max_risk) >= 1 − delta, whatever the risk looks like."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from steepslope.gate import Gate
from steepslope.promise._certify import certify_true_classes
from steepslope.promise._sequence import threshold_sequence

Floats = NDArray[np.float64]
GRID = 20_000


def smooth(level: Floats) -> Floats:
    """Return a risk that rises: 10 % in all, 5 % at a coverage of .89."""
    return 0.7 * level**6


def pocket(level: Floats) -> Floats:
    """Return a risk of a tenth among the most trusted 6 %, far less behind them, then much more."""
    return np.where(level < 0.06, 0.1, np.where(level < 0.6, 0.02, 0.15))


def waves(level: Floats) -> Floats:
    """Return a risk that goes up and down about 5 %."""
    return 0.055 + 0.05 * np.sin(25 * level)


def constant(level: Floats) -> Floats:
    """Return a risk just above 5 %, which no threshold may pass."""
    return np.full_like(level, 0.0501)


RISKS: dict[str, Callable[[Floats], Floats]] = {
    "smooth": smooth, "pocket": pocket, "waves": waves, "constant": constant
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Predictions of a known risk at each level of coverage, and as many distinct confidences as there are ties."""

    risk_at: Callable[[Floats], Floats]
    ties: int | None = None

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
        level = 1 - rng.random(n)
        return self.confidence(level), rng.random(n) >= self.risk_at(level)

    def confidence(self, level: Floats) -> Floats:
        return 1 - (level if self.ties is None else np.ceil(level * self.ties) / self.ties)

    def true_risk(self, gate: Gate, group: str | None = None) -> float:
        """Return the fraction of errors among the predictions to come that are accepted; 0 if there are none."""
        level = (np.arange(GRID) + 0.5) / GRID
        accepted = self.confidence(level) >= gate.thresholds.get(group, np.inf)
        return float(self.risk_at(level)[accepted].mean()) if accepted.any() else 0.0


def assert_kept(broken: list[bool], delta: float, used: bool = False) -> None:
    """Raise if more promises are broken than chance allows at delta; where ``used``, also if next to none are."""
    count, draws = sum(broken), len(broken)
    assert binom.sf(count - 1, draws, delta) > 1e-4, f"{count} of {draws} broken"
    if used:
        assert count / draws > 0.2 * delta, f"only {count} of {draws} broken"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ties"), [("smooth", 8), ("pocket", None), ("waves", None), ("waves", 8), ("constant", None)]
)
def test_a_promise_is_kept(name: str, ties: int | None) -> None:
    source, rng, broken = Source(RISKS[name], ties), np.random.default_rng(0), []
    for seed in range(300):
        thresholds = threshold_sequence(source.draw(500, rng)[0]) if ties is None else None
        gate = Gate.calibrate(*source.draw(800, rng), 0.05, 0.1, thresholds, seed=seed)
        broken.append(source.true_risk(gate) > 0.05 + 1e-6)
    assert_kept(broken, 0.1, used=name == "constant")


@pytest.mark.slow
def test_promises_of_groups_and_risks_are_kept_together() -> None:
    ties = 8
    sources = {"cats": Source(smooth, ties), "dogs": Source(constant, ties), "emus": Source(waves, ties)}
    rng, broken = np.random.default_rng(2), []
    thresholds = threshold_sequence(sources["cats"].draw(500, rng)[0])
    for _ in range(200):
        drawn = [source.draw(500, rng) for source in sources.values()]
        confidence, is_correct = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        names = np.repeat([*sources], 500)
        gate = Gate.calibrate(confidence, is_correct, (0.05, 0.02), 0.1, thresholds, groups=names)
        broken.append(
            any(
                source.true_risk(gate.at(risk), name) > risk + 1e-6
                for name, source in sources.items()
                for risk in (0.05, 0.02)
            )
        )
    assert_kept(broken, 0.1)


@pytest.mark.slow
def test_bounds_of_coverage_and_of_costs_hold() -> None:
    source, rng = Source(smooth), np.random.default_rng(3)
    by_coverage: list[bool] = []
    by_costs: list[bool] = []
    thresholds = threshold_sequence(source.draw(500, rng)[0])
    for seed in range(300):
        rows = source.draw(600, rng)
        gates = (Gate.calibrate(*rows, delta=0.1, thresholds=thresholds, coverage=0.9),
                 Gate.calibrate(*rows, delta=0.1, thresholds=thresholds, costs=(10, 1), seed=seed))  # fmt: skip
        for gate, broken in zip(gates, (by_coverage, by_costs), strict=True):
            broken.append(source.true_risk(gate) > gate.risk_bound)
    assert_kept(by_coverage, 0.1, used=True)
    assert_kept(by_costs, 0.1, used=True)


@pytest.mark.slow
@pytest.mark.parametrize("ties", [None, 20])
def test_promises_of_rejection_and_acceptance_are_kept_together(ties: int | None) -> None:
    source, rng, broken = Source(smooth, ties), np.random.default_rng(4), []
    level = (np.arange(GRID) + 0.5) / GRID
    for seed in range(300):
        gate = Gate.calibrate(*source.draw(2_000, rng), 0.05, 0.1, reject=0.5, seed=seed)
        rejected = gate.decisions(source.confidence(level)) == "reject"
        is_wrong_enough = not rejected.any() or smooth(level)[rejected].mean() >= 0.5
        broken.append(not is_wrong_enough or source.true_risk(gate) > 0.05 + 1e-6)
    assert_kept(broken, 0.1, used=ties is None)


@pytest.mark.slow
def test_promises_of_true_classes_are_kept_together() -> None:
    rng, broken = np.random.default_rng(5), []
    rates = {"cats": 0.1, "dogs": 0.1001, "emus": 0.3}  # how many of a class are wrong, at any confidence
    thresholds = threshold_sequence(rng.random(500))
    for _ in range(400):
        names = np.repeat([*rates], 200)
        confidence, is_correct = rng.random(600), rng.random(600) >= np.repeat([*rates.values()], 200)
        found = certify_true_classes(confidence, is_correct, names, thresholds, 0.1, 0.1)
        coverage = 1 - max(found[0].threshold, 0)
        broken.append(any(rate * coverage > 0.1 for rate in rates.values()))
    assert_kept(broken, 0.1, used=True)
