"""Scores of logits against their definitions in 60 digits, where float64 probabilities round to 0 and 1."""

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from steepslope.metrics import auroc
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import (
    MCP,
    Doctor,
    Entropy,
    Margin,
    MaxLogit,
    MaxLogitPNorm,
    MCDropout,
    Score,
    TemperatureScaledMCP,
)
from steepslope.scores._logits import Energy
from tests.conftest import make_outputs

mp = mpmath.mp.clone()
mp.dps = 700  # softmaxes of logits up to 600 apart

LOGITS = st.integers(2, 6).flatmap(lambda k: st.lists(st.floats(-300, 300, width=32), min_size=k, max_size=k))
Definition = Callable[[Sequence[Any], Sequence[Any]], Any]


def entropy(p: Sequence[Any], _: Sequence[Any]) -> Any:
    return -mp.log(-sum(one * mp.log(one) for one in p))


def doctor_alpha(p: Sequence[Any], _: Sequence[Any]) -> Any:
    squares = sum(one**2 for one in p)
    return mp.log(squares / (1 - squares))


DEFINITIONS: dict[str, tuple[Score, Definition]] = {
    "mcp": (MCP(), lambda p, _: mp.log(max(p) / (1 - max(p)))),
    "max_logit": (MaxLogit(), lambda _, z: max(z)),
    "margin": (Margin(), lambda _, z: sorted(z)[-1] - sorted(z)[-2]),
    "entropy": (Entropy(), entropy),
    "doctor": (Doctor(), doctor_alpha),
    "energy": (Energy(), lambda _, z: mp.log(sum(mp.exp(one) for one in z))),
}


def outputs_of(logits: Any) -> ClassifierOutputs:
    return ClassifierOutputs(np.asarray(logits, dtype=np.float64), np.zeros(len(logits), dtype=int))


@pytest.mark.parametrize("name", DEFINITIONS)
@settings(max_examples=40)
@given(logits=LOGITS)
def test_confidence_is_the_definition(name: str, logits: list[float]) -> None:
    score, definition = DEFINITIONS[name]
    z = [mp.mpf(one) for one in logits]
    total = sum(mp.exp(one) for one in z)
    expected = definition([mp.exp(one) / total for one in z], z)
    found = score.confidence(outputs_of([logits]))[0]
    assert found == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("true_temperature", [0.4, 3.0])
def test_temperature_is_found(true_temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 5)) * 3
    noise = rng.gumbel(size=logits.shape)
    labels = (logits / true_temperature + noise).argmax(axis=1)  # drawn from softmax(logits / T)
    score = TemperatureScaledMCP().fit(ClassifierOutputs(logits, labels))
    assert score.temperature_ is not None
    assert score.temperature_ == pytest.approx(true_temperature, rel=0.03)
    expected = MCP().confidence(outputs_of(logits / score.temperature_))
    np.testing.assert_allclose(score.confidence(outputs_of(logits)), expected, rtol=1e-9)


def scaled_by_luck(n: int = 3000) -> ClassifierOutputs:
    """Make logits whose size says nothing, only their shape does."""
    outputs = make_outputs(n, num_classes=6)
    factor = np.exp(np.random.default_rng(1).normal(size=(n, 1)))
    return ClassifierOutputs(outputs.logits * factor, outputs.labels)


def test_pnorm_is_the_largest_centred_logit_by_its_norm() -> None:
    outputs = scaled_by_luck()
    score = MaxLogitPNorm().fit(outputs)
    assert score.power_ is not None
    assert score.power_ > 0
    centred = outputs.logits - outputs.logits.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, ord=score.power_, axis=1)
    np.testing.assert_allclose(score.confidence(outputs), centred.max(axis=1) / norms, rtol=1e-6)
    mcp = auroc(MCP().confidence(outputs), outputs.is_correct)
    assert auroc(score.confidence(outputs), outputs.is_correct) > mcp + 0.02


def test_pnorm_falls_back_to_mcp() -> None:
    """Where labels are drawn from the softmax itself, nothing ranks better than its largest probability."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)) * 2
    outputs = ClassifierOutputs(logits, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1))
    score = MaxLogitPNorm().fit(outputs)
    assert score.power_ is None
    np.testing.assert_array_equal(score.confidence(outputs), MCP().confidence(outputs))


def test_pnorm_survives_equal_logits() -> None:
    score = MaxLogitPNorm().fit(scaled_by_luck())
    odd = outputs_of([[1.0] * 6, [1e300, 0, 0, 0, 0, 0], [1e-300, 0, 0, 0, 0, 0]])
    assert np.isfinite(score.confidence(odd)).all()


def with_passes(passes: NDArray[np.float64], logits: NDArray[np.float64]) -> ClassifierOutputs:
    """Keep the passes (T, n, K) of logits as extraction does."""
    log_p = passes - np.log(np.exp(passes).sum(axis=2, keepdims=True))
    kept = np.stack([np.log(np.exp(log_p).mean(axis=0)), np.exp(log_p).std(axis=0)], axis=1)
    return ClassifierOutputs(logits, np.zeros(len(logits), dtype=int), dropout=kept)


def test_mc_dropout_is_the_mean_softmax() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 4))
    passes = logits + rng.normal(size=(30, 50, 4))
    outputs = with_passes(passes, logits)
    p = np.exp(passes) / np.exp(passes).sum(axis=2, keepdims=True)
    mean = p.mean(axis=0)
    entropies = -(mean * np.log(mean)).sum(axis=1)
    np.testing.assert_allclose(MCDropout().confidence(outputs), -np.log(entropies))


def test_a_million_logits_need_little_memory() -> None:
    """Blocks are bounded by rows times classes, here 4,194 rows of 1,000 classes."""
    row, score, peaks = np.random.default_rng(0).normal(size=(1, 1_000)).astype(np.float32), MCP(), []
    for n in (4_200, 9_000):
        outputs = ClassifierOutputs(np.broadcast_to(row, (n, 1_000)), np.zeros(n, dtype=np.int64))
        tracemalloc.start()
        assert np.isfinite(score.confidence(outputs)).all()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert np.isfinite(outputs.true_class_probability).all()
    assert peaks[1] < peaks[0] + 1e7 < 2e8
