"""A trusted classifier moves to another mix of the classes: what is promised then, and what is no mix."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.linear_model import LogisticRegression

from steepslope import TrustedClassifier
from steepslope.errors import ChangedWarning, SteepslopeError
from tests.sklearn.problems import table

pytestmark = pytest.mark.usefixtures("quick_nets")


@pytest.mark.parametrize("names", [np.array(["fine", "fraud"]), np.array([0, 1])])
def test_a_model_moves_to_another_mix_of_the_classes(names: Any, tmp_path: Path) -> None:
    """The rows held out are calibrated on again; the first model stays as it is."""
    draw = np.random.default_rng(0)

    def rows(n: int, share: float) -> tuple[Any, Any]:
        is_fraud = draw.random(n) < share
        return draw.normal(size=(n, 3)) + 4 * is_fraud[:, None] * [1, 0, 0], names[is_fraud.astype(int)]

    X, y = rows(10_000, 0.15)
    model = TrustedClassifier(LogisticRegression(), max_risk=(0.001, 0.03)).fit(X, y)
    coverage, (new, truth) = model.gate_.coverage, rows(4_000, 0.45)
    mix = {names[0]: 0.55, names[1]: 0.45}
    moved = {"named": model.for_mix(mix), "estimated": model.for_mix(target=new)}
    assert model.gate_.coverage == coverage
    for name, one in moved.items():
        weighted = one.gate_.certificates[0].weighted
        assert weighted is not None
        assert weighted.mix[str(names[1])] == pytest.approx(0.45, abs=0.0 if name == "named" else 0.03)
        assert one.gate_.certificates[0].delta == 0.025
        assert one.gate_.calibration_rows is not None  # so that a change is seen
        assert weighted.target == (0 if name == "named" else 4_000)
        assert one.max_risk_ == 0.03
        assert "3 % is the first of 0.1 %, 3 % that can be promised." in one.summary_
        labels, accepted = one.decide(new)
        assert accepted.mean() > 0.3
        assert (labels != truth)[accepted].mean() <= 0.03
        one.save(tmp_path / name)
        assert_array_equal(TrustedClassifier.load(tmp_path / name, one.estimator_).decide(new)[1], accepted)
    with pytest.warns(ChangedWarning, match="the mix of predicted classes.*`for_mix"):
        labels, accepted = model.decide(new)
    assert (labels != truth)[accepted].mean() > 0.02  # what the other mix does to the first gate, in spite of its floor


def test_a_target_is_new_to_the_labels_and_unknown_rows_have_a_share() -> None:
    X, y = table(2_000)
    y = np.where(np.arange(2_000) % 20 == 0, -1, y)
    model = TrustedClassifier(LogisticRegression(), max_risk=0.4, unknown_label=-1).fit(X, y)
    weighted = model.for_mix({0: 0.5, 1: 0.4, -1: 0.1}).gate_.certificates[0].weighted
    assert weighted is not None
    assert dict(weighted.mix) == pytest.approx({"0": 0.5, "1": 0.4, "unknown": 0.1})
    refused = r"target: .*: expected (other rows|rows that nothing was fitted on), found"
    with pytest.raises(SteepslopeError, match=refused):
        model.for_mix(target=X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "class_mix: expected either class_mix or target, found neither"),
        ({"class_mix": {0: 0.5, 1: 0.5}, "target": np.zeros((300, 3))}, "target: expected either class_mix or"),
        ({"class_mix": {0: 0.5, 2: 0.5}}, "unknown class in class_mix: '2'"),
    ],
)
def test_a_model_moves_to_nothing_that_is_no_mix(options: dict[str, Any], message: str) -> None:
    X, y = table(400)
    model = TrustedClassifier(LogisticRegression(), max_risk=0.3).fit(X, y)
    with pytest.raises(SteepslopeError, match=re.escape(message)):
        model.for_mix(**options)
