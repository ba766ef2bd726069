"""The search tries slopes in the paper's order, none twice, and chooses by the mean of TPR and TNR."""

import json
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, UndefinedMetricError, read_fields
from steepslope.metrics import auroc
from steepslope_lab.search import Search, search

Pair = tuple[float, float]
IS_CORRECT = np.array([True, True, True, True, False, False])
TRUST: dict[Pair, list[float]] = {
    # α⁺, α⁻: trust logits of the rows above
    (1, 1): [9.0, 8.0, 7.0, 6.0, 5.0, 4.0],  # TPR 1, TNR 0, a perfect ranking
    (1, 2): [9.0, 8.0, 7.0, -1.0, 5.0, -2.0],  # TPR 3/4, TNR 1/2
    (1, 3): [9.0, 8.0, -3.0, -4.0, -1.0, -2.0],  # TPR 1/2, TNR 1
    (2, 3): [9.0, 8.0, 7.0, -4.0, -1.0, -2.0],  # TPR 3/4, TNR 1
    (3, 3): [9.0, 8.0, 7.0, 6.0, 5.0, -2.0],  # TPR 1, TNR 1/2
}


def recording(calls: list[Pair]) -> Callable[[float, float], NDArray[np.float64]]:
    """Return a stand-in for fitting that keeps which pairs it was called with."""

    def trust_logit_of(alpha_pos: float, alpha_neg: float) -> NDArray[np.float64]:
        calls.append((alpha_pos, alpha_neg))
        return np.array(TRUST[alpha_pos, alpha_neg])

    return trust_logit_of


def test_negatives_come_first_and_no_pair_twice() -> None:
    calls: list[Pair] = []
    found = search(recording(calls), IS_CORRECT, negatives=(3, 1, 2), positives=(3, 1, 2))
    assert calls == [(1, 3), (1, 1), (1, 2), (3, 3), (2, 3)]  # (1, 3) was tried already
    assert [trial.balanced for trial in found.alpha_neg_trials] == [0.75, 0.5, 0.625]
    assert [(trial.alpha_pos, trial.alpha_neg) for trial in found.alpha_pos_trials] == [(3, 3), (1, 3), (2, 3)]
    assert [trial.balanced for trial in found.alpha_pos_trials] == [0.75, 0.75, 0.875]
    assert (found.alpha_pos, found.alpha_neg) == (2, 3)


def test_a_trial_measures_what_it_says() -> None:
    z = np.array(TRUST[1, 2])
    (trial,) = search(recording([]), IS_CORRECT, negatives=(2,), positives=(1,)).alpha_neg_trials
    assert (trial.tpr, trial.tnr, trial.auc) == (0.75, 0.5, auroc(z, IS_CORRECT))
    s = z / (1 + np.abs(z))
    costs = np.where(IS_CORRECT, np.exp(-s) - np.exp(-1), np.exp(2 * s) - np.exp(-2))
    assert trial.loss == pytest.approx(costs.mean(), rel=1e-12)


def test_ties_take_the_smaller_slope() -> None:
    found = search(lambda pos, neg: np.array([1.0, -1.0]), [True, False], negatives=(8, 2, 5), positives=(3, 0.5))
    assert (found.alpha_pos, found.alpha_neg) == (0.5, 2)


def test_rows_without_errors_tell_nothing() -> None:
    with pytest.raises(UndefinedMetricError):
        search(recording([]), np.ones(6, dtype=np.bool_), negatives=(1, 2), positives=(1,))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"negatives": ()}, "negatives: expected at least one number, found none"),
        ({"negatives": (3, 0)}, "negatives: expected a number from 1e-06 to 80, found 0"),
        ({"alpha_pos": -1}, "alpha-pos: expected a number from 1e-06 to 80, found -1"),
    ],
)
def test_wrong_input_is_found_before_anything_is_fitted(wrong: dict[str, object], message: str) -> None:
    calls: list[Pair] = []
    given: dict[str, object] = {"negatives": (1, 2), "positives": (1,), **wrong}
    with pytest.raises(SteepslopeError) as error:
        search(recording(calls), IS_CORRECT, **given)  # type: ignore[arg-type]
    assert str(error.value).startswith(message)
    assert calls == []


def test_a_search_survives_json() -> None:
    found = search(recording([]), IS_CORRECT, negatives=(1, 2), positives=(1,))
    content = json.loads(json.dumps(asdict(found), allow_nan=False))
    assert read_fields(Search, content, "search.json") == found
