"""How a gate at work stands, in sentences for people."""

from __future__ import annotations

from collections.abc import Iterator

from steepslope.deploy.monitoring.bounds import mean_interval
from steepslope.deploy.monitoring.monitor import COVERAGE, LABELS, Monitor
from steepslope.deploy.monitoring.watch import Watch
from steepslope.gate.binomial import as_percent

MOST_STRANGE = 3  # labels that are no class, by name


def sentences(watch: Watch) -> list[str]:
    """Return what was counted, how the gate stands, and whether there is an alarm, a line each."""
    monitor = watch.monitor
    return [*_counted(watch), *_standing(monitor), *_accuracy(monitor), *alarms(monitor)]


def alarms(monitor: Monitor) -> list[str]:
    """Return a line an alarm, with what to do; or one line that there is none."""
    found = []
    for name, row in sorted(monitor.alarms.items(), key=lambda one: one[1]):
        when = f"prediction {row:,}"
        if name == COVERAGE:
            usual = as_percent(monitor.coverage)
            reason = f"less than half as many are accepted as of the calibration rows ({usual})"
        elif name == LABELS:
            when = f"label {monitor.labelled.alarm_count:,} of the accepted, with {row:,} predictions known"
            reason = f"by their labels, more than the promised {as_percent(monitor.promised)} of the accepted are wrong"
        else:
            signal = monitor.signals[name]
            reason = f"without labels, the {signal.title} is above its limit of {as_percent(signal.limit)}"
        found.append(f"ALARM at {when}: {reason}. Label some of the latest, and calibrate anew on these.")
    sure = as_percent(monitor.delta)
    return found or [f"No alarm. Without a change there is ever one with a probability of at most {sure}."]


def _counted(watch: Watch) -> Iterator[str]:
    monitor = watch.monitor
    known = f", {watch.repeated:,} were known already" if watch.repeated else ""
    yield f"{monitor.rows:,} predictions, {watch.new:,} of them new{known}."
    if watch.labels or watch.labels_repeated or watch.labels_unknown:
        others = f", {watch.labels_repeated:,} were known already" if watch.labels_repeated else ""
        lost = f", {watch.labels_unknown:,} are of no prediction that is known" if watch.labels_unknown else ""
        yield f"{monitor.labels:,} labels, {watch.labels:,} of them new{others}{lost}."
    if watch.contradicting:
        yield f"{watch.contradicting:,} labels contradict the one that was counted before; the first counts."
    if watch.strange:
        names = ", ".join(f"{name!r} ({count:,})" for name, count in watch.strange.most_common(MOST_STRANGE))
        more = ", …" if len(watch.strange) > MOST_STRANGE else ""
        yield f"{sum(watch.strange.values()):,} labels are no class, and count as errors: {names}{more}."


def _standing(monitor: Monitor) -> Iterator[str]:
    if not monitor.rows:
        return
    usual = as_percent(monitor.coverage)
    coverage = monitor.accepted / monitor.rows
    yield f"Accepted: {_between(coverage, monitor.coverage_interval)}; of the calibration rows {usual}."
    for name, signal in monitor.signals.items():
        mean = monitor.mean(name)
        if mean is not None and name != COVERAGE:
            about = f"limit {as_percent(signal.limit)}, of the calibration rows {as_percent(signal.usual)}"
            shown = signal.title[0].upper() + signal.title[1:]
            yield f"{shown}: {_between(mean, monitor.interval(name))}; {about}."
    risk = monitor.labelled.mean
    if risk is not None:
        found = _between(risk, monitor.labelled.interval(monitor.delta))
        promised = as_percent(monitor.promised)
        yield f"Risk of the accepted by {monitor.labelled.count:,} labels: {found}; promised {promised}."


def _accuracy(monitor: Monitor) -> Iterator[str]:
    known = {name: value for name, value in monitor.accuracy.items() if value is not None}
    if known:
        parts = (f"{as_percent(value)} ({name})" for name, value in known.items())
        yield f"Accuracy on all, estimated without labels: {', '.join(parts)}."
    if monitor.labels:
        bounds = mean_interval(monitor.correct, monitor.labels, monitor.delta)
        yield f"Accuracy on all by {monitor.labels:,} labels: {_between(monitor.correct / monitor.labels, bounds)}."


def _between(value: float, interval: tuple[float, float]) -> str:
    low, high = map(as_percent, interval)
    return f"{as_percent(value)} ({low} to {high})"
