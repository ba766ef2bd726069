"""The guard against noise: what noise is measured to be, and who is asked then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from steepslope.cli import main
from steepslope.data.noise import noise_of
from steepslope.errors import SteepslopeError
from steepslope.fused import FusedOracle
from steepslope.guard import Guard
from steepslope.metrics import auroc
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from steepslope.training.consensus import Consensus
from tests.conftest import make_complete


def with_noise(outputs: ClassifierOutputs, low: float, high: float, seed: int = 0) -> ClassifierOutputs:
    """Add images' noise, drawn evenly from low to high."""
    return replace(outputs, noise=np.random.default_rng(seed).uniform(low, high, len(outputs)))


@pytest.fixture(scope="module")
def oracle() -> FusedOracle:
    fit_set = with_noise(make_complete(800, seed=2), 0, 1)
    return Oracle.fused().fit(fit_set, make_complete(600, seed=1))


@pytest.mark.parametrize("sigma", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_estimate_is_the_deviation_of_white_noise(sigma: float, channels: int) -> None:
    noise = sigma * torch.randn((2, channels, 150, 150), generator=torch.Generator().manual_seed(1))
    ramp = torch.linspace(-3, 3, 150).expand(2, channels, 150, 150) + 5
    assert noise_of(noise + ramp).numpy() == pytest.approx(sigma, rel=0.02)
    assert noise_of(ramp).numpy() == pytest.approx(0, abs=1e-5)


def test_it_follows_immerkaers_formula() -> None:
    """Mask and scale as in the paper, by explicit loops."""
    image = np.random.default_rng(0).normal(size=(6, 7))
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    total = sum(abs((image[i : i + 3, j : j + 3] * mask).sum()) for i in range(4) for j in range(5))
    expected = np.sqrt(np.pi / 2) * total / (6 * 5 * 4)
    assert noise_of(torch.from_numpy(image)[None, None]).item() == pytest.approx(expected, rel=1e-12)


def test_who_is_asked_at_what_noise() -> None:
    guard = Guard(np.array([1.0, 3.0]), Consensus(np.ones(1), np.zeros(1)))
    odds, own = np.full(5, 10.0), np.zeros(5)
    assert guard.mixed(odds, own, np.array([0, 1, 2, 3, 9])).tolist() == [10, 10, 5, 0, 0]
    constant = replace(guard, limits=np.array([1.0, 1.0]))
    assert constant.mixed(odds[:2], own[:2], np.array([1.0, 1.1])).tolist() == [10, 0]


def test_noisy_images_are_ranked_as_by_the_classifier(oracle: FusedOracle) -> None:
    unseen = make_complete(2000, seed=3)
    quiet, loud = with_noise(unseen, 0, 0.9), with_noise(unseen, 2, 3)
    mcp = MCP().confidence(unseen)
    assert auroc(oracle.trust_logit(quiet), unseen.is_correct) > auroc(mcp, unseen.is_correct) + 0.05
    z = oracle.trust_logit(loud)
    assert auroc(z, unseen.is_correct) == pytest.approx(auroc(mcp, unseen.is_correct), abs=0.01)
    unguarded = Oracle.fused().fit(make_complete(800, seed=2), make_complete(600, seed=1))
    assert auroc(unguarded.trust_logit(quiet), unseen.is_correct) == pytest.approx(
        auroc(oracle.trust_logit(quiet), unseen.is_correct), abs=1e-3
    )


def test_it_is_explained_saved_and_required(oracle: FusedOracle, tmp_path: Path) -> None:
    loud = with_noise(make_complete(300, seed=3), 0.5, 1.5)
    oracle.save(tmp_path)
    loaded = Oracle.load(tmp_path)
    z = oracle.trust_logit(loud)
    np.testing.assert_array_equal(loaded.trust_logit(loud), z)
    parts = oracle.explain(loud)
    np.testing.assert_allclose(sum(parts.values()), z, atol=1e-9)
    assert (parts["noise"][loud.require("noise") < 0.9] == 0).all()
    assert (parts["noise"][loud.require("noise") > 1.1] != 0).mean() > 0.9
    with pytest.raises(SteepslopeError, match="hold no noise"):
        oracle.trust_logit(replace(loud, noise=None))


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (np.zeros((400, 1)), "noise: expected floats of shape"),
        (np.zeros(399), "noise: expected 400 rows"),
        (np.full(400, np.nan), "noise: expected finite values"),
        (np.zeros(400, dtype=int), "noise: expected floats"),
    ],
)
def test_noise_that_cannot_be_is_named(noise: np.ndarray, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        replace(make_complete(400), noise=noise)


def test_views_come_with_noise(demo: Path, tmp_path: Path) -> None:
    given = ["--classifier", f"checkpoint:{demo / 'seed0' / 'classifier'}", "--data", "digits:test"]
    assert main(["extract", *given, "--evidence", "views", "--out", str(tmp_path / "o")]) == 0
    outputs = ClassifierOutputs.load(tmp_path / "o")
    assert outputs.require("noise").shape == (len(outputs),)
    assert outputs.subset(np.arange(3)).require("noise").tolist() == outputs.require("noise")[:3].tolist()
    outputs.save(tmp_path / "o.npz")
    assert ClassifierOutputs.load(tmp_path / "o.npz").require("noise").tolist() == outputs.require("noise").tolist()
    with pytest.raises(SteepslopeError, match="a table cannot hold"):
        replace(outputs, views=None).save(tmp_path / "o.csv")
