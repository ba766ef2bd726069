"""What looks too good, or too bad, to be true is a caution: other errors than before, leaks and wrong joins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, hypergeom
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator

from steepslope import TrustedClassifier
from steepslope.errors import CautionWarning
from steepslope.gate import Gate
from steepslope.numerics import _small_net as small_net
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle._cautions import (
    COPIED,
    JOINED,
    RENUMBERED,
    RowCounts,
    _is_rarer,
    caution_on_errors,
    cautions_on_better_opinions,
    cautions_on_other_opinions,
)
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from tests.gate.test_lacking import drawn


@pytest.fixture(scope="module")
def oracle() -> FusedOracle:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_net, "LEAST_STEPS", 30)
        return FusedOracle(budget="free").fit(drawn(800, 0)[0])


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.4])
@pytest.mark.parametrize(("n", "m"), [(200, 200), pytest.param(500, 150, marks=pytest.mark.slow)])
def test_an_honest_gate_is_hardly_ever_cautioned(rate: float, n: int, m: int) -> None:
    """Over all counts: of clones, where the rows are wrong half or twice as often, and of the classifier itself."""
    for of_clones, later, level in ((True, rate / 2, 1e-4), (True, 2 * rate, 1e-4), (False, rate, 7e-3)):
        told = 0.0
        for before in range(m + 1):
            chance = binom.pmf(before, m, rate)
            if chance < 1e-7:
                continue
            fit_set = RowCounts((before, m), of_clones=of_clones)
            cautioned = [
                bool(caution_on_errors(np.arange(n) >= errors, np.ones(n), fit_set)) for errors in range(n + 1)
            ]
            told += chance * binom.pmf(np.flatnonzero(cautioned), n, later).sum()
        assert told <= level


def test_labels_made_from_the_predictions(oracle: FusedOracle, tmp_path: Path) -> None:
    rows = drawn(1_000, 1)[0]
    copied = rows.changed(labels=rows.predictions)
    gate = Gate.of(oracle, copied)
    wrong = int((~drawn(800, 0)[0].is_correct).sum())
    line = f"0 of 1,000 calibration rows are wrong, where {wrong} of 800 rows of the fit set were: {COPIED}"
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
    with pytest.warns(CautionWarning, match=f"^0 of 2.. calibration rows are wrong, .*{COPIED[-20:-1]}"):
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
    line = f"the opinion audit is right in 996 of 1,000 rows, the classifier in {rows.is_correct.sum()} of them: make "
    gate = Gate.of(oracle, told(rows, 4))
    assert gate.caution.splitlines()[-1].startswith(line)
    half = int((~rows.is_correct).sum()) // 2
    for errors, expected in ((half, 1), (half + 1, 0)):
        assert len([*cautions_on_better_opinions(RowCounts.of(told(rows, errors), oracle.arrays))]) == expected


def test_two_classifiers_that_are_both_right_are_no_caution() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=1_000)
    logits = 9 * np.eye(4)[np.where(np.arange(1_000) < 9, (labels + 1) % 4, labels)]
    outputs = ClassifierOutputs(logits, labels).with_opinion("other", labels)
    assert not [*cautions_on_better_opinions(RowCounts.of(outputs, outputs.arrays))]


@pytest.fixture(scope="module")
def oracle_of_two() -> FusedOracle:
    """Return an oracle of an opinion that is as good as the classifier."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_net, "LEAST_STEPS", 30)
        return FusedOracle(budget="opinions").fit(with_equal(800, 0))


def with_equal(n: int, seed: int) -> ClassifierOutputs:
    """Return outputs with the opinion of a classifier that is as often right."""
    outputs, other = drawn(n, seed)[0], np.random.default_rng(seed + 99).normal(size=(n, 4))
    votes = (other + 1.5 * np.eye(4)[outputs.require_labels()]).argmax(axis=1)
    return outputs.with_opinion("second", votes)


@pytest.mark.parametrize("wrong", ["permuted", "renumbered", "honest"])
def test_an_opinion_that_is_joined_wrongly(wrong: str, oracle_of_two: FusedOracle, tmp_path: Path) -> None:
    rows = with_equal(1_000, 1)
    votes = rows.arrays["vote_second"]
    joined = {"permuted": np.roll(votes, 1), "renumbered": (votes + 1) % 4, "honest": votes}[wrong]
    oracle_of_two.save(tmp_path / "oracle")
    caution = Gate.of(Oracle.load(tmp_path / "oracle"), rows.changed(vote_second=joined)).caution
    if wrong == "honest":
        assert caution == ""
        return
    agrees = 100 * np.mean(joined == rows.predictions)
    assert caution.startswith(f"the opinion second agrees with the classifier in {agrees:.0f} % of 1,000 calibration ")
    assert caution.endswith(f" of 800 rows of the fit set: {JOINED}")
    assert "\n" not in caution


def test_an_opinion_that_knew_the_labels_of_the_fit_set_alone() -> None:
    fit_set, rows = with_equal(1_000, 0), with_equal(1_000, 1)
    told = np.where(np.arange(1_000) < 850, fit_set.require_labels(), fit_set.arrays["vote_second"])
    before = RowCounts.of(fit_set.changed(vote_second=told), fit_set.arrays)
    now = RowCounts.of(rows, rows.arrays)
    lines = [*cautions_on_better_opinions(before), *cautions_on_other_opinions(now, before)]
    assert lines[0].startswith("the opinion second is right in ")
    assert len(lines) == 2
    assert lines[1].endswith(JOINED)


def test_labels_in_another_order(oracle: FusedOracle) -> None:
    rows = drawn(1_000, 1)[0]
    turned = rows.changed(labels=np.array([0, 2, 1, 3])[rows.require_labels()])
    wrong = int((~turned.is_correct).sum())
    before = int((~drawn(800, 0)[0].is_correct).sum())
    line = f"{wrong} of 1,000 calibration rows are wrong, where {before} of 800 rows of the fit set were: {RENUMBERED}"
    assert Gate.of(oracle, turned).caution == line


def test_reviewers_who_confirm_half_of_the_errors(oracle: FusedOracle) -> None:
    rows = drawn(1_000, 1)[0]
    confirmed = np.where(np.arange(1_000) % 2 == 0, rows.predictions, rows.require_labels())
    assert Gate.of(oracle, rows.changed(labels=confirmed)).caution.endswith(COPIED)


def test_fisher_counts_by_hand() -> None:
    """Of 12 errors among 40 rows, 2 or fewer are in one half with the chance that a count of all draws gives."""
    chance = hypergeom.pmf([0, 1, 2], 40, 12, 20).sum()
    assert _is_rarer(2, 20, 10, 20, chance + 1e-9)
    assert not _is_rarer(2, 20, 10, 20, chance - 1e-9)
