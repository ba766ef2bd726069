"""What a gate's confidences come from: a score or an oracle, with all that it has learnt."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.data.images import Dataset
from steepslope.errors import SteepslopeError, located, require_known
from steepslope.files.folders import field, positive
from steepslope.files.weights import load_arrays, save_arrays
from steepslope.oracle import BaseOracle, Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES, Score

Floats = NDArray[np.float64]
ORACLE, SCORE, CONFIDENCE = "oracle", "score", "confidence"  # the kinds
STATE = "score.safetensors"
LOG_ODDS = "logit"


@dataclass(frozen=True, eq=False)
class Judge:
    """A fitted oracle, or a score that is fitted where it has to be, for a number of classes.

    ``name`` is the score's in ``SCORES``, or oracle. ``reference`` are confidences of other rows than those that a gate
    is calibrated on, (m,), from which its thresholds come; None where there are none.
    """

    name: str
    model: BaseOracle | Score
    num_classes: int
    reference: tuple[float, ...] | None = None

    @classmethod
    def of(cls, model: BaseOracle | Score, num_classes: int, fit_set: ClassifierOutputs | None = None) -> Judge:
        """Return the judge of an oracle or a score; the score's ``fit_set`` is where its thresholds come from."""
        if isinstance(model, BaseOracle):
            record = model.record_
            return cls(ORACLE, model, num_classes, None if record is None else record.percentiles)
        names = [name for name, kind in SCORES.items() if kind is type(model)]
        if not names:
            raise SteepslopeError(f"expected a score of SCORES or an oracle, found {type(model).__name__}", "judge")
        if fit_set is None:
            return cls(names[0], model, num_classes)
        percentiles = np.percentile(model.confidence(fit_set), np.arange(101)).tolist()
        return cls(names[0], model, num_classes, tuple(percentiles))

    @property
    def oracle(self) -> BaseOracle | None:
        """The oracle; None of a score."""
        return self.model if isinstance(self.model, BaseOracle) else None

    @property
    def of_log_odds(self) -> bool:
        """Whether its confidences are log-odds of being correct."""
        return self.model.scale == LOG_ODDS

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arrays that outputs must hold."""
        return tuple(dict.fromkeys(["logits", *self.model.arrays]))

    def seeing(self, images: Dataset) -> Judge:
        """Return the same judge with its images, where it is an oracle on images."""
        oracle = self.oracle
        return self if oracle is None or not oracle.is_image_oracle else replace(self, model=oracle.on(images))

    def confidence(self, outputs: ClassifierOutputs) -> Floats:
        """Return the confidence of each prediction, (n,): an oracle's trust logit, or the score's."""
        with located(self.name):
            one = self.model
            found = one.trust_logit(outputs) if isinstance(one, BaseOracle) else one.confidence(outputs)
            if np.isnan(found).any():
                row = int(np.isnan(found).argmax())
                raise SteepslopeError(f"expected a confidence of each prediction, found NaN in row {row}")
            return found

    def fitted_on(self, outputs: ClassifierOutputs) -> NDArray[np.bool_]:
        """Return which of these rows its oracle was fitted on, (n,), as far as is known."""
        record = None if self.oracle is None else self.oracle.record_
        return np.zeros(len(outputs), dtype=np.bool_) if record is None else record.seen(outputs)

    def write(self, folder: Path) -> dict[str, Any]:
        """Write what it has learnt into a folder, an oracle into its subfolder; return what the card holds of it."""
        if isinstance(self.model, BaseOracle):
            self.model.save(folder / ORACLE)
            return {"kind": ORACLE, "num_classes": self.num_classes}
        state = self.model.state()
        if state:
            save_arrays(state, folder / STATE)
        return {"kind": SCORE, "name": self.name, "num_classes": self.num_classes, "learnt": bool(state)}

    @classmethod
    def read(cls, folder: Path, card: Mapping[str, Any], path: Path, backbones: Collection[str] = ()) -> Judge:
        """Read what :meth:`write` wrote."""
        num_classes = positive(card, "num_classes", path)
        if field(card, "kind", str, path) == ORACLE:
            return cls.of(Oracle.load(folder / ORACLE, backbones), num_classes)
        name = field(card, "name", str, path)
        require_known(f"score in {path}:", name, SCORES)
        state = load_arrays(folder / STATE) if field(card, "learnt", bool, path) else {}
        with located(folder / STATE):
            return cls(name, SCORES[name].restored(state, num_classes), num_classes)


def judge_of(model: BaseOracle | Score | Judge, outputs: ClassifierOutputs) -> Judge:
    """Return what judges predictions; raise if it was fitted on some of the rows that a gate is calibrated on."""
    judge = model if isinstance(model, Judge) else Judge.of(model, outputs.num_classes)
    seen = int(judge.fitted_on(outputs).sum())
    if seen:
        found = f"found {seen:,} of {len(outputs):,} rows on which the oracle was fitted"
        raise SteepslopeError(f"expected rows that nothing was fitted on, {found}: it promises nothing", "outputs")
    return judge
