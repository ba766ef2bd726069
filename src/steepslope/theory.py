"""Closed forms about the steep slope loss and the focal loss: bounds, and the probability at which they decide."""

import math

from steepslope.errors import SteepslopeError


def loss_maximum(alpha_pos: float, alpha_neg: float) -> float:
    """Return the least upper bound of the steep slope loss, max over both sides of exp(α) − exp(−α).

    >>> round(loss_maximum(1, 3), 2)
    20.04
    """
    _require_slopes(alpha_pos, alpha_neg)
    return 2 * math.sinh(max(alpha_pos, alpha_neg))


def generalization_bound(alpha_pos: float, alpha_neg: float, n: int, log_hypotheses: float, delta: float) -> float:
    """Return the bound of Theorem 3.1 on |R(f) − R̂(f)|, in units of the loss.

    With probability at least 1 − ``delta`` over ``n`` independent samples, the mean loss on the samples is that close
    to the expected loss for every hypothesis of a finite set. ``log_hypotheses`` ≥ 0 is the natural logarithm of the
    set's size.

    >>> round(generalization_bound(1, 3, n=10_000, log_hypotheses=math.log(100), delta=0.05), 3)
    0.408
    """
    if n < 1 or not 0 < delta < 1 or not 0 <= log_hypotheses < math.inf:
        raise SteepslopeError(
            "the bound needs n >= 1, 0 < delta < 1 and log_hypotheses >= 0, "
            f"but got n={n}, delta={delta}, log_hypotheses={log_hypotheses}"
        )
    spread = math.sqrt((log_hypotheses + math.log(2 / delta)) / (2 * n))
    return loss_maximum(alpha_pos, alpha_neg) * spread


def decision_probability(alpha_pos: float, alpha_neg: float) -> float:
    """Return the probability of being correct above which the steep slope loss wants z > 0: α⁻ / (α⁺ + α⁻).

    So a well-fitted oracle with this loss does not cut at one half, which explains part of its high TNR.

    >>> decision_probability(1, 3)
    0.75
    """
    _require_slopes(alpha_pos, alpha_neg)
    return alpha_neg / (alpha_pos + alpha_neg)


def focal_confidence(probability: float, gamma: float) -> float:
    """Return the sigmoid(z) with the least expected focal loss, in (0, 1), given P(correct) in (0, 1).

    The focal loss pulls it towards ½. With p the sigmoid and φ(p) = −(1 − p)^γ ln p, P(correct) is
    φ'(1 − p) / (φ'(p) + φ'(1 − p)), which rises with p. Cross entropy, γ = 0, gives P(correct) itself.

    >>> round(focal_confidence(0.75, gamma=0), 6), round(focal_confidence(0.75, gamma=2), 3)
    (0.75, 0.601)

    Raises
    ------
    SteepslopeError
        If the probability is not within (0, 1), or gamma is below 0.
    """
    if not 0 < probability < 1 or not 0 <= gamma <= 100:
        raise SteepslopeError(
            f"expected a probability in (0, 1) and gamma from 0 to 100, found {probability} and {gamma}"
        )
    low = 0.0
    high = 1.0
    for _ in range(60):  # halvings: more than a float holds
        middle = (low + high) / 2
        right = _focal_slope(middle, gamma)
        wrong = _focal_slope(1 - middle, gamma)
        if wrong < probability * (right + wrong):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _focal_slope(p: float, gamma: float) -> float:
    """Return −φ'(p)."""
    return math.pow(1 - p, gamma) / p - gamma * math.pow(1 - p, gamma - 1) * math.log(p)


def _require_slopes(alpha_pos: float, alpha_neg: float) -> None:
    if not (0 < alpha_pos <= 700 and 0 < alpha_neg <= 700):
        raise SteepslopeError(f"alpha_pos and alpha_neg: expected numbers in (0, 700], found {alpha_pos}, {alpha_neg}")
