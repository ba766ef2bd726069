"""What signals tell together: on any scale and in either direction, never clearly behind the best of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from steepslope import ClassifierOutputs, FusedOracle, Gate
from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc, auroc
from steepslope.oracle.evidence import _signals as signals_module
from steepslope.oracle.evidence._registry import is_of_signals, kind_of_evidence, signals_name

Floats = np.ndarray


def answers(n: int, seed: int, labelled: bool = True, **changes: Callable[[Floats], Floats]) -> ClassifierOutputs:
    """Return graded answers: one signal rises with the truth, one falls, one is right in the middle, one is useless."""
    draw = np.random.default_rng(seed)
    skill = draw.normal(size=n)
    is_correct = skill + draw.normal(size=n) > -0.5
    signals = {
        "judge": np.round(2 * (skill + 0.8 * draw.normal(size=n))),
        "entropy": np.exp(-skill + draw.normal(size=n)),
        "length": np.where(is_correct, draw.normal(0, 0.6, n), draw.normal(0, 1.6, n)),
        "noise": draw.normal(size=n),
    }
    for name, change in changes.items():
        signals[name] = change(signals[name])
    return ClassifierOutputs.from_graded(signals, is_correct if labelled else None)


def fitted(outputs: ClassifierOutputs) -> FusedOracle:
    return FusedOracle(errors="crossfit").fit(outputs)


@pytest.fixture(scope="module")
def oracle() -> FusedOracle:
    return fitted(answers(800, 0))


def single(outputs: ClassifierOutputs, name: str, sign: int) -> float:
    return aurc(sign * np.asarray(outputs.arrays[f"signal_{name}"]), outputs.is_correct)


def test_they_rank_better_than_the_best_of_them(oracle: FusedOracle) -> None:
    new = answers(4_000, 1)
    best = min(single(new, name, sign) for name in new.signals for sign in (1, -1))
    assert aurc(oracle.trust_logit(new), new.is_correct) < 0.9 * best
    assert auroc(oracle.trust_logit(new), new.is_correct) > 0.8


@pytest.mark.parametrize("n", [200, 400])
def test_few_rows_are_never_far_behind(n: int) -> None:
    new = answers(4_000, 1)
    for seed in range(3):
        outputs = answers(n, 10 + seed)
        names = [(name, sign) for name in new.signals for sign in (1, -1)]
        chosen = min(names, key=lambda one: single(outputs, *one))
        assert aurc(fitted(outputs).trust_logit(new), new.is_correct) < 1.05 * single(new, *chosen)


@pytest.mark.parametrize(
    "change", [lambda values: 100 * values, lambda values: values**3, np.arcsinh], ids=["times", "cubed", "bent"]
)
def test_any_rising_scale_is_the_same(change: Callable[[Floats], Floats], oracle: FusedOracle) -> None:
    new = answers(500, 1)
    other = fitted(answers(800, 0, length=change, judge=change))
    found = other.trust_logit(answers(500, 1, length=change, judge=change))
    assert np.corrcoef(found, oracle.trust_logit(new))[0, 1] > 0.999


def test_a_signal_may_fall() -> None:
    negated = fitted(answers(800, 0, judge=np.negative))
    new = answers(500, 1)
    found = negated.trust_logit(answers(500, 1, judge=np.negative))
    assert np.corrcoef(found, fitted(answers(800, 0)).trust_logit(new))[0, 1] > 0.99


def test_numbers_beyond_the_fit_set_count_as_its_ends(oracle: FusedOracle) -> None:
    new = answers(200, 1)
    ends = [fn(np.asarray(answers(800, 0).arrays["signal_length"])) for fn in (np.min, np.max)]
    beyond = [new.changed(signal_length=np.full(200, value)) for value in (*ends, ends[0] - 1e6, ends[1] + 1e6)]
    low, high, lower, higher = (oracle.trust_logit(one) for one in beyond)
    np.testing.assert_allclose(low, lower)
    np.testing.assert_allclose(high, higher)


def test_useless_signals_cost_little() -> None:
    draw, new = np.random.default_rng(99), answers(4_000, 1)

    def padded(outputs: ClassifierOutputs) -> ClassifierOutputs:
        return outputs.changed(**{f"signal_n{number}": draw.normal(size=len(outputs)) for number in range(20)})

    plain = aurc(fitted(answers(800, 0)).trust_logit(new), new.is_correct)
    assert aurc(fitted(padded(answers(800, 0))).trust_logit(padded(new)), new.is_correct) < 1.1 * plain


def half_missing(values: Floats) -> Floats:
    return np.where(np.arange(len(values)) % 2, values, np.nan)


def test_a_signal_that_was_often_missing_is_learnt_as_missing() -> None:
    oracle = fitted(answers(800, 0, entropy=half_missing))
    gate = Gate.of(oracle, answers(800, 2, entropy=half_missing), 0.3)
    new = answers(1_000, 1, labelled=False, entropy=half_missing)
    decisions = gate.decide_rows(new)
    assert not np.any(decisions.lacking)
    assert all(0.3 < decisions.accepted[start::2].mean() < 0.95 for start in (0, 1))


def test_an_answer_without_a_signal_that_all_others_had_goes_to_review(oracle: FusedOracle) -> None:
    gate = Gate.of(oracle, answers(800, 2), 0.3)
    new = answers(300, 1, labelled=False)
    whole = gate.decide_rows(new)
    lacking = gate.decide_rows(new.changed(signal_judge=half_missing(np.asarray(new.arrays["signal_judge"]))))
    lacks = np.arange(300) % 2 == 0
    np.testing.assert_array_equal(lacking.lacking, lacks)
    np.testing.assert_array_equal(lacking.accepted, whole.accepted & ~lacks)
    assert "A row that lacks the signal judge goes to review" in str(gate.source.sentences())  # type: ignore[union-attr]


def test_the_oracle_speaks_of_signals_not_of_classes(oracle: FusedOracle) -> None:
    summary = oracle.fitted_.summary  # type: ignore[union-attr]
    assert "signals(judge+entropy+length+noise)" in summary
    assert "in place of the classifier" not in summary
    assert "AUC of each signal alone: judge" in summary
    assert "(high where right), entropy" in summary
    gate = Gate.of(oracle, answers(800, 2), 0.3)
    assert "class wrong" not in gate.caution


def test_a_gate_with_signals_is_restored(oracle: FusedOracle, tmp_path: Any) -> None:
    new = answers(300, 1, labelled=False)
    gate = Gate.of(oracle, answers(800, 2), 0.3)
    gate.save(tmp_path / "gate")
    found = Gate.load(tmp_path / "gate").decide_rows(new)
    assert (found.accepted == gate.decide_rows(new).accepted).all()


def test_rows_of_the_fit_set_are_known_by_their_signals(oracle: FusedOracle) -> None:
    with pytest.raises(SteepslopeError, match="expected rows that nothing was fitted on, found 800 of 800"):
        Gate.of(oracle, answers(800, 0), 0.3)


def test_a_label_may_have_signals_too() -> None:
    draw = np.random.default_rng(0)

    def made(n: int) -> ClassifierOutputs:
        truth = draw.choice(["ant", "bee", "cat"], n)
        said = np.where(draw.random(n) < 0.75, truth, draw.permutation(truth))
        signals = {"agreement": (said == truth) + draw.normal(size=n)}
        return ClassifierOutputs.from_answers(said, 0.5 + 0.4 * draw.random(n), truth, signals=signals)

    new = made(2_000)
    assert auroc(fitted(made(900)).trust_logit(new), new.is_correct) > 0.7


@pytest.mark.parametrize(
    ("name", "value"),
    [("features", np.full((60, 7), 99)), ("ridge", np.zeros(3)), ("best", np.array([77.0, 1.0])), ("knots", None)],
)
def test_other_states_are_refused(name: str, value: Any, oracle: FusedOracle) -> None:
    ((kind, state),) = oracle.fitted_.states.items()  # type: ignore[union-attr]
    learning = kind_of_evidence(kind).learning
    assert is_of_signals(kind)
    assert learning is not None
    assert kind == signals_name(["signal_judge", "signal_entropy", "signal_length", "signal_noise"])
    learning.check(state, 2)
    damaged = {**state, name: value}
    if value is None:
        del damaged[name]
    with pytest.raises(SteepslopeError, match="expected"):
        learning.check(damaged, 2)


def test_ranks_between_knots_are_those_of_a_line() -> None:
    """Values beyond the ends have the ranks of the ends, and a value that lacks has the middle one."""
    state = {
        "knots": np.array([[0.0, 1.0, 3.0], [-2.0, 0.0, 2.0]]),
        "ranks": np.array([[0.1, 0.5, 0.9], [0.0, 0.6, 1.0]]),
        "lacking": np.array([0.0, 0.2]),
    }
    signals = np.array([[0.5, -1.0], [2.0, 1.0], [-9.0, 9.0], [1.0, np.nan]])
    expected = np.column_stack(
        [
            np.interp(signals[:, 0], [0, 1, 3], [0.1, 0.5, 0.9]),
            np.append(np.interp(signals[:3, 1], [-2, 0, 2], [0, 0.6, 1]), 0.5),
            [0, 0, 0, 1],
        ]
    )
    np.testing.assert_allclose(signals_module._ranked_columns(signals, state), expected)


def ranks_and_truth(n: int) -> tuple[Floats, Floats]:
    draw = np.random.default_rng(5)
    ranks = draw.random((n, 3))
    return ranks, draw.random(n) < 0.2 + 0.6 * ranks[:, 1]


@pytest.mark.parametrize(("n", "strength"), [(600, 600 / 30_000), (12_000, 0.3)])
def test_the_ridge_is_a_logistic_regression_of_standardised_pieces(n: int, strength: float) -> None:
    ranks, truth = ranks_and_truth(n)
    pieces = np.column_stack([np.clip(ranks - low, 0, 0.2) for low in (0, 0.2, 0.4, 0.6, 0.8)])
    np.testing.assert_allclose(signals_module._piecewise(ranks), pieces)
    weights = signals_module._fit_ridge(pieces, truth)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1_000)).fit(pieces, truth)
    np.testing.assert_allclose(pieces @ weights[:-1] + weights[-1], model.decision_function(pieces), atol=1e-6)
    for same in (np.ones(n, np.bool_), np.zeros(n, np.bool_)):
        assert not signals_module._fit_ridge(pieces, same).any()


def test_the_three_predictors_are_standardised_log_odds() -> None:
    """The third of them is the log-odds of the best signal's rank."""
    ranks, truth = ranks_and_truth(900)
    state = signals_module._fit_parts(ranks, truth)
    parts = signals_module._parts(ranks, state)
    np.testing.assert_allclose(parts.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(parts.std(axis=0), 1)
    best = logit(ranks[:, 1])
    np.testing.assert_allclose(parts[:, 2], (best - best.mean()) / best.std())
