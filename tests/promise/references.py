"""Slow and plain ways to what the gate counts, and rows to count on."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from steepslope import ClassifierOutputs
from steepslope.promise._rows import LabelledRows
from steepslope.promise._sequence import find_start_thresholds
from steepslope.promise._target import Target
from steepslope.scores import MCP

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = tuple[Floats, Bools]
MIX = {"a": 0.2, "b": 0.3, "c": 0.5}
SHARES = [0.6, 0.3, 0.1]  # of the calibration rows


def exact_tail(errors: int, accepted: int, risk: Fraction) -> Fraction:
    """Sum the probabilities of 0…errors among ``accepted``, in fractions."""
    terms = (math.comb(accepted, k) * risk**k * (1 - risk) ** (accepted - k) for k in range(errors + 1))
    return sum(terms, Fraction(0))


def slow_threshold(rows: Rows, thresholds: Floats, risk: Fraction, delta: Fraction) -> float:
    """Return the threshold that certify has to find, by a loop over thresholds and rows in fractions; ∞ for none."""
    confidence, is_correct = (values.tolist() for values in rows)
    n, counts = len(confidence), []
    for threshold in thresholds.tolist():
        kept = [right for value, right in zip(confidence, is_correct, strict=True) if value >= threshold]
        counts.append((len(kept), len(kept) - sum(kept)))
    begun = {
        one.place: one for one in find_start_thresholds(np.array([m for m, _ in counts]), n, float(risk), float(delta))
    }
    found, level = math.inf, 0.0
    for place, (accepted, errors) in enumerate(counts):
        p_value, start = exact_tail(errors, accepted, risk), begun.get(place)
        if start is not None:
            level = start.level if level > 0 or p_value <= start.after_failure else 0.0
        passes = level > 0 and p_value <= level
        found, level = (float(thresholds[place]), level) if passes else (found, 0.0)
    return found


@st.composite
def rows_with_ties(draw: st.DrawFn, most: int = 120) -> Rows:
    """Draw rows of few distinct confidences, ±∞ among them, that are wrong more often where it is low, or not."""
    n = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    levels = np.sort(draw(st.sampled_from(([0.5], [0.1, 0.7, 0.9], [-np.inf, -2.0, 0.0, 3.0, np.inf]))))
    places = rng.integers(len(levels), size=n)
    worst, best = draw(st.floats(0, 1)), draw(st.floats(0, 0.3))
    rates = np.linspace(worst, best, len(levels))
    return np.asarray(levels)[places], rng.random(n) >= rates[places]


def distinct_rows(n: int, seed: int) -> Rows:
    """Draw rows with distinct confidences in (0, 1), of which a tenth is wrong, nearly all where it is low."""
    rng = np.random.default_rng(seed)
    level = rng.random(n)
    return 1 - level, rng.random(n) >= 0.7 * level**6


def make_rows(n: int, shares: list[float], seed: int) -> ClassifierOutputs:
    """Return outputs of three classes, of which c is the hardest."""
    draw = np.random.default_rng(seed)
    labels = draw.choice(3, size=n, p=shares)
    means = np.diag([2.5, 2.5, 1.8])[labels]
    return ClassifierOutputs(draw.normal(size=(n, 3)) + means, labels, classes=["a", "b", "c"])


def names_of(outputs: ClassifierOutputs) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Return the names of the true and of the predicted classes, (n,) each."""
    names = np.array(outputs.label_names)
    return names[outputs.require_labels()], names[outputs.predictions]


def labelled(outputs: ClassifierOutputs) -> LabelledRows:
    """Return outputs as rows to calibrate on, by MCP."""
    return LabelledRows.of(MCP().confidence(outputs), outputs.is_correct, true_classes=names_of(outputs)[0])


def target_of(rows: ClassifierOutputs, unlabelled: ClassifierOutputs) -> Target:
    """Return calibration rows and target rows by their classes."""
    return Target.of(*names_of(rows), names_of(unlabelled)[1])
