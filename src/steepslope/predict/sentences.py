"""What a run of predictions comes to, in sentences: how many may be used."""

from steepslope.gate import Gate
from steepslope.predict.prediction_file import Summary
from steepslope.promise.certificate import as_percent


def sentences(gate: Gate, summary: Summary) -> list[str]:
    """Return a sentence on what was decided, and one on why nothing is accepted by a gate that promises nothing."""
    review = summary.rows - summary.accepted - summary.rejected
    counts = [f"{summary.accepted:,} accepted ({as_percent(summary.accepted / max(1, summary.rows))})"]
    counts += [f"{summary.rejected:,} rejected"] if gate.rejection is not None else []
    counts.append(f"{review:,} to review")
    counts += [f"{summary.failed:,} of these could not be read"] if summary.failed else []
    counts += [f"{summary.lacking:,} lack an opinion that nearly all calibration rows had"] if summary.lacking else []
    counts += [f"{summary.below_limit:,} below the limit of --follow"] if summary.below_limit else []
    counts += [f"{summary.audited:,} to label (column audit)"] if summary.audited else []
    nothing = [] if any(one.is_given for one in gate.promises) else [f"This gate accepts nothing: {gate.advice}."]
    return [f"{summary.rows:,} predictions: {', '.join(counts)}.", *nothing]
