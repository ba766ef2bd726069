"""What a run of predictions comes to, in sentences: how many may be used, and whether the promise can be relied on."""

import math
from collections.abc import Callable

from steepslope.gate import Gate
from steepslope.gate.certificate import as_percent
from steepslope.predict.prediction_file import Summary
from steepslope.report.sentences import looks_unlike

FAR = 4.0  # standard errors by which coverage may differ by luck
UNUSUAL = 0.05  # and by how much it has to differ to matter


def sentences(gate: Gate, summary: Summary) -> list[str]:
    """Return a sentence on what was decided, and warnings where these predictions look unlike the calibration rows."""
    review = summary.rows - summary.accepted - summary.rejected
    counts = [f"{summary.accepted:,} accepted ({as_percent(summary.accepted / max(1, summary.rows))})"]
    counts += [f"{summary.rejected:,} rejected"] if gate.rejection is not None else []
    counts.append(f"{review:,} to review")
    counts += [f"{summary.failed:,} of these could not be read"] if summary.failed else []
    warned = (warning(gate, summary) for warning in WARNINGS.values())
    nothing = "" if any(one.is_given for one in gate.promises) else f"This gate accepts nothing: {gate.advice}."
    return [f"{summary.rows:,} predictions: {', '.join(counts)}.", *filter(None, (nothing, *warned))]


def _of_coverage(gate: Gate, summary: Summary) -> str:
    """Return a warning where another fraction is accepted than of the calibration rows; such a change is no luck."""
    n, judged = sum(one.n for one in gate.promises), summary.rows - summary.failed
    if not judged or not n:
        return ""
    found, usual = summary.accepted / judged, gate.coverage
    pooled = (summary.accepted + usual * n) / (judged + n)
    error = math.sqrt(pooled * (1 - pooled) * (1 / judged + 1 / n))
    if abs(found - usual) < max(UNUSUAL, FAR * error):
        return ""
    return (
        f"WARNING: {as_percent(found)} are accepted, of the calibration rows {as_percent(usual)}: these predictions "
        "are not drawn as those were, so the promise may not hold. Calibrate on labelled rows like these."
    )


def _of_handover(gate: Gate, summary: Summary) -> str:
    """Return a warning where the oracle hands over far more than usual, since images look unlike its fit set."""
    usual = None if gate.source is None or gate.source.oracle is None else gate.source.oracle.usual_handover
    found = summary.handed_over
    if found is None or usual is None or not looks_unlike(found, usual):
        return ""
    return (
        f"WARNING: {as_percent(found)} are handed over to what needs no second backbone, of the fit set "
        f"{as_percent(usual)}: these images look unlike those that the oracle knows, so the promise may not hold."
    )


WARNINGS: dict[str, Callable[[Gate, Summary], str]] = {"coverage": _of_coverage, "handover": _of_handover}
