"""How a gate at work stands, in sentences for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from steepslope.monitor.audit import TOLERATED, Limit
from steepslope.monitor.bets import RunningMean, mean_interval_by_bets
from steepslope.monitor.counting import FileCount
from steepslope.monitor.monitor import CHANGED, COVERAGE, HARMFUL, HEALTHY, LABELS, RISK, Monitor
from steepslope.monitor.signals import SIGNALS
from steepslope.promise.certificate import as_percent

PARTS = 1_000_000  # in which a limit on P(correct) is told
MOST_STRANGE = 3  # labels that are no class, by name
OTHER_MIX = (
    "If only the mix of the classes has changed, {} makes a gate for it; these need no labels. It makes none where it "
    "finds that more has changed."
)


def monitor_sentences(count: FileCount) -> list[str]:
    """Return what was counted, how the gate stands, and its health, a line each."""
    monitor = count.monitor
    counted = [*_count_sentences(count), *_mean_sentences(monitor), *_audit_sentences(count)]
    standing = [*_accuracy_sentences(monitor), *health_sentences(monitor), *_followed_audit_sentence(monitor)]
    return [*counted, *standing, *class_mix_sentences(monitor)]


def health_sentences(monitor: Monitor, alone: bool = False) -> list[str]:
    """Return how the gate is, in capitals, with its evidence and what to do.

    ``alone``: all predictions are one batch, in which none is later than another.
    """
    lines = [*_harm_sentence(monitor), *_change_sentence(monitor, alone)]
    if lines:
        return lines
    labels = monitor.labelled.count if monitor.audit is None else monitor.audit.labels
    unseen = "" if labels else " Errors that leave no trace in what is watched cannot be seen without labels."
    return [f"{HEALTHY.upper()}: there is not enough evidence of a change{' or of harm' if labels else ''}.{unseen}"]


def class_mix_sentences(monitor: Monitor) -> list[str]:
    """Return what can be done without labels if only the mix of the classes has changed, in a line after a change."""
    has_changed = bool(monitor.alarms.keys() - {LABELS})
    return [OTHER_MIX.format("`calibrate --target` with outputs of such rows")] * has_changed


def _harm_sentence(monitor: Monitor) -> Iterator[str]:
    promised = as_percent(monitor.promised)
    if LABELS in monitor.alarms and monitor.follows:
        yield (
            f"{HARMFUL.upper()}: of all predictions accepted under audit so far, more than the promised {promised} are "
            "wrong. The gate is harmful until its audit no longer shows this."
        )
    elif LABELS in monitor.alarms:
        labels = monitor.labelled.alarm_count if monitor.audit is None else monitor.audit.alarm_labels
        yield (
            f"{HARMFUL.upper()} after {labels:,} labels of accepted predictions, with {monitor.alarms[LABELS]:,} "
            f"predictions counted: by their labels, more than the promised {promised} of the accepted are wrong. Stop "
            "relying on what it accepts, and calibrate it again on labelled rows like these."
        )


def _change_sentence(monitor: Monitor, alone: bool) -> Iterator[str]:
    """Yield that there was a change, what has changed, and what may follow from it."""
    rows = {name: row for name, row in monitor.alarms.items() if name != LABELS}
    if not rows:
        return
    signals = "; ".join(_changed_signal_phrase(monitor, name, alone) for name in sorted(rows, key=rows.__getitem__))
    yield (
        f"{CHANGED.upper()} after {min(rows.values()):,} predictions: they are not drawn as the calibration rows "
        f"were, so the promise cannot be relied on. What has changed: {signals}.{_consequence_phrase(monitor, alone)}"
    )


def _changed_signal_phrase(monitor: Monitor, name: str, alone: bool) -> str:
    """Return a signal with the mean of its latest values, and of the calibration rows, where people see means."""
    signal, (mean, of) = SIGNALS[name], _newest_mean_phrase(monitor.means[name], alone)
    title = signal.title if signal.title.startswith("P(") else signal.title[0].lower() + signal.title[1:]
    if signal.low is None or mean is None:
        return title
    usual = as_percent(signal.shown(monitor.usual[name]))
    return f"{title} ({of}mean {as_percent(signal.shown(mean))}, on the calibration rows {usual})"


def _consequence_phrase(monitor: Monitor, alone: bool) -> str:
    """Return what a change may mean for the promise, and what to label, after a blank."""
    latest, of = _newest_mean_phrase(monitor.means[RISK], alone)
    guess = ""
    if latest is not None:
        guess = (
            f" By P(correct), which may itself be wrong after a change, {as_percent(latest)} of the {of}accepted are "
            f"wrong; {as_percent(monitor.promised)} was promised."
        )
    if LABELS in monitor.alarms:
        return guess
    if monitor.audit is None or not monitor.audit.labels:
        drawn = f"some of the {of}accepted, drawn at random (`predict --audit`)"
        rows = "the rows that the audit marks" if monitor.under_audit else drawn
        guess = f"{guess} Label {rows}, to learn whether the promise is broken."
    return f"{guess} Calibrate again on labelled rows like these."


def _newest_mean_phrase(mean: RunningMean, alone: bool) -> tuple[float | None, str]:
    """Return the mean of the latest values, if there are enough and some are later than others, and what to call it."""
    return (mean.mean, "") if alone or mean.latest is None else (mean.latest[1], "latest ")


def _count_sentences(count: FileCount) -> Iterator[str]:
    monitor = count.monitor
    known = f", {count.repeated:,} were known already" if count.repeated else ""
    yield f"{monitor.rows:,} predictions, {count.new:,} of them new{known}."
    if count.labels or count.labels_repeated or count.labels_unknown:
        others = f", {count.labels_repeated:,} were known already" if count.labels_repeated else ""
        lost = f", {count.labels_unknown:,} are of no prediction that is known" if count.labels_unknown else ""
        yield f"{monitor.labels:,} labels, {count.labels:,} of them new{others}{lost}."
    if count.contradicting:
        yield f"{count.contradicting:,} labels contradict the one that was counted before; the first counts."
    if count.strange:
        names = ", ".join(f"{name!r} ({times:,})" for name, times in count.strange.most_common(MOST_STRANGE))
        more = ", …" if len(count.strange) > MOST_STRANGE else ""
        yield f"{sum(count.strange.values()):,} labels are no class, and count as errors: {names}{more}."


def _mean_sentences(monitor: Monitor) -> Iterator[str]:
    if monitor.rows:
        covered = _mean_phrase(monitor, monitor.means[COVERAGE])
        yield f"Accepted: {covered}; of the calibration rows {as_percent(monitor.coverage)}."
    for name, usual in monitor.usual.items():
        signal, mean = SIGNALS[name], monitor.means[name]
        if signal.low is not None and mean.count:
            phrase = _mean_phrase(monitor, mean, signal.shown)
            yield f"{signal.title}: {phrase}; of the calibration rows {as_percent(signal.shown(usual))}."
    risks = {"P(correct)": monitor.means[RISK], f"{monitor.labelled.count:,} labels": monitor.labelled}
    for source, risk in risks.items():
        if risk.count:
            phrase = _mean_phrase(monitor, risk)
            yield f"Risk of the accepted, by {source}: {phrase}; promised {as_percent(monitor.promised)}."


def _audit_sentences(count: FileCount) -> Iterator[str]:
    audit = count.monitor.audit
    if audit is not None:
        risk = "unknown" if audit.risk is None else as_percent(audit.risk)
        waiting = f" {audit.waiting:,} that were drawn have no label yet." if audit.waiting else ""
        yield (
            f"Risk of the {audit.accepted:,} accepted under audit, by {audit.labels:,} labels: {risk} "
            f"({as_percent(audit.low)} to {as_percent(audit.high)}, whatever has changed); promised "
            f"{as_percent(count.monitor.promised)}.{waiting}"
        )
    if count.not_following:
        yield (
            f"{count.not_following:,} new accepted predictions are below the present limit, or were not audited. They "
            "were made without `--follow`, or when the limit was lower."
        )
    if count.unmarked:
        yield f"{count.unmarked:,} new labels are of predictions that no audit drew, and are no evidence."
    if count.caution:
        yield f"Caution: {count.caution}."


def _followed_audit_sentence(monitor: Monitor) -> Iterator[str]:
    """Yield what a gate accepts next that follows its audit."""
    if not monitor.follows:
        return
    followed = None if monitor.audit is None else monitor.audit.followed
    if followed is None:
        yield (
            "The gate follows its audit, but no audited predictions have been counted yet: run `predict --audit N "
            "--follow STATE`."
        )
        return
    begin = f"The gate follows its audit. CUSUM of errors over the promise, weighted: {followed.cusum:.1f}"
    if followed.cusum <= TOLERATED:
        yield f"{begin}; up to {TOLERATED:g}, `predict --follow` accepts all that the gate accepts."
    elif followed.limit.coverage == 1:
        yield f"{begin}, but the latest labels support all that the gate accepts."
    elif followed.limit.coverage == 0:
        yield f"{begin}. The latest labels support no limit on P(correct), so `predict --follow` accepts nothing."
    else:
        yield f"{begin}. `predict --follow` accepts only {_limit_sentence(followed.limit)}"


def _limit_sentence(limit: Limit) -> str:
    number = math.ceil(limit.p_correct * PARTS) / PARTS
    risk = "" if limit.risk is None else f", of which about {as_percent(limit.risk)} are wrong"
    return (
        f"rows with p_correct of at least {number}: about {as_percent(limit.coverage)} of the latest{risk}. This is an "
        "estimate from the latest labels of the audit, and no promise."
    )


def _accuracy_sentences(monitor: Monitor) -> Iterator[str]:
    if monitor.accuracy is not None:
        yield f"Accuracy on all, estimated without labels: {as_percent(monitor.accuracy)}."
    if monitor.labels and monitor.audit is None:  # an audit draws only what the gate accepts
        interval = mean_interval_by_bets(monitor.correct, monitor.labels, monitor.delta)
        phrase = _with_interval(monitor, monitor.correct / monitor.labels, interval)
        yield f"Of the {monitor.labels:,} labelled predictions, accepted or not: {phrase} are right."


def _mean_phrase(monitor: Monitor, mean: RunningMean, shown: Callable[[float], float] = float) -> str:
    """Return a mean of at least one value so far, and that of the latest of so many."""
    assert mean.mean is not None
    low, high = mean.interval(monitor.delta)
    of_all = _with_interval(monitor, shown(mean.mean), (shown(low), shown(high)))
    if mean.latest is None:
        return of_all
    return f"{of_all}, of the latest {mean.latest[0]:,}: {as_percent(shown(mean.latest[1]))}"


def _with_interval(monitor: Monitor, mean: float, interval: tuple[float, float]) -> str:
    """Return a mean, with its interval as long as the gate is healthy: it holds if nothing changes."""
    low, high = map(as_percent, interval)
    return as_percent(mean) if monitor.alarms else f"{as_percent(mean)} ({low} to {high})"
