"""What fitting a fused oracle leaves, how it gives log-odds, and how it lies on disk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, require_known
from steepslope.evidence.fitting import all_parts, flattened, grouped, load_states
from steepslope.evidence.registry import EVIDENCE
from steepslope.evidence.states import State, arrays_fit
from steepslope.evidence.values import opinions_of
from steepslope.files.folders import field as json_field, positive, write_json
from steepslope.files.weights import load_arrays, save_arrays
from steepslope.numerics.opinion_pool import OpinionPool
from steepslope.oracle.fit_record import FitRecord
from steepslope.oracle.handover import SHARE, Handover, Moments
from steepslope.oracle.selection import LEVELS, OWN, Gain, Pool
from steepslope.oracle.storage import CARD, FUSED, ORACLE, STATES, WEIGHTS
from steepslope.outputs import ClassifierOutputs

VERSION = 2  # of the card
POOLS = "pool", "fallback"
HANDOVER, MOMENTS = "handover", "moments"
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FusedFit:
    """The pool of the chosen budget, what its evidence learnt, and how log-odds are calibrated.

    With a ``handover``, rows that look unfamiliar to the auxiliary backbone hand up to three quarters of their
    log-odds over to the ``fallback``, the pool of what is free. ``slope`` and ``offset`` calibrate the log-odds.
    ``gains`` has what each budget gains on the fit set, ``left_out`` why other evidence could not be had.
    ``usual_handover`` is how far the fit set's rows are handed over on average, and ``moments`` are those of its
    auxiliary features, None where none are seen. ``copies`` says where the augmented copies of the fit set and the
    reference come from.
    """

    budget: str
    pool: Pool
    fallback: Pool | None
    handover: Handover | None
    states: dict[str, State]
    slope: float
    offset: float
    num_classes: int
    gains: dict[str, Gain] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    usual_handover: float | None = None
    moments: Moments | None = None
    copies: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...]:
        """All evidence that a prediction needs."""
        return tuple(dict.fromkeys([*self.pool.inputs, *(() if self.fallback is None else self.fallback.inputs)]))

    def __str__(self) -> str:
        missing = [f"without {', '.join(names)}: {reason}" for reason, names in self.missing.items()]
        return "\n".join([self.summary, *missing])

    @property
    def summary(self) -> str:
        """What each budget gains on the fit set, a line each, and what the pool holds."""
        lines = [
            f"budget {name}{' (chosen)' if name == self.budget else ''}: {one}" for name, one in self.gains.items()
        ]
        names = ", ".join(self.pool.inputs)
        what = f"a pool of {names}" if len(self.inputs) > 1 else "no pool ranks better than MCP, so that is this oracle"
        return "\n".join([*lines, what])

    @property
    def missing(self) -> dict[str, list[str]]:
        """The evidence that could not be had, by the reason."""
        reasons = dict.fromkeys(self.left_out.values())
        return {reason: [name for name, why in self.left_out.items() if why == reason] for reason in reasons}

    def opinions(self, outputs: ClassifierOutputs) -> dict[str, Floats]:
        """Return what each kind of evidence thinks of the candidate classes, (n, V, C) each."""
        *parts, _ = all_parts(outputs, self.inputs, self.states, opinions_of)
        found = dict(zip(self.inputs, parts, strict=True))
        for pool in (self.pool, self.fallback):
            for name, width in () if pool is None else zip(pool.inputs, pool.widths, strict=True):
                if found[name].shape[1] != width:
                    raise SteepslopeError(
                        f"expected the fit set's {width} opinions, found {found[name].shape[1]}", name
                    )
        return found

    def mixed(self, opinions: Mapping[str, Floats], outputs: ClassifierOutputs) -> Floats:
        """Return the log-odds of the pool, or some of the fallback's where rows are handed over, (n,)."""
        odds = self.pool.log_odds(opinions)
        if self.handover is None or self.fallback is None:
            return odds
        return mixed(odds, self.fallback.log_odds(opinions), self.handover.weight(outputs))

    def log_odds(self, outputs: ClassifierOutputs) -> Floats:
        """Return the calibrated log-odds that each prediction is right, (n,)."""
        return self.slope * self.mixed(self.opinions(outputs), outputs) + self.offset


def mixed(odds: Floats, fallback: Floats, weight: Floats) -> Floats:
    """Hand some of the log-odds over, by weights in [0, 1], (n,) each."""
    return odds + SHARE * weight * (fallback - odds)


def write_fit(folder: Path, fitted: FusedFit, settings: Mapping[str, Any], record: FitRecord | None) -> None:
    """Write weights and what evidence learnt as safetensors, and the card; replace an earlier oracle."""
    pools = {name: getattr(fitted, name) for name in POOLS if getattr(fitted, name) is not None}
    learnt = {HANDOVER: fitted.handover, MOMENTS: fitted.moments}
    states = dict(fitted.states) | {name: one.state for name, one in learnt.items() if one is not None}
    card = {
        "budget": fitted.budget, "slope": fitted.slope, "offset": fitted.offset, "num_classes": fitted.num_classes,
        **{name: {"inputs": pool.inputs, "widths": pool.widths} for name, pool in pools.items()},
        "gains": {name: asdict(one) for name, one in fitted.gains.items()}, "left_out": fitted.left_out,
        "usual_handover": fitted.usual_handover, "copies": fitted.copies,
    }  # fmt: skip
    with ORACLE.staged(folder) as staging:
        save_arrays(flattened({name: vars(pool.pool) for name, pool in pools.items()}), staging / WEIGHTS)
        save_arrays(flattened(states), staging / STATES)
        remembered = {} if record is None else record.write(staging)
        about = {"kind": FUSED, "version": VERSION, "settings": settings, "fitted": card}
        write_json(staging / CARD, about | remembered)


def read_fit(folder: Path, card: Mapping[str, Any]) -> FusedFit:
    """Read what :func:`write_fit` wrote; an error names the file and the field."""
    path = folder / CARD
    if card.get("version") != VERSION:
        raise SteepslopeError("a fused oracle of another version, whose rules are others: fit it again", path)
    shape = json_field(dict(card), "fitted", dict, path)
    slope, offset = (float(json_field(shape, name, (int, float), path)) for name in ("slope", "offset"))
    if not (math.isfinite(offset) and 0 < slope < math.inf):
        raise SteepslopeError(f"expected a finite offset and slope > 0, found {offset} and {slope}", path)
    budget, num_classes = json_field(shape, "budget", str, path), positive(shape, "num_classes", path)
    require_known(f"budget in {path}:", budget, LEVELS)
    weights = grouped(load_arrays(folder / WEIGHTS))
    pool = _read_pool(json_field(shape, "pool", dict, path), weights.get("pool", {}), path)
    fallback = None
    if "fallback" in shape:
        fallback = _read_pool(json_field(shape, "fallback", dict, path), weights.get("fallback", {}), path)
    inputs = tuple(dict.fromkeys([*pool.inputs, *(() if fallback is None else fallback.inputs)]))
    states = load_states(folder / STATES, inputs, num_classes)
    handover, moments = (None, None) if fallback is None else _read_handover(folder)
    stored = json_field(shape, "gains", dict, path)
    gains = {name: Gain.of(json_field(stored, name, dict, path), path) for name in stored}
    missing = json_field(shape, "left_out", dict, path)
    usual, copies = _fraction(shape, "usual_handover", path), json_field({"copies": {}, **shape}, "copies", dict, path)
    return FusedFit(
        budget, pool, fallback, handover, states, slope, offset, num_classes, gains, missing, usual, moments, copies
    )


def _fraction(shape: dict[str, Any], name: str, path: Path) -> float | None:
    """Return a fraction in [0, 1]; None where there is none."""
    if shape.get(name) is None:
        return None
    found = float(json_field(shape, name, (int, float), path))
    if not 0 <= found <= 1:
        raise SteepslopeError(f"expected {name} from 0 to 1, found {found}", path)
    return found


def _read_handover(folder: Path) -> tuple[Handover, Moments | None]:
    """Read the hand-over and the moments, which oracles that were fitted before there were any lack."""
    arrays = grouped(load_arrays(folder / STATES))
    try:
        moments = Moments.stored(arrays[MOMENTS]) if MOMENTS in arrays else None
        return Handover.restored(arrays.get(HANDOVER, {})), moments
    except SteepslopeError as error:
        raise error.within(folder / STATES) from error


def _read_pool(shape: dict[str, Any], weights: State, path: Path) -> Pool:
    inputs, widths = (tuple(json_field(shape, name, list, path)) for name in ("inputs", "widths"))
    _check_inputs(inputs, widths, path)
    count = sum(widths)
    if not arrays_fit(weights, {"weights": (count,), "others": (1,)}, "float64"):
        found = ", ".join(f"{name} {array.shape}" for name, array in weights.items()) or "nothing"
        raise SteepslopeError(f"expected {count} weights and others (1,), found {found}", path.with_name(WEIGHTS))
    if (weights["weights"] < 0).any():  # they are finite, or would not have been read
        raise SteepslopeError("expected weights >= 0, found others", path.with_name(WEIGHTS))
    return Pool(inputs, widths, OpinionPool(**weights))


def _check_inputs(inputs: Sequence[Any], widths: Sequence[Any], path: Path) -> None:
    pooled = [name for name, kind in EVIDENCE.items() if kind.opinions is not None]
    for name in inputs:
        require_known(f"input in {path}:", str(name), pooled)
    counted = all(isinstance(width, int) and width >= 1 for width in widths) and len(widths) == len(inputs)
    if len(set(inputs)) < len(inputs) or not counted or not inputs or inputs[0] != OWN:
        raise SteepslopeError(f"expected {OWN} and other inputs with their widths, found {inputs} and {widths}", path)
