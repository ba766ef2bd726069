"""How a gate at work stands, in sentences for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from steepslope.gate import GOING_ON, NO_CHANGE, OTHER_MIX
from steepslope.monitor._audit import TOLERATED, Limit
from steepslope.monitor._counting import FileCount
from steepslope.monitor._monitor import COVERAGE, LABELS, RISK, Monitor
from steepslope.promise import HARMFUL, HEALTHY, SIGNALS, RunningMean, as_percent, mean_interval_by_bets

_PARTS = 1_000_000  # in which a limit on P(correct) is told
_MOST_STRANGE = 3  # labels that are no class, by name


def monitor_sentences(count: FileCount) -> list[str]:
    """Return what was counted, how the gate stands, and its health, a line each."""
    monitor = count.monitor
    counted = [*_count_sentences(count), *_mean_sentences(monitor), *_audit_sentences(count)]
    standing = [*_accuracy_sentences(monitor), *_health_sentences(monitor), *_followed_audit_sentence(monitor)]
    return [*counted, *standing]


def _health_sentences(monitor: Monitor) -> list[str]:
    """Return how the gate is, in capitals, with its evidence and what to do."""
    lines = [*_harm_sentence(monitor), *_change_sentence(monitor)]
    if lines:
        return lines
    labels = monitor.labelled.count if monitor.audit is None else monitor.audit.labels
    if labels:
        return [f"{HEALTHY.upper()}: there is not enough evidence of a change or of harm."]
    return [NO_CHANGE]


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


def _change_sentence(monitor: Monitor) -> Iterator[str]:
    """Yield that there was a change, what has changed, and what to do."""
    if not monitor.change:
        return
    lines = [monitor.change.sentence(), "So the promise cannot be relied on."]
    if LABELS not in monitor.alarms and not (monitor.audit and monitor.audit.labels):
        rows = "some of the accepted (`predict --audit`)"
        if monitor.under_audit:
            rows = "the rows that the audit marks"
        lines.append(f"Labels of {rows} tell whether it is broken.")
    yield " ".join([*lines, GOING_ON, OTHER_MIX])


def _count_sentences(count: FileCount) -> Iterator[str]:
    monitor = count.monitor
    predictions = [f"{monitor.rows:,} predictions", f"{count.new:,} of them new"]
    if count.repeated:
        predictions.append(f"{count.repeated:,} were known already")
    yield f"{', '.join(predictions)}."
    labels = [f"{monitor.labels:,} labels", f"{count.labels:,} of them new"]
    if count.labels_repeated:
        labels.append(f"{count.labels_repeated:,} were known already")
    if count.labels_unknown:
        labels.append(f"{count.labels_unknown:,} are of no prediction that is known")
    if count.labels or count.labels_repeated or count.labels_unknown:
        yield f"{', '.join(labels)}."
    if count.contradicting:
        yield f"{count.contradicting:,} labels contradict the one that was counted before; the first counts."
    if count.strange:
        names = [f"{name!r} ({times:,})" for name, times in count.strange.most_common(_MOST_STRANGE)]
        if len(count.strange) > _MOST_STRANGE:
            names.append("…")
        yield f"{count.strange.total():,} labels are no class, and count as errors: {', '.join(names)}."


def _mean_sentences(monitor: Monitor) -> Iterator[str]:
    if monitor.rows:
        covered = _mean_phrase(monitor, monitor.means[COVERAGE])
        yield f"Accepted: {covered}; of the calibration rows {as_percent(monitor.coverage)}."
    for name, usual in monitor.usual.items():
        signal = SIGNALS[name]
        mean = monitor.means[name]
        if signal.low is not None and mean.count:
            phrase = _mean_phrase(monitor, mean, signal.shown)
            yield f"{signal.title}: {phrase}; of the calibration rows {as_percent(signal.shown(usual))}."
    risks = [("P(correct)", monitor.means[RISK]), (f"{monitor.labelled.count:,} labels", monitor.labelled)]
    if monitor.change:  # after a change, P(correct) may be wrong
        del risks[0]
    for source, risk in risks:
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
    if monitor.audit is None or monitor.audit.followed is None:
        yield (
            "The gate follows its audit, but no audited predictions have been counted yet: run `predict --audit N "
            "--follow STATE`."
        )
        return
    followed = monitor.audit.followed
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
    number = math.ceil(limit.p_correct * _PARTS) / _PARTS
    accepts = f"rows with p_correct of at least {number}: about {as_percent(limit.coverage)} of the latest"
    if limit.risk is not None:
        accepts += f", of which about {as_percent(limit.risk)} are wrong"
    return f"{accepts}. This is an estimate from the latest labels of the audit, and no promise."


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
    if monitor.alarms:
        return as_percent(mean)
    low, high = interval
    return f"{as_percent(mean)} ({as_percent(low)} to {as_percent(high)})"
