"""What decides results, as numbers. They change where the code decides otherwise, not where it only reads better.

``behaviour.json`` has the numbers of each part; a test compares them with those of today's code. Each result names the
parts that decided it, with a digest of their numbers (:func:`made_by`). So a result of earlier code can be told from
one of today's, although the code was rewritten in between. After a change that is meant, ``python -m
steepslope_lab.behaviour`` writes the numbers anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from steepslope import FusedOracle, Gate, Monitor, Oracle, TrustedClassifier
from steepslope.errors import SteepslopeError
from steepslope.files import digest_of, field, read_json, write_json
from steepslope.metrics import aurc, auroc
from steepslope.monitor import Marked, follow_audit, risk_interval_by_audit
from steepslope.numerics import Bools, Floats
from steepslope.score_benchmark import load_frozen_pairs
from steepslope_lab import __version__

FILE = Path(__file__).with_name("behaviour.json")
PAIRS = ("digits", "wine", "adult-logistic")  # small, and with features, opinions or neither of them
DIGITS = 6
TOLERANCE = 0.01  # of numbers in [0, 1], for other versions of the libraries
LETTERS = 12  # of a digest
Numbers = Mapping[str, float]


def oracle_numbers() -> Numbers:
    """Return how the fused oracle ranks the judged rows of frozen outputs."""
    numbers = {}
    for pair in load_frozen_pairs():
        if pair.name not in PAIRS:
            continue
        oracle = FusedOracle().fit(pair.fit_set, reference=pair.training)
        confidence = oracle.confidence(pair.judged)
        numbers[f"{pair.name}, AUC"] = auroc(confidence, pair.judged.is_correct)
        numbers[f"{pair.name}, AURC"] = aurc(confidence, pair.judged.is_correct)
    return numbers


def paper_numbers() -> Numbers:
    """Return how the paper's oracles on features rank digits, and at which rates they tell right from wrong."""
    pair = next(pair for pair in load_frozen_pairs() if pair.name == "digits")
    right = pair.judged.is_correct
    numbers = {}
    for loss in ("cross_entropy", "steep_slope"):
        trust = Oracle(loss=loss).fit(pair.fit_set).trust_logit(pair.judged)
        numbers[f"{loss}, AUC"] = auroc(trust, right)
        numbers[f"{loss}, TPR"] = float((trust[right] > 0).mean())
        numbers[f"{loss}, TNR"] = float((trust[~right] <= 0).mean())
    return numbers


def promise_numbers() -> Numbers:
    """Return what gates on simulated rows accept, for each kind of promise."""
    confidence, is_correct = simulated_rows(3_000)
    true_classes = np.where(confidence > np.median(confidence), "often", "seldom")
    groups = np.arange(3_000) % 3
    gates = {
        "5 %": Gate.calibrate(confidence, is_correct, 0.05),
        "4 % with δ of 10 %": Gate.calibrate(confidence, is_correct, 0.04, 0.1),
        "groups": Gate.calibrate(confidence, is_correct, 0.08, groups=groups),
        "classes": Gate.calibrate(confidence, is_correct, 0.1, true_classes=true_classes, max_class_risk=0.2),
        "another mix": Gate.calibrate(
            confidence, is_correct, 0.08, true_classes=true_classes, class_mix={"often": 0.6, "seldom": 0.4}
        ),
        "costs": Gate.calibrate(confidence, is_correct, costs=(10.0, 1.0)),
        "rejection": Gate.calibrate(confidence, is_correct, 0.05, reject=0.4),
    }
    return {
        f"{name}, {what}": number
        for name, gate in gates.items()
        for what, number in (("coverage", gate.coverage), ("bound", gate.risk_bound))
    }


def monitor_numbers() -> Numbers:
    """Return what a monitor and an audit say of simulated streams, usual and harder ones."""
    confidence, is_correct = simulated_rows(3_000)
    gate = Gate.calibrate(confidence, is_correct, 0.05)
    usual, right = simulated_rows(20_000, seed=1)
    numbers = {}
    for name, power in (("usual", 1.0), ("harder", 1.3)):
        trust = usual**power
        monitor = Monitor.of(gate)
        monitor.update(gate.p_correct(trust), gate.accepts(trust))
        monitor.label(right, gate.accepts(trust))
        numbers[f"{name}, fraction of signals that alarm"] = len(monitor.alarms) / 4
        numbers[f"{name}, coverage at least"] = monitor.coverage_interval[0]
        numbers[f"{name}, fraction of rows until an alarm"] = min(monitor.alarms.values(), default=20_000) / 20_000
    marked = [
        Marked(float(trust), 0.1, 1.0, bool(correct), True)
        for trust, correct in zip(usual[:20_000:10], right[:20_000:10], strict=True)
    ]
    low, high = risk_interval_by_audit(marked, 20_000, (0.1, 0.1), 0.05)
    return {**numbers, "audit, low": low, "audit, high": high, "followed": follow_audit(marked, 0.05).limit.p_correct}


def trusted_numbers() -> Numbers:
    """Return what trusted classifiers of scikit-learn's data sets accept, and how much of it is wrong."""
    numbers = {}
    columns = np.random.default_rng(0).normal(size=(6_000, 6))
    product = columns[:, 0] * columns[:, 1] + np.random.default_rng(1).normal(size=6_000) / 4 > 0
    for name, (X, y), estimator in (
        ("digits", load_digits(return_X_y=True), GaussianNB()),
        ("a product", (columns, product), GaussianNB()),
        ("a product, badly classified", (columns, product), LogisticRegression()),
    ):
        half = np.random.default_rng(2).permutation(len(y)) < len(y) // 2
        model = TrustedClassifier(estimator, max_risk=0.2, random_state=0).fit(X[half], y[half])
        labels, accepted = model.decide(X[~half])
        numbers[f"{name}, accepted"] = float(accepted.mean())
        numbers[f"{name}, wrong"] = float((accepted & (labels != y[~half])).mean())
    return numbers


def simulated_rows(n: int, seed: int = 0) -> tuple[Floats, Bools]:
    """Return confidences (n,) that are the chances of being correct, and whether each row is."""
    draw = np.random.default_rng(seed)
    confidence = draw.beta(6, 1, size=n)
    return confidence, draw.random(n) < confidence


PARTS: Mapping[str, Callable[[], Numbers]] = {
    "oracle": oracle_numbers,
    "paper": paper_numbers,
    "promise": promise_numbers,
    "monitor": monitor_numbers,
    "trusted": trusted_numbers,
}


def numbers_of_part(part: str) -> dict[str, float]:
    """Return the numbers of a part by today's code, rounded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: round(float(number), DIGITS) for name, number in PARTS[part]().items()}


@cache
def recorded_numbers() -> Mapping[str, dict[str, float]]:
    """Return the numbers of all parts as the file has them."""
    return read_json(FILE, "numbers that decide results")


def digest_of_part(part: str) -> str:
    """Return what tells a part's numbers from earlier ones."""
    return digest_of(field(recorded_numbers(), part, dict, FILE))[:LETTERS]


def made_by(*parts: str) -> dict[str, Any]:
    """Return what a result says of the code that made it: the version, and a digest of each part that decided it.

    Raises
    ------
    SteepslopeError
        If there is no such part.
    """
    for part in parts:
        if part not in PARTS:
            raise SteepslopeError(f"expected {', '.join(PARTS)}, found {part!r}", "parts")
    return {"version": __version__, "decided by": {part: digest_of_part(part) for part in parts}}


def is_made_by_todays_code(result: Mapping[str, Any]) -> bool:
    """Whether all parts that decided a result are as they are today; not so where it does not name them."""
    made = result.get("made by")
    return made is not None and made == {**made_by(*made["decided by"]), "version": made["version"]}


if __name__ == "__main__":
    write_json(FILE, {part: numbers_of_part(part) for part in PARTS})
