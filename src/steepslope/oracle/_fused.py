"""The fused oracle: a pool of the opinions that a budget allows, fitted on the fit set alone."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located
from steepslope.files import field as json_field, load_arrays, positive
from steepslope.numerics import Floats, require_arrays, single_thread
from steepslope.oracle._answer_scale import SHAPES_OF_SCALE
from steepslope.oracle._base import ConfigurableOracle, FitRecord, require_errors, warn_of_fit_set
from steepslope.oracle._fused_fit import FusedFit, Gain, fit_fused
from steepslope.oracle._handover import FEATURES, FeatureHandover, handover_from_arrays
from steepslope.oracle._pooling import FORMS, OWN, Pool, inputs_of_pools
from steepslope.oracle._settings import Budget, FusedSettings
from steepslope.oracle._storage import CARD, FUSED, STATES, WEIGHTS
from steepslope.oracle.evidence import (
    State,
    arrays_of_evidence,
    flattened_states,
    grouped_states,
    kind_of_evidence,
    load_states,
)
from steepslope.outputs import ClassifierOutputs, rows_together

_HANDOVER = "handover"
_POOLS = "pool", "fallback", "last_fallback"  # in the order in which they are handed rows over
_HANDOVERS = _HANDOVER, "last_handover"
_SURROUNDINGS = "surroundings"
_POOL = "inputs", "widths", "form", "slope", "offset"  # of a pool, in the card
_SCALE = "scale_"  # so begin the names of what was learnt of the scales of answers
_NUMBERS = "slope", "offset", "own_slope"  # of a fit, in the card
_PLAIN = "budget", "left_out", "usual_handover", "copies", "unknown"  # of a fit, in the card as they are
_WRONG = KeyError, TypeError, ValueError, AttributeError  # what a card that is none raises


class FusedOracle(ConfigurableOracle):
    """Learn which predictions to trust from all evidence that a budget allows.

    The classifier, nets and probes, a stacker, and the labels of neighbours have opinions on the classes, which are
    log-probabilities. A logarithmic opinion pool weights each opinion by one number >= 0. The weights are learnt from
    the labels of the fit set, and shrunk to the classifier's own opinion if errors are few. The trust logit is the
    log-odds of the prediction in the pool.

    The oracle learns from the rows and from augmented copies of them, which ``extract`` makes, or which are made from
    the features. So it also holds for images that look different. If a row's features are unlike all known ones, most
    of its log-odds come from a plainer pool that holds elsewhere, too: first from one without an auxiliary backbone,
    then from an average in which the classifier's own probability has half of the weight.

    Five-fold cross-validation on the fit set chooses, by AURC, between MCP, the classifier at a temperature, an average
    of probabilities and the pool, and how much the pool is shrunk. No opinion on a row depends on the row's own label.
    The log-odds are calibrated on the same folds. The loss decides at which probability of being correct the trust
    logit is 0; it does not change the ranking.

    Parameters
    ----------
    loss, alpha_pos, alpha_neg, gamma, beta, loss_parameters
        The loss and its parameters; :class:`Oracle` says what each means.
    budget
        What a prediction may cost: ``free``, only the classifier's forward pass; ``opinions``, also those of other
        classifiers; ``auxiliary``, also a second backbone; ``all``, everything in the outputs; ``auto``, the cheapest
        of these that is as good as the best on the fit set.
    errors
        Where references come from. ``holdout``: the other folds of the fit set, and the classifier's training outputs
        if a reference is passed. ``crossfit``: the other folds alone, without a reference.
    seed
        Seed of all random draws, such as folds; the same seed gives the same oracle.

    Raises
    ------
    SteepslopeError
        If a loss or setting is unknown or out of range.

    Examples
    --------
    >>> draw = np.random.default_rng(0)
    >>> labels = draw.integers(3, size=600)
    >>> outputs = ClassifierOutputs(draw.normal(size=(600, 3)) + 2 * np.eye(3)[labels], labels)
    >>> oracle = FusedOracle(budget="free", alpha_neg=5.0)
    >>> oracle
    FusedOracle(alpha_neg=5.0, budget='free')
    >>> bool(oracle.fit(outputs).trusts(outputs).mean() < outputs.is_correct.mean())
    True
    """

    options = FusedSettings
    settings: FusedSettings
    fitted_: FusedFit | None
    explains = True

    def __init__(
        self,
        loss: str = "steep_slope",
        *,
        alpha_pos: float = 1.0,
        alpha_neg: float = 3.0,
        gamma: float = 2.0,
        beta: float = 0.999,
        budget: Budget = "auto",
        errors: Literal["holdout", "crossfit"] = "holdout",
        seed: int = 0,
        **loss_parameters: float,
    ) -> None:
        self._configure(
            loss=loss,
            alpha_pos=alpha_pos,
            alpha_neg=alpha_neg,
            gamma=gamma,
            beta=beta,
            budget=budget,
            errors=errors,
            seed=seed,
            **loss_parameters,
        )

    def fit(
        self,
        outputs: ClassifierOutputs,
        reference: ClassifierOutputs | None = None,
        *,
        groups: NDArray[np.generic] | None = None,
    ) -> Self:
        """Fit on outputs with labels (n rows), whose errors the oracle learns.

        ``reference`` has the classifier's training outputs. Neighbours and nets learn from it, and from rows of the fit
        set in other folds. Rows of one of the ``groups`` (n,), such as images of one patient, are in one fold, and so
        are copies of a row.

        Raises
        ------
        SteepslopeError
            If no prediction is wrong, or none is correct, a row is in both fit set and reference, or the outputs lack
            what the budget names.
        """
        require_errors(outputs)
        if self.settings.errors == "crossfit" and reference is not None:
            raise SteepslopeError("expected none with errors='crossfit': the fit set is its own reference", "reference")
        codes = rows_together(outputs, groups)
        self.fitted_, held_out = fit_fused(outputs, reference, self.settings.budget, self.settings.seed, codes)
        self.record_ = FitRecord.from_outputs(outputs, held_out - self.offset, reference, codes)
        warn_of_fit_set(outputs, self.record_)
        return self

    def adapted(self, outputs: ClassifierOutputs) -> Self:
        """Return an oracle that ranks drifted rows better, given the labels of 50 to 200 of them.

        If inputs drift, the pool may mislead where the classifier's own confidence does not. How much each counts is
        fitted again to these outputs, such as the labelled rows of an audit, and shrunk to the earlier weights. This
        oracle stays unchanged. The probabilities of the new one hold for rows like these. A gate for it has to be
        calibrated on other rows.

        Raises
        ------
        SteepslopeError
            If no prediction is wrong, or none is correct, or the oracle was fitted on some of these rows.
        """
        fitted = self._checked(outputs)
        require_errors(outputs)
        seen = self.rows_fitted_on(outputs)
        if seen:
            raise SteepslopeError(f"expected rows that are new to the oracle, found {seen:,} that it was fitted on")
        oracle = type(self)(**self.get_params())
        oracle.fitted_ = fitted.adapted(outputs)
        trust_logit = oracle.fitted_.log_odds(outputs) - self.offset
        record = FitRecord.from_outputs(outputs, trust_logit)
        if self.record_ is not None:
            record = replace(record, rows=self.record_.rows.joined(record.rows))
        oracle.record_ = record.without_counts()  # audited rows are not any rows
        return oracle

    def trust_logit(self, outputs: ClassifierOutputs) -> Floats:
        """Return the trust logit z of each prediction, float64 (n,): higher is surer, and z > 0 is trusted."""
        return self._checked(outputs).log_odds(outputs) - self.offset

    def p_correct(self, outputs: ClassifierOutputs) -> Floats:
        """Return the calibrated probability that each prediction is correct, float64 (n,), in [0, 1].

        It is calibrated for outputs like the fit set; elsewhere it tends to be too high.
        """
        odds = self._checked(outputs).log_odds(outputs)
        return np.asarray(np.exp(-np.logaddexp(0, -odds)))

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arrays that outputs must hold: those of all opinions in its pools, and of the hand-over."""
        fitted: FusedFit = self._fitted()
        needed = dict.fromkeys(["logits", *arrays_of_evidence(fitted.inputs)])
        for handover in fitted.handovers:
            needed |= dict.fromkeys(handover.arrays)
        return tuple(needed)

    @property
    def usual_handover(self) -> float | None:
        """The mean of :meth:`handed_over` on the fit set, in [0, 1]; None if no row is ever handed over."""
        if self.fitted_ is None:
            return None
        return self.fitted_.usual_handover

    def handed_over(self, outputs: ClassifierOutputs) -> Floats | None:
        """Return how far each row is handed over, float64 (n,): from 0, familiar, to 1, unlike the fit set; or None."""
        fitted = self._checked(outputs)
        if fitted.handovers:
            return fitted.handovers[0].weight(outputs)
        return None

    def distance(self, outputs: ClassifierOutputs) -> Floats | None:
        """Return how far each row's features lie from known ones, float64 (n,), in (0, 1); None without features.

        Only the order of these numbers means something.
        """
        surroundings = self._checked(outputs).surroundings
        if surroundings is None or FEATURES not in outputs.arrays:
            return None
        return surroundings.distance(outputs)

    @single_thread()
    def explain(self, outputs: ClassifierOutputs) -> dict[str, Floats]:
        """Return what each kind of evidence adds to the trust logit: name -> float64 (n,); their sum is the logit.

        In a pool, an opinion contributes by how much more probable it finds the predicted class than the pool's
        runner-up, and ``others`` is what all further classes take away. In an average, it contributes by how much more
        probable it finds the predicted class than all others together, and ``others`` is 0. ``handover`` is the change
        where rows are handed over, and ``cut`` the offset of calibration and loss.
        """
        fitted = self._checked(outputs)
        by_name = fitted.opinions(outputs)
        pool = fitted.pool
        opinions = pool.side_by_side(by_name)
        slope = fitted.slope * pool.slope
        offset = fitted.slope * pool.offset
        odds = slope * pool.pool.log_odds(opinions)
        starts = np.cumsum([0, *pool.widths[:-1]])
        parts = slope * np.add.reduceat(pool.pool.contributions(opinions), starts, axis=1)
        explained = dict(zip(pool.inputs, parts.T, strict=True))
        explained["others"] = odds - parts.sum(axis=1)
        if fitted.handovers:
            explained[_HANDOVER] = fitted.slope * fitted.mixed_log_odds(by_name, outputs) - odds - offset
        explained[OWN] = explained[OWN] + fitted.own_slope * fitted.own.log_odds(by_name)
        explained["cut"] = np.full(len(outputs), offset + fitted.offset - self.offset)
        return explained

    @property
    def offset(self) -> float:
        """The log-odds of being correct at which the loss cuts and the trust logit is 0."""
        return math.log(self.cut / (1 - self.cut))

    def _checked(self, outputs: ClassifierOutputs) -> FusedFit:
        fitted: FusedFit = self._fitted()
        self._require_fitted_for(outputs, fitted.num_classes)
        return fitted

    def save(self, folder: str | Path) -> None:
        """Write weights and states as safetensors, settings as JSON; an earlier oracle in the folder is replaced."""
        fitted: FusedFit = self._fitted()
        card = {name: getattr(fitted, name) for name in (*_PLAIN, *_NUMBERS, "num_classes", "advice")}
        weights = {}
        for name, pool in zip(_POOLS, fitted.pools, strict=False):
            card[name] = {key: getattr(pool, key) for key in _POOL}
            weights[name] = vars(pool.pool)
        card["gains"] = {name: asdict(gain) for name, gain in fitted.gains.items()}
        states = dict(fitted.states)
        for name, scale in fitted.scales.items():
            states[f"{_SCALE}{name}"] = scale
        for name, handover in zip(_HANDOVERS, fitted.handovers, strict=False):
            states[name] = vars(handover)
        if fitted.surroundings is not None:
            states[_SURROUNDINGS] = vars(fitted.surroundings)
        about = {"kind": FUSED, "settings": self.settings.as_json(), "fitted": card}
        self._write(folder, about, flattened_states(weights), states)

    @classmethod
    def from_card(cls, folder: Path, card: dict[str, Any]) -> Self:
        """Return the oracle that :meth:`save` wrote, from its card and the files next to it."""
        path = folder / CARD
        fitted = _read_fused_fit(folder, json_field(card, "fitted", dict, path), path)
        with explained("expected the settings of an oracle", path, (ValueError, TypeError)):
            oracle = cls(**json_field(card, "settings", dict, path))
        oracle.fitted_ = fitted
        oracle.record_ = FitRecord.read(folder, card, path)
        return oracle


def _read_fused_fit(folder: Path, card: dict[str, Any], path: Path) -> FusedFit:
    """Return the fit from its part of a sealed card; raise if it cannot be computed with."""
    weights = grouped_states(load_arrays(folder / WEIGHTS))
    pools = {name: _read_fused_pool(card[name], weights.get(name, {}), path) for name in _POOLS if name in card}
    arrays = grouped_states(load_arrays(folder / STATES))
    scales = {name.removeprefix(_SCALE): state for name, state in arrays.items() if name.startswith(_SCALE)}
    with located(folder / STATES):
        names = _HANDOVERS[: len(pools) - 1]
        handovers = tuple([handover_from_arrays(arrays.get(name, {})) for name in names])
        surroundings = None
        if _SURROUNDINGS in arrays:
            surroundings = FeatureHandover.from_arrays(arrays[_SURROUNDINGS])
        for scale in scales.values():
            require_arrays(scale, SHAPES_OF_SCALE)
    with explained("expected the fit of a fused oracle", path, _WRONG):
        gains = {name: Gain(**gain) for name, gain in card["gains"].items()}
        plain = {name: card[name] for name in _PLAIN}
        if not 0 <= float(plain["usual_handover"] or 0) <= 1:
            raise ValueError(f"usual_handover {plain['usual_handover']}")
        plain |= {name: float(card[name]) for name in _NUMBERS}
        pool, *fallbacks = pools.values()
    num_classes = positive(card, "num_classes", path)
    states = load_states(folder / STATES, inputs_of_pools(pools.values()), num_classes)
    return FusedFit(
        pool=pool,
        fallbacks=tuple(fallbacks),
        handovers=handovers,
        states=states,
        num_classes=num_classes,
        gains=gains,
        surroundings=surroundings,
        advice=tuple(card["advice"]),
        scales=scales,
        **plain,
    )


def _read_fused_pool(card: dict[str, Any], weights: State, path: Path) -> Pool:
    with explained("expected a pool of inputs with their widths", path, _WRONG):
        inputs = tuple(map(str, card["inputs"]))
        widths = tuple(map(int, card["widths"]))
        slope = float(card["slope"])
        offset = float(card["offset"])
        form = FORMS[card["form"]]
        for name in inputs:
            kind_of_evidence(name)
    with located(path.with_name(WEIGHTS)):
        require_arrays(weights, {"weights": f"float64 {sum(widths)}", "others": "float64 1"})
    return Pool(inputs, widths, form(**weights), slope, offset)
