"""The search tries slopes in the paper's order, none twice, and chooses by the criterion's own direction."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.lab.search import CRITERIA, Search, balanced, best_trial, search
from steepslope.metrics import METRICS, aurc, auroc, tnr, tpr

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
    assert [trial.value for trial in found.alpha_neg_trials] == [0.75, 0.5, 0.625]
    assert [(trial.alpha_pos, trial.alpha_neg) for trial in found.alpha_pos_trials] == [(3, 3), (1, 3), (2, 3)]
    assert [trial.value for trial in found.alpha_pos_trials] == [0.75, 0.75, 0.875]
    assert (found.alpha_pos, found.alpha_neg) == (2, 3)


def test_a_trial_measures_what_it_says() -> None:
    z = np.array(TRUST[1, 2])
    (trial,) = search(recording([]), IS_CORRECT, negatives=(2,), positives=(1,)).alpha_neg_trials
    assert (trial.tpr, trial.tnr, trial.auc) == (0.75, 0.5, auroc(z, IS_CORRECT))
    s = z / (1 + np.abs(z))
    costs = np.where(IS_CORRECT, np.exp(-s) - np.exp(-1), np.exp(2 * s) - np.exp(-2))
    assert trial.loss == pytest.approx(costs.mean(), rel=1e-12)


@pytest.mark.parametrize(("criterion", "chosen"), [("aurc", 1), ("tnr", 3), ("tpr", 1), ("auc", 1)])
def test_each_criterion_has_its_direction(criterion: str, chosen: float) -> None:
    """The lowest AURC is the best; the ranking of α⁻ = 1 is perfect, and only α⁻ = 3 accepts no error."""
    found = search(recording([]), IS_CORRECT, negatives=(1, 2, 3), positives=(1,), criterion=criterion)
    assert found.alpha_neg == chosen
    assert found.criterion == criterion


def test_ties_take_the_smaller_slope() -> None:
    found = search(lambda pos, neg: np.array([1.0, -1.0]), [True, False], negatives=(8, 2, 5), positives=(3, 0.5))
    assert (found.alpha_pos, found.alpha_neg) == (0.5, 2)


def test_every_metric_is_a_criterion() -> None:
    rng = np.random.default_rng(0)
    z, is_correct = rng.normal(size=50), rng.random(50) < 0.7
    assert set(CRITERIA) == {"balanced", *METRICS}
    assert all(CRITERIA[name].higher_is_better == METRICS[name].higher_is_better for name in METRICS)
    expected = {"tpr": tpr(z, is_correct, 0), "tnr": tnr(z, is_correct, 0), "aurc": aurc(z, is_correct)}
    assert {name: CRITERIA[name].function(z, is_correct) for name in expected} == expected
    assert balanced(z, is_correct) == (expected["tpr"] + expected["tnr"]) / 2


def test_what_is_undefined_everywhere_is_an_error() -> None:
    without_errors = np.ones(6, dtype=np.bool_)
    with pytest.raises(SteepslopeError) as error:
        search(recording([]), without_errors, negatives=(1, 2), positives=(1,))
    expected = "it needs held-out rows with errors and correct predictions"
    assert str(error.value) == f"criterion: balanced has no value for any of 2 pairs of slopes: {expected}"
    found = search(recording([]), without_errors, negatives=(1, 2), positives=(1,), criterion="tpr")
    assert found.alpha_neg == 1
    assert math.isnan(found.alpha_neg_trials[0].tnr)


def test_what_is_undefined_is_never_the_best() -> None:
    found = search(recording([]), IS_CORRECT, negatives=(1, 2), positives=(1,))
    undefined = replace(found.alpha_neg_trials[0], alpha_neg=0.5, value=math.nan)
    assert best_trial([undefined, *found.alpha_neg_trials], "balanced").alpha_neg == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"criterion": "balance"}, "unknown criterion 'balance': did you mean 'balanced'"),
        ({"negatives": ()}, "negatives: expected at least one number, each once, found none"),
        ({"positives": (1, 2, 1)}, "positives: expected at least one number, each once, found 1, 2, 1"),
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
    found = search(recording([]), np.ones(6, dtype=np.bool_), negatives=(1, 2), positives=(1,), criterion="tpr")
    content = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert (content["alpha_pos"], content["alpha_neg"], content["alpha_neg_trials"][0]["tnr"]) == (1, 1, None)
    again = Search.from_json(content, Path("search.json"))
    assert again.as_json() == found.as_json()
    assert (again.alpha_pos, again.alpha_neg, again.criterion) == (1, 1, "tpr")


def test_json_of_something_else_is_refused() -> None:
    content = search(recording([]), IS_CORRECT, negatives=(1,), positives=(1,)).as_json()
    for changes, message in (
        ({"criterion": "luck"}, "unknown criterion in search.json: 'luck'"),
        ({"alpha_neg_trials": [{}]}, "search.json: the field 'alpha_pos' is missing"),
        ({"alpha_pos_trials": ["x"]}, "search.json: expected a trial as a JSON object, found 'x'"),
    ):
        with pytest.raises(SteepslopeError) as error:
            Search.from_json({**content, **changes}, Path("search.json"))
        assert str(error.value).startswith(message)
