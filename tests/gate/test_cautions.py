"""What looks too good to be true is a caution: calibration rows without errors, and opinions that are the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator

from steepslope import TrustedClassifier
from steepslope.errors import CautionWarning
from steepslope.gate import Gate
from steepslope.numerics import small_net
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle.baselines import truths_among
from steepslope.outputs import ClassifierOutputs
from steepslope.promise.calibration import caution_on_few_errors
from steepslope.scores import MCP
from tests.gate.test_lacking import drawn

ASKED = "are the labels made from the predictions, or was the classifier fitted on these rows?"


@pytest.fixture(scope="module")
def oracle() -> FusedOracle:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_net, "LEAST_STEPS", 30)
        return FusedOracle(budget="free").fit(drawn(800, 0)[0])


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.4])
@pytest.mark.parametrize(("n", "m"), [(200, 200), (500, 150)])
def test_an_honest_gate_is_hardly_ever_cautioned(rate: float, n: int, m: int) -> None:
    """Over all counts, where the rows are wrong half as often as those of the fit set."""
    told = 0.0
    for before in range(m + 1):
        found = [bool(caution_on_few_errors(np.arange(n) >= errors, np.ones(n), (before, m))) for errors in range(15)]
        told += binom.pmf(before, m, rate) * binom.pmf(np.flatnonzero(found), n, rate / 2).sum()
    assert told <= 1e-4


def test_labels_made_from_the_predictions(oracle: FusedOracle, tmp_path: Path) -> None:
    rows = drawn(1_000, 1)[0]
    copied = rows.changed(labels=rows.predictions)
    gate = Gate.of(oracle, copied)
    wrong = int((~drawn(800, 0)[0].is_correct).sum())
    line = f"0 of 1,000 calibration rows are wrong, where {wrong} of 800 rows of the fit set were: {ASKED}"
    assert gate.caution == line
    assert f"Caution: {line}" in gate.sentences().splitlines()
    assert Gate.of(oracle, rows).caution == ""
    gate.save(tmp_path / "gate")
    assert Gate.load(tmp_path / "gate").caution == line
    oracle.save(tmp_path / "oracle")
    assert Gate.of(Oracle.load(tmp_path / "oracle"), copied).caution == line


def test_a_score_without_a_fit_set_has_the_probabilities() -> None:
    """A classifier that is as sure as it is right is not asked."""
    rng = np.random.default_rng(0)
    sure, unsure = np.array([0.9999, 0.0001]), np.array([0.9, 0.1])
    for probabilities, asked in ((sure, False), (unsure, True)):
        rows = ClassifierOutputs.from_probabilities(np.tile(probabilities, (500, 1)), np.zeros(500, np.int64))
        caution = Gate.of(MCP(), rows).caution
        assert caution.startswith("0 of 500 calibration rows are wrong, where by the classifier's own prob") == asked
    right = rng.random(500) < 0.9
    assert not Gate.of(MCP(), ClassifierOutputs.from_probabilities(np.tile(unsure, (500, 1)), 1 - right)).caution


def test_a_trusted_classifier_of_rows_that_its_own_was_fitted_on() -> None:
    X, y = make_classification(1_200, flip_y=0.2, random_state=0)
    forest = RandomForestClassifier(20, random_state=0).fit(X, y)
    seen = forest.predict(X) == y  # all but a few
    with pytest.warns(CautionWarning, match=f"^0 of 2.. calibration rows are wrong, .*{ASKED[-20:-1]}"):
        model = TrustedClassifier(FrozenEstimator(forest)).fit(X[seen], y[seen])
    assert "Caution: 0 of " in model.summary_


@pytest.mark.filterwarnings("ignore:probabilities. found the same probability")
@pytest.mark.parametrize("kind", ["votes", "probabilities"])
def test_an_opinion_that_is_the_truth(kind: str) -> None:
    """It is told at the fit and in the certificate; one that is right in 19 of 20 rows is not."""
    fit_set, rows = (drawn(n, seed)[0] for n, seed in ((600, 0), (1_000, 1)))
    surely, array = np.eye(4) * 0.96 + 0.01, "vote_audit" if kind == "votes" else "opinion_audit"

    def told(outputs: ClassifierOutputs, errors: int) -> ClassifierOutputs:
        said = outputs.require_labels().copy()
        said[:errors] = (said[:errors] + 1) % 4
        return outputs.with_opinion("audit", said if kind == "votes" else surely[said])

    with pytest.warns(CautionWarning, match="^the opinion audit is right in 600 of 600 rows, the classifier in "):
        oracle = Oracle(inputs=("logits", array), epochs=1).fit(told(fit_set, 0))
    line = f"the opinion audit is right in 996 of 1,000 rows, the classifier in {rows.is_correct.sum()} of them: is it "
    gate = Gate.of(oracle, told(rows, 4))
    assert gate.caution.splitlines()[-1].startswith(line)
    assert truths_among(told(rows, 50), oracle.arrays) == []


def test_two_classifiers_that_are_both_right_are_no_caution() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=1_000)
    logits = 9 * np.eye(4)[np.where(np.arange(1_000) < 10, (labels + 1) % 4, labels)]
    assert truths_among(ClassifierOutputs(logits, labels).with_opinion("other", labels), ["vote_other"]) == []
