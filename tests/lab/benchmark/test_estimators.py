"""The classifiers around texts, tables and sounds: each learns what can be learnt, and gives the same for a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from steepslope_lab.benchmark.estimators import BANDS, COEFFICIENTS, ESTIMATORS, PARTS, cepstrum, log_spectrogram
from steepslope_lab.benchmark.rows import RATE, SAMPLES


def tones(hertz: NDArray[Any]) -> NDArray[np.float32]:
    """Return sounds of one tone each, (n, 8000), of another phase each."""
    time = np.arange(SAMPLES) / RATE
    return np.sin(2 * np.pi * (hertz[:, None] * time + np.linspace(0, 1, len(hertz))[:, None])).astype(np.float32)


def some_rows(kind: str, n: int = 120) -> tuple[Any, NDArray[np.str_]]:
    rng = np.random.default_rng(0)
    y = np.where(rng.random(n) < 0.5, "high", "low")
    high = y == "high"
    if kind == "text":
        words = rng.choice(["the", "a", "film", "was", "so"], size=(n, 4))
        X = [" ".join([*row, "great" if one else "dull"]) for row, one in zip(words, high, strict=True)]
        return X, y
    if kind == "sound":
        return tones(np.where(high, 2_000, 300) + rng.normal(0, 20, n)), y
    numbers = np.where(high, 2.0, -2.0) + rng.normal(size=n)
    numbers[:5] = np.nan
    city = np.where(high, "Rome", "Oslo").astype(object)
    city[rng.random(n) < 0.1] = None
    return pandas.DataFrame({"number": numbers, "noise": rng.normal(size=n), "city": city}), y


def named_estimators() -> list[tuple[str, str]]:
    return [(kind, name) for kind, named in ESTIMATORS.items() for name in named]


@pytest.mark.parametrize(("kind", "name"), named_estimators())
def test_each_learns_what_can_be_learnt(kind: str, name: str) -> None:
    """Missing numbers and strings, and strings that are new, are taken."""
    X, y = some_rows(kind)
    model = ESTIMATORS[kind][name](0).fit(X[:80], y[:80])
    if kind == "table":
        X.loc[X.index[80], "city"] = "Paris"
    assert (model.predict(X[80:]) == y[80:]).mean() > 0.85
    again = ESTIMATORS[kind][name](0).fit(X[:80], y[:80])
    assert (again.predict(X) == model.predict(X)).all()


def test_a_tone_lies_in_its_band_and_in_its_time() -> None:
    wave = tones(np.array([500.0, 3_500.0]))
    wave[:, SAMPLES // 2 :] = 0
    bands = log_spectrogram(wave).reshape(2, BANDS, PARTS)
    mel = [2595 * np.log10(1 + hertz / 700) for hertz in (500, 3_500, RATE / 2)]
    loudest = bands[:, :, 2].argmax(axis=1)
    assert_allclose(loudest, [np.floor(one / mel[2] * BANDS) for one in mel[:2]], atol=1)
    assert bands[0, loudest[0], 2] > bands[0, loudest[0], -2] + 5  # then there is silence
    assert_allclose(bands[0, :, -2], np.log(1e-6), atol=2e-2)


def test_a_cepstrum_hears_loudness_in_its_first_coefficient_alone() -> None:
    """Twice as loud adds a constant to all log energies, and so to the first coefficient of each part."""
    noise = np.random.default_rng(0).normal(size=(1, SAMPLES)).astype(np.float32)
    quiet, loud = (cepstrum(sound).reshape(COEFFICIENTS, PARTS) for sound in (noise, 2 * noise))
    assert_allclose(loud[0] - quiet[0], np.log(4) * np.sqrt(BANDS), atol=2e-2)
    assert_allclose(loud[1:], quiet[1:], atol=2e-2)
