"""What a gate accepts once inputs have changed, and how it goes on."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from steepslope import TrustedClassifier
from steepslope.errors import ChangedWarning, SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._adapting import LEAST_LABELS, _risks_to_try, split_to_adapt
from steepslope.gate._change import ACCEPT_NOTHING, verdict_on_batch
from steepslope.oracle import FusedOracle
from steepslope.outputs import ClassifierOutputs
from steepslope.promise._change import CHANGED, HEALTHY
from steepslope.scores import MCP
from tests.conftest import make_outputs

CLASSES, COLUMNS = 4, 6
MEANS = np.random.default_rng(5).normal(size=(CLASSES, COLUMNS)) * 1.3
Rows = tuple[np.ndarray, np.ndarray]


def rows(n: int, seed: int, mix: list[float] | None = None, noise: float = 0.0) -> Rows:
    """Draw rows of four classes, which noise moves."""
    draw = np.random.default_rng([seed, n])
    labels = draw.choice(CLASSES, n, p=mix)
    return MEANS[labels] + draw.normal(size=(n, COLUMNS)) + noise * draw.normal(size=(n, COLUMNS)), labels


@pytest.fixture(scope="module")
def model() -> TrustedClassifier:
    return TrustedClassifier(LogisticRegression(), max_risk=0.1).fit(*rows(4_000, 0))


def test_at_home_a_batch_is_hardly_ever_stopped(model: TrustedClassifier) -> None:
    """The chance is at most 2.5 %: of 60 batches, more than five would have a probability of .5 %."""
    gate = model.gate_
    decided = [gate.decide_rows(model.reader_.outputs(rows(1_000, seed)[0])) for seed in range(1, 61)]
    assert sum(verdict_on_batch(gate, each.judged(), "review").health == CHANGED for each in decided) <= 5


def test_noise_that_leaves_confidences_as_they_were_is_seen_in_the_features(model: TrustedClassifier) -> None:
    X, y = rows(2_000, 1, noise=0.7)
    with pytest.warns(ChangedWarning, match="the distance to known inputs.*So nothing is accepted.*`steepslope adapt`"):
        assert not model.decide(X).accepted.any()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels, accepted = TrustedClassifier.decide(model.set_params(when_changed="warn"), X)
    model.set_params(when_changed="review")
    assert (labels != y)[accepted].mean() > 0.1  # it would have broken the promise


def test_the_gate_goes_on_under_another_class_mix_that_explains_the_change(model: TrustedClassifier) -> None:
    X, y = rows(4_000, 2, mix=[0.5, 0.2, 0.15, 0.15])
    with pytest.warns(ChangedWarning, match=r"Another class mix explains this \(estimated: 0 (49|50|51)[. ].*accepted"):
        labels, accepted = model.decide(X)
    before = model.gate_.decide_rows(model.reader_.outputs(X)).accepted
    assert 0.5 * before.mean() < accepted.mean() <= before.mean()
    assert not (accepted & ~before).any()
    assert (labels != y)[accepted].mean() < 0.1


def test_no_mix_explains_confidences_that_are_all_the_same() -> None:
    """Those of a service that answers .99 to everything, or in basis points, in the usual mix of classes."""

    def answers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        draw = np.random.default_rng([seed, n])
        confidence, truth = 0.4 + 0.6 * draw.beta(4, 1, n), draw.integers(3, size=n)
        said = np.where(draw.random(n) < confidence, truth, (truth + 1) % 3)
        return said.astype(str), confidence, truth.astype(str)

    rows = ClassifierOutputs.from_answers(*answers(3_000, 1))
    gate = Gate.of(FusedOracle().fit(rows.subset(slice(1_000))), rows.subset(slice(1_000, None)), 0.1)
    said, confidence, _ = answers(500, 2)
    shuffled = np.random.default_rng(0).permutation(confidence)
    for other in (np.full(500, 0.99), np.full(500, np.median(confidence)), shuffled**0.25):
        with pytest.warns(ChangedWarning, match="So nothing is accepted"):
            gate.decide(ClassifierOutputs.from_answers(said, other, classes=gate.classes))


def test_rows_too_few_to_estimate_a_mix_are_all_reviewed(model: TrustedClassifier) -> None:
    X, _ = rows(150, 3, mix=[0.97, 0.01, 0.01, 0.01])
    decisions = model.gate_.decide_rows(model.reader_.outputs(X))
    verdict = verdict_on_batch(model.gate_, decisions.judged(), "review")
    assert (verdict.health, verdict.limit) == (CHANGED, ACCEPT_NOTHING)


def test_a_gate_without_its_calibration_rows_notices_nothing() -> None:
    gate = Gate.of(MCP(), make_outputs(2_000), max_risk=(0.3, 0.4)).at(0.4)
    assert gate.calibration_rows is None
    assert verdict_on_batch(gate, gate.decide_rows(make_outputs(50)).judged(), "review").health == HEALTHY
    with pytest.raises(SteepslopeError, match="when_changed: expected review or warn, found 'stop'"):
        gate.decide(make_outputs(50), when_changed="stop")  # type: ignore[arg-type]


# going on


def test_a_new_source_gets_the_lowest_risk_that_its_labels_support(model: TrustedClassifier, tmp_path: Path) -> None:
    X, y = rows(6_000, 4, noise=0.7)
    with pytest.warns(ChangedWarning):
        model.decide(X)
    again = model.adapted(X[:300], y[:300])
    assert again.max_risk_ in _risks_to_try(0.1)
    assert again.gate_.n == 225
    labels, accepted = again.decide(X[300:])
    assert accepted.any()
    assert (labels != y[300:])[accepted].mean() < again.max_risk_
    assert again.max_risk_ == 0.1
    few = model.adapted(X[:40], y[:40])
    assert few.max_risk_ == 0.2
    assert "10 % cannot be promised: " in few.summary_
    assert not few.gate_.certificates[1].is_given
    assert model.max_risk_ == 0.1  # the first stays as it was
    again.save(tmp_path / "again")
    loaded = TrustedClassifier.load(tmp_path / "again", again.estimator_)
    np.testing.assert_array_equal(loaded.decide(X[300:]).accepted, accepted)


def test_promises_of_adapted_gates_hold_in_all_but_few_draws(model: TrustedClassifier) -> None:
    """At delta 5 %, more than six of 60 broken ones would have a probability of 3 %."""
    X, y = rows(20_000, 5, noise=0.7)
    outputs = model.reader_.outputs(X).changed(labels=y)
    broken = 0
    for seed in range(60):
        drawn = np.random.default_rng(seed).choice(len(y), 120, replace=False)
        gate = model.gate_.adapted(outputs.subset(drawn), seed=seed)
        accepted = gate.decide_rows(outputs).accepted
        broken += bool(accepted.any()) and (~outputs.is_correct)[accepted].mean() > gate.promised_risk
    assert broken <= 6


def test_rows_that_belong_together_are_on_one_side_and_few_are_refused() -> None:
    outputs, groups = make_outputs(120), np.arange(120) // 4
    adapting, calibrating = split_to_adapt(outputs, groups, seed=0)
    assert not set(groups[adapting]) & set(groups[calibrating])
    assert len(adapting) == 4 * len(set(groups[adapting]))
    assert len(calibrating) == len(set(groups[calibrating])) == 22  # one of each calibrates
    with pytest.raises(SteepslopeError, match=f"expected at least {LEAST_LABELS} labelled rows of the new source"):
        split_to_adapt(outputs, groups // 2, seed=0)
    gate = Gate.of(MCP(), make_outputs(4_000), 0.3, by="predicted")
    with pytest.raises(SteepslopeError, match="groups: expected one promise for all rows"):
        gate.adapted(make_outputs(120))
