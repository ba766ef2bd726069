"""How soon the monitor notices a shift of Fashion-MNIST, beside a KS test and MAPIE's RiskMonitoring.

A stream is clean rows, then shifted ones. Delays are counted in predictions from the first shifted one on.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from benchmarks.studies.kept_rows import Row
from benchmarks.studies.monitored_streams import NAMES, Stream
from steepslope.gate import Gate
from steepslope.gate.calibration import CalibrationRows
from steepslope.monitor import Monitor

DELTA = 0.05
CLEAN_ROWS, SHIFTED_ROWS = 2_000, 10_000
SEEDS = 20
KS_BATCH = 250
SURE = 0.9
Found = dict[str, int | None]  # the row of the alarm, by method


@dataclass(frozen=True, eq=False)
class Bench:
    """A gate with the rows that it was calibrated on."""

    gate: Gate
    calibration: Stream

    @classmethod
    def of(cls, calibration: Stream, max_risk: float) -> Bench:
        """Calibrate a gate on all rows, which fix its thresholds too."""
        gate = Gate.calibrate(calibration.trust_logit, calibration.is_correct, max_risk, DELTA, of_log_odds=True)
        return cls(gate, calibration)

    def judged(self, stream: Stream) -> CalibrationRows:
        """Return what the gate thinks of a stream."""
        return stream.judged(self.gate)

    def monitor(self) -> Monitor:
        """Return the gate's monitor, before any prediction."""
        return Monitor.of(self.gate, DELTA, rows=self.judged(self.calibration), on="overconfidence")


def turning(clean: Stream, shifted: Stream, seed: int) -> Stream:
    """Return a stream of clean rows and then shifted ones, each drawn from those that there are."""
    rng = np.random.default_rng(seed)
    before, after = rng.permutation(len(clean))[:CLEAN_ROWS], rng.integers(len(shifted), size=SHIFTED_ROWS)
    parts = [clean.subset(before), shifted.subset(after)]
    return Stream(*(np.concatenate([getattr(part, name) for part in parts]) for name in NAMES))


def alarms(bench: Bench, stream: Stream) -> Found:
    """Return the row of the first alarm of each of our methods and of the KS test, None where there is none."""
    judged, monitor = bench.judged(stream), bench.monitor()
    monitor.update(judged.p_correct, judged.accepted, stream.probability)
    used = np.flatnonzero(judged.accepted)
    monitor.label(stream.is_correct[used], judged.accepted[used], used + 1)
    found: Found = {name: mean.alarm for name, mean in monitor.means.items()}
    return found | {"labels": monitor.labelled.alarm, "ks": ks_alarm(bench, stream)}


def ks_alarm(bench: Bench, stream: Stream) -> int | None:
    """Return the row at which a KS test tells the classifier's probabilities from those of the calibration rows.

    Each batch of 250 is tested once, the k-th at the level delta · 6 / (π² k²), all of which sum to delta.
    """
    known = bench.calibration.probability
    for number, start in enumerate(range(0, len(stream) - KS_BATCH + 1, KS_BATCH), 1):
        level = DELTA * 6 / (math.pi * number) ** 2
        if ks_2samp(stream.probability[start : start + KS_BATCH], known).pvalue < level:
            return start + KS_BATCH
    return None


def mapie_alarms(bench: Bench, stream: Stream) -> Found:
    """Return the row of MAPIE's alarm, by its name; nothing where it cannot be imported."""
    if not importlib.util.find_spec("mapie"):
        return {}
    used = np.flatnonzero(bench.judged(stream).accepted)
    return {"mapie": mapie_alarm(bench, stream.is_correct[used], used + 1)}


def mapie_alarm(bench: Bench, is_correct: NDArray[np.bool_], rows: NDArray[np.int64]) -> int | None:
    """Return the row at which MAPIE's lower bound of the accepted rows' risk exceeds the promised one, with labels.

    Its bound is that of the mean of all rows so far; half of delta is the stream's, as in the monitor.
    """
    from mapie.exchangeability_testing import RiskMonitoring

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        risk = bench.gate.promises[0].max_risk
        monitoring = RiskMonitoring(risk="accuracy", test_level=DELTA, threshold=risk, warn=False)
        monitoring.update(np.ones(len(is_correct), np.int64), is_correct.astype(np.int64))
    above = np.flatnonzero(monitoring.online_risk_lower_bound_sequence_history > risk)
    return int(rows[above[0]]) if len(above) else None


def delays(bench: Bench, clean: Stream, shifted: Stream, find: Callable[[Bench, Stream], Found]) -> Row:
    """Return the delays of some methods over several orders of a stream."""
    found = [find(bench, turning(clean, shifted, seed)) for seed in range(SEEDS)]
    return {method: _delays([one[method] for one in found]) for method in found[0]}


def _delays(rows: Sequence[int | None]) -> dict[str, Any]:
    """Return quantiles of the delay, ∞ as null, how many orders had an alarm, and how many before the shift."""
    late = [math.inf if row is None else row - CLEAN_ROWS for row in rows]
    early = sum(delay <= 0 for delay in late)
    kept = sorted(delay for delay in late if delay > 0)
    quantiles = {f"q{q}": _finite(kept[min(len(kept) - 1, int(q / 100 * len(kept)))]) for q in (10, 50, 90) if kept}
    return {"orders": len(rows), "early": early, "alarms": sum(math.isfinite(delay) for delay in kept), **quantiles}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def truth(bench: Bench, stream: Stream) -> Row:
    """Return what is true of shifted rows, and what is estimated."""
    judged, monitor = bench.judged(stream), bench.monitor()
    monitor.update(judged.p_correct, judged.accepted, stream.probability)
    used = judged.accepted
    return {
        "n": len(stream), "accuracy": float(stream.is_correct.mean()), "coverage": float(used.mean()),
        "risk": float((~stream.is_correct[used]).mean()) if used.any() else 0.0,
        "errors": int((~stream.is_correct[used]).sum()), "accepted": int(used.sum()),
        "estimated": monitor.accuracy, "means": {name: monitor.mean(name) for name in monitor.signals},
        "limits": {name: signal.limit for name, signal in monitor.signals.items()},
    }  # fmt: skip


Candidate = Callable[[CalibrationRows], float]


def _accepted_mean(values: NDArray[np.float64], rows: CalibrationRows) -> float:
    return float(values[rows.accepted].mean()) if rows.accepted.any() else 0.0


def _own(rows: CalibrationRows) -> NDArray[np.float64]:
    assert rows.probability is not None
    return rows.probability


def _doubted(rows: CalibrationRows) -> float:
    return _accepted_mean((rows.p_correct < SURE).astype(np.float64), rows)


CANDIDATES: dict[str, Candidate] = {  # what could stand for harm, higher for more
    "estimated risk of the accepted": lambda rows: _accepted_mean(1 - rows.p_correct, rows),
    "estimated risk of all": lambda rows: float((1 - rows.p_correct).mean()),
    "part that is not accepted": lambda rows: float((~rows.accepted).mean()),
    "part of the accepted with P(correct) < 0.9": _doubted,
    "part of all with P(correct) < 0.5": lambda rows: float((rows.p_correct < 0.5).mean()),
    "1 − the classifier's own probability": lambda rows: float((1 - _own(rows)).mean()),
    "overconfidence of the accepted": lambda rows: _accepted_mean(_own(rows) - rows.p_correct, rows),
    "overconfidence of all, where above 0": lambda rows: float(np.maximum(0, _own(rows) - rows.p_correct).mean()),
    "overconfidence of all": lambda rows: float((_own(rows) - rows.p_correct).mean()),
}
