"""The losses that train an oracle: pure functions of the trust logit, with one value for each prediction.

Every loss takes ``trust_logit`` (floats of any shape, higher is more trustworthy) and ``target`` (same shape:
``is_correct`` as bool or 0/1, or, for TCP, the true-class probability in [0, 1]). It returns the unreduced loss in the
dtype of ``trust_logit``. Half precisions are computed in float32. Any other shape or target raises a SteepslopeError. A
trust logit of ±inf gives the limit, never NaN, in value and gradient; an unbounded loss gives at least the largest
float.

A loss is one function and its entry in ``LOSSES``. Its parameters are the keyword arguments with a number as their
default. Their allowed values are in the annotation, and their meaning in the docstring. Oracles, recipes and the
command line take them from here.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, get_type_hints

import numpy as np

from steepslope.errors import Check, SteepslopeError, explained, number, plain, require, require_known
from steepslope.numerics import Array, Bools, Singles, clipped, namespace_of
from steepslope.theory import decision_probability

Loss = Callable[..., Array]
Slope = Annotated[float, number(1e-6, 80)]  # the steepest slope, α e^α, stays within float32


def cross_entropy(trust_logit: Array, target: Array) -> Array:
    """Binary cross entropy of sigmoid(z) against ``is_correct`` (paper, Eq. 4), in nats, ≥ 0.

    >>> cross_entropy(np.zeros(2), np.array([True, False])).round(4)
    array([0.6931, 0.6931])
    """
    return _as(trust_logit, -_log_sigmoid(-_wrongness(trust_logit, target)))


def focal(trust_logit: Array, target: Array, *, gamma: Annotated[float, number(0, 100)] = 2.0) -> Array:
    """Focal loss of sigmoid(z) against ``is_correct`` (paper, Eq. 5; Lin et al. 2017), ≥ 0.

    Parameters
    ----------
    trust_logit, target
        As for every loss.
    gamma
        Exponent of the focal loss, >= 0: turns down what is already well classified; 0 is cross entropy.
    """
    wrongness = _wrongness(trust_logit, target)
    xp = namespace_of(wrongness)
    largest = float(xp.finfo(wrongness.dtype).max)
    finite = clipped(wrongness, -largest, largest)  # inf · 0 would be NaN
    return _as(trust_logit, xp.exp(gamma * _log_sigmoid(finite)) * -_log_sigmoid(-finite))


def true_class_probability(trust_logit: Array, target: Array) -> Array:
    """Squared distance of sigmoid(z) to the classifier's probability of the true class (paper, Eq. 6).

    In [0, 1]. ``target`` is that probability, not ``is_correct`` (Corbière et al. 2019).
    """
    _require_shape_of_target(trust_logit, target)
    z = _loss_precision(trust_logit)
    return _as(trust_logit, (namespace_of(z).exp(_log_sigmoid(z)) - _as(z, target)) ** 2)


def steep_slope(trust_logit: Array, target: Array, *, alpha_pos: Slope = 1.0, alpha_neg: Slope = 3.0) -> Array:
    """Steep slope loss (paper, Eq. 8 with its signs corrected), in [0, exp(α) − exp(−α)].

    With s = z / (1 + |z|), a correct prediction costs exp(−α⁺ s) − exp(−α⁺) and a wrong one exp(α⁻ s) − exp(−α⁻). As
    printed, Eq. 8 has both exponents with the opposite sign, which would reward a low z for correct predictions. The
    paper's text, its Figure 2 and its code agree with this function.

    Both sides are one curve in the distance towards the right side. So the tail is computed by ``expm1``, and its
    gradient, α e^(−αs) / (1 + |z|)², keeps its sign at any z.

    Parameters
    ----------
    trust_logit, target
        As for every loss.
    alpha_pos
        Slope of the steep slope loss for correct predictions, > 0.
    alpha_neg
        Slope of the steep slope loss for wrong predictions, > 0.

    Raises
    ------
    SteepslopeError
        If an alpha is not positive.

    >>> z = np.array([-np.inf, 0.0, np.inf])
    >>> steep_slope(z, np.array([True, True, True])).round(4)
    array([2.3504, 0.6321, 0.    ])
    >>> steep_slope(z, np.array([False, False, False])).round(4)
    array([ 0.    ,  0.9502, 20.0357])
    """
    if not (alpha_pos > 0 and alpha_neg > 0):
        raise SteepslopeError(f"alpha_pos and alpha_neg must be > 0, but are {alpha_pos} and {alpha_neg}")
    wrongness = _wrongness(trust_logit, target)
    xp = namespace_of(wrongness)
    well_placed = wrongness <= 0
    tail = 1 / (1 + xp.where(well_placed, -wrongness, wrongness))  # 1 − |s|, exact for large |z|
    alpha = _by_side(wrongness, target, alpha_pos, alpha_neg)
    floor = _by_side(wrongness, target, math.exp(-alpha_pos), math.exp(-alpha_neg))
    valley = floor * xp.expm1(alpha * tail)
    hill = xp.exp(alpha * (1 - tail)) - floor
    return _as(trust_logit, xp.where(well_placed, valley, hill))


def class_balanced(
    trust_logit: Array,
    target: Array,
    *,
    beta: Annotated[float, number(0, 1 - 1e-12)] = 0.999,
    class_counts: tuple[int, int] | None = None,
    base: Loss = cross_entropy,
    **params: float,
) -> Array:
    """Weight a loss by each class's effective number of samples (Cui et al. 2019; paper, Appendix H).

    The weight of a class with n samples is (1 − β) / (1 − βⁿ), scaled so that both weights add up to 2.

    Parameters
    ----------
    trust_logit, target
        As for every loss.
    beta
        How much the class-balanced loss weights the rarer class, in [0, 1): the nearer to 1, the more.
    class_counts
        Numbers of (wrong, correct) predictions in the whole training set; by default they are counted in ``target``.
    base
        The loss that is weighted.
    params
        Parameters of ``base``.

    >>> class_balanced(np.zeros(4), np.array([False, True, True, True]), beta=0.9999).round(4)
    array([1.0397, 0.3466, 0.3466, 0.3466])
    """
    _require_is_correct_target(trust_logit, target)
    is_correct = _as_booleans(target)
    if class_counts is None:
        correct = int(is_correct.sum())
        class_counts = math.prod(is_correct.shape) - correct, correct
    of_wrong, of_correct = class_balanced_weights(class_counts, beta)
    return base(trust_logit, is_correct, **params) * _by_side(trust_logit, is_correct, of_correct, of_wrong)


def class_balanced_weights(class_counts: tuple[int, int], beta: float) -> tuple[float, float]:
    """Return the weights of (wrong, correct) predictions; they add up to 2.

    Raises
    ------
    SteepslopeError
        If ``beta`` is not in [0, 1).
    """
    if not 0 <= beta < 1:
        raise SteepslopeError(f"beta must be in [0, 1), but is {beta}")
    effective = [1 - beta ** max(count, 1) for count in class_counts]
    scale = 2 / sum(1 / number for number in effective)
    return scale / effective[0], scale / effective[1]


def _loss_precision(trust_logit: Array) -> Array:
    if trust_logit.dtype.itemsize >= 4:
        return trust_logit
    xp = namespace_of(trust_logit)
    return xp.astype(trust_logit, xp.float32)


def _as(like: Array, values: Array) -> Array:
    return namespace_of(values).astype(values, like.dtype)


def _as_booleans(target: Array) -> Array:
    xp = namespace_of(target)
    return xp.astype(target, xp.bool)


def _log_sigmoid(z: Array) -> Array:
    """Return ln σ(z) = −ln(1 + e^−z)."""
    xp = namespace_of(z)
    return -xp.logaddexp(xp.zeros_like(z), -z)


def _by_side(like: Array, target: Array, of_correct: float, of_wrong: float) -> Array:
    """Return ``of_correct`` for each correct prediction, and ``of_wrong`` for each wrong one."""
    xp = namespace_of(like)
    return xp.where(_as_booleans(target), xp.full_like(like, of_correct), xp.full_like(like, of_wrong))


def _require_shape_of_target(trust_logit: Array, target: Array) -> None:
    if trust_logit.shape != target.shape:
        raise SteepslopeError(
            f"target: expected the shape of the trust logit, {tuple(trust_logit.shape)}, found {tuple(target.shape)}"
        )


def _require_is_correct_target(trust_logit: Array, target: Array) -> None:
    _require_shape_of_target(trust_logit, target)
    if target.dtype != namespace_of(target).bool and not ((target == 0) | (target == 1)).all():
        raise SteepslopeError("target: expected is_correct, as booleans or 0 and 1, found other numbers")


def _wrongness(trust_logit: Array, is_correct: Array) -> Array:
    """Return the trust logit with the sign that makes higher worse: −z if correct, z if wrong."""
    _require_is_correct_target(trust_logit, is_correct)
    z = _loss_precision(trust_logit)
    return namespace_of(z).where(_as_booleans(is_correct), -z, z)


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "true_class_probability": true_class_probability,
    "steep_slope": steep_slope,
    "class_balanced": class_balanced,
}

# Losses whose target is the true-class probability; all others take is_correct.
PROBABILITY_TARGETS = frozenset({"true_class_probability"})

# The paper's names for the losses that its tables compare.
PAPER_LOSSES: dict[str, str] = {
    "CE": "cross_entropy",
    "Focal": "focal",
    "TCP": "true_class_probability",
    "SS": "steep_slope",
}

# The probability of being correct above which a loss wants z > 0, from its parameters, where that is not one half.
CUTS: dict[str, Callable[..., float]] = {"steep_slope": decision_probability}


@dataclass(frozen=True)
class LossSettings:
    """A loss with its parameters: the function that a fit minimises, its target, and its cut.

    ``name`` is one in :data:`LOSSES`. Missing parameters have the loss's defaults. Parameters of other losses, which
    the command line may pass, are left out.

    Raises
    ------
    SteepslopeError
        If the loss or a parameter is unknown, a parameter is not within its limits, or a loss of your own needs more
        arguments than ``trust_logit`` and ``target``.

    >>> LossSettings("steep_slope", {"alpha_neg": 5.0, "gamma": 1.0}).parameters
    {'alpha_pos': 1.0, 'alpha_neg': 5.0}
    """

    name: str = "steep_slope"
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_known("loss", self.name, LOSSES)
        known: dict[str, Check] = {}
        for loss in (*LOSSES, self.name):  # whose own limits count, where others have a parameter of that name
            known |= {name: check for name, (_, check) in loss_parameters(loss).items()}
        for name, value in self.parameters.items():
            require_known("parameter of a loss", name, known)
            require(name, value, known[name])
        taken = loss_parameters(self.name)
        parameters = {name: plain(self.parameters.get(name, default)) for name, (default, _) in taken.items()}
        object.__setattr__(self, "parameters", parameters)
        try:
            inspect.signature(LOSSES[self.name]).bind(None, None, **parameters)
        except TypeError as error:
            expected = "a function of trust_logit and target, whose further arguments are keywords with a default"
            raise SteepslopeError(f"loss {self.name}: expected {expected}, found another: {error}") from error

    @property
    def takes_probability(self) -> bool:
        """Whether the target is the true-class probability, and not whether the prediction is correct."""
        return self.name in PROBABILITY_TARGETS

    @property
    def needs_counts(self) -> bool:
        """Whether the loss weighs by the numbers of wrong and correct predictions in the fit set."""
        return "class_counts" in inspect.signature(LOSSES[self.name]).parameters

    @property
    def cut(self) -> float:
        """The probability of being correct above which a well-fitted trust logit is > 0, in (0, 1)."""
        if self.name not in CUTS:
            return 0.5
        return CUTS[self.name](**self.parameters)

    def target(self, predictions: Any) -> Singles | Bools:
        """Return the target for trust logits (n,), given predictions such as :class:`ClassifierOutputs`."""
        if self.takes_probability:
            return np.asarray(predictions.true_class_probability, dtype=np.float32)
        return np.asarray(predictions.is_correct)

    def bind(self, predictions: Any = None) -> Callable[[Array, Array], Array]:
        """Return the loss with its parameters, and with the class counts of a fit set if that is given."""
        loss = LOSSES[self.name]
        bound: dict[str, Any] = dict(self.parameters)
        if predictions is not None and self.needs_counts:
            correct = int(predictions.is_correct.sum())
            bound["class_counts"] = len(predictions.is_correct) - correct, correct
        return partial(_one_value_each, partial(loss, **bound))


def _one_value_each(loss: Loss, trust_logit: Array, target: Array) -> Array:
    with explained("expected a function of tensors", "loss", kinds=(TypeError, AttributeError)):
        losses = loss(trust_logit, target)
    if losses.shape != trust_logit.shape:
        expected = tuple(trust_logit.shape)
        found = tuple(losses.shape)
        raise SteepslopeError(f"loss: expected one value for each prediction, of shape {expected}, found shape {found}")
    return losses


def loss_parameters(loss: str) -> dict[str, tuple[float, Check]]:
    """Return the default and the allowed values of each parameter of a loss."""
    function = LOSSES[loss]
    hints = get_type_hints(function, include_extras=True)
    parameters = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and isinstance(parameter.default, int | float):
            limits = [note for note in getattr(hints.get(name), "__metadata__", ()) if isinstance(note, Check)]
            parameters[name] = parameter.default, (limits or [number()])[0]
    return parameters
