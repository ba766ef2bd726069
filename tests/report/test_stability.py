"""The luck of the fit is that of fresh fit sets."""

from __future__ import annotations

from typing import Self

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.metrics import METRICS, auroc
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report.stability import stability
from tests.conftest import make_outputs


class Shift:
    """An oracle whose trust logit is the first logit less the fit set's mean of it."""

    def fit(self, outputs: ClassifierOutputs, reference: ClassifierOutputs | None = None) -> Self:
        self.mean = float(outputs.logits[:, 0].mean())
        return self

    def trust_logit(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        return np.asarray(outputs.logits[:, 0] - self.mean, dtype=np.float64)


def drawn(n: int, seed: int) -> ClassifierOutputs:
    """Return outputs whose first logit is standard normal, 30 % of them wrong whatever the logit."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3))
    return ClassifierOutputs(logits, (logits.argmax(axis=1) + (rng.random(n) < 0.3)) % 3)


def test_the_deviation_is_that_of_fresh_fit_sets() -> None:
    """Refits on 200 halves of one fit set vary as fits to 200 fit sets of the same size do; the ranking never does."""
    test = drawn(20_000, seed=1)
    found = stability(Shift, drawn(400, seed=0), None, test, refits=200, bootstrap=0)
    fresh = [Shift().fit(drawn(400, seed=seed)).trust_logit(test) for seed in range(2, 202)]
    tpr = [float(np.mean(z[test.is_correct] > 0)) for z in fresh]
    assert found["tpr"].deviation == pytest.approx(np.std(tpr, ddof=1), rel=0.25)
    assert found["tpr"].least < found["tpr"].estimate["value"] < found["tpr"].most
    assert found["auc"].deviation == pytest.approx(0, abs=1e-12)


def test_an_oracle_is_refitted_with_its_settings() -> None:
    outputs, test = make_outputs(400), make_outputs(300, seed=5)
    oracle = Oracle("cross_entropy", inputs="logits", hidden=4, epochs=2)
    found = stability(oracle, outputs, None, test, refits=3, bootstrap=50)
    alone = Oracle("cross_entropy", inputs="logits", hidden=4, epochs=2).fit(outputs).trust_logit(test)
    assert oracle.fitted_ is None
    assert found.keys() == METRICS.keys()
    auc = found["auc"]
    assert auc.estimate["value"] == auroc(alone, test.is_correct)
    assert auc.estimate["low"] < auc.estimate["value"] < auc.estimate["high"]
    assert 0 < auc.deviation <= auc.most - auc.least
    assert found["accuracy"].deviation == 0


def test_the_seed_fixes_the_halves() -> None:
    outputs, test = drawn(200, seed=0), drawn(500, seed=1)
    first, again, other = (stability(Shift, outputs, None, test, bootstrap=0, seed=seed) for seed in (0, 0, 1))
    assert first["tpr"].deviation == again["tpr"].deviation != other["tpr"].deviation


@pytest.mark.parametrize(("settings", "message"), [({"refits": 1}, "refits: expected"), ({"seed": -1}, "seed: expec")])
def test_bad_settings_are_named(settings: dict[str, int], message: str) -> None:
    outputs = drawn(50, seed=0)
    with pytest.raises(SteepslopeError, match=message):
        stability(Shift, outputs, None, outputs, **settings)
