"""How a gate at work stands, in sentences for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from steepslope.gate.certificate import as_percent
from steepslope.monitor.bounds import mean_interval
from steepslope.monitor.counting import FileCount
from steepslope.monitor.monitor import COVERAGE, LABELS, OVERCONFIDENCE, Monitor
from steepslope.monitor.running_mean import RunningMean

MOST_STRANGE = 3  # labels that are no class, by name


def sentences(count: FileCount) -> list[str]:
    """Return what was counted, how the gate stands, and whether there is an alarm, a line each."""
    monitor = count.monitor
    return [*_counted(count), *_standing(monitor), *_accuracy(monitor), *silent_alarms(monitor), *alarms(monitor)]


def silent_alarms(monitor: Monitor) -> list[str]:
    """Return a line a signal by which there can be no alarm."""
    why = "these calibration rows set no limit below the highest value that there is; more of them would"
    return [f"There can be no alarm by {name}: {why}." for name in monitor.silent]


def alarms(monitor: Monitor) -> list[str]:
    """Return a line an alarm, with what to do; or one line that there is none."""
    found = []
    for name, row in sorted(monitor.alarms.items(), key=lambda one: one[1]):
        when = f"prediction {row:,}"
        if name == COVERAGE:
            least, usual = as_percent(_least(monitor)), as_percent(monitor.coverage)
            reason = f"fewer than {least} are accepted, of the calibration rows {usual}"
        elif name == LABELS:
            when = f"label {monitor.labelled.alarm_count:,} of the accepted, with {row:,} predictions known"
            reason = f"by their labels, more than the promised {as_percent(monitor.promised)} of the accepted are wrong"
        else:
            signal = monitor.signals[name]
            reason = f"without labels, the {signal.title} is above its limit of {as_percent(signal.limit)}"
        found.append(
            f"ALARM at {when}: {reason}. Label some of the latest, drawn at random, and calibrate anew on these."
        )
    if found:
        return found
    by = ", by overconfidence as measured, not as proved" if monitor.on == OVERCONFIDENCE else ""
    drawn = "While predictions are drawn independently, as the calibration rows were"
    return [
        f"No alarm. {drawn}, there is ever a false one with a probability of at most {as_percent(monitor.delta)}{by}."
    ]


def _least(monitor: Monitor) -> float:
    """Return the coverage below which there is an alarm."""
    return 1 - monitor.signals[COVERAGE].limit


def _counted(count: FileCount) -> Iterator[str]:
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


def _standing(monitor: Monitor) -> Iterator[str]:
    if not monitor.rows:
        return
    least, usual = as_percent(_least(monitor)), as_percent(monitor.coverage)
    found = _since(monitor, monitor.accepted / monitor.rows, monitor.coverage_interval)
    latest = _latest(monitor.means[COVERAGE], lambda value: 1 - value)
    yield f"Accepted: {found}{latest}; limit {least}, of the calibration rows {usual}."
    for name, signal in monitor.signals.items():
        mean = monitor.mean(name)
        if mean is not None and name != COVERAGE:
            about = f"limit {as_percent(signal.limit)}, of the calibration rows {as_percent(signal.usual)}"
            shown = signal.title[0].upper() + signal.title[1:]
            latest = _latest(monitor.means[name], signal.unscaled)
            yield f"{shown}: {_since(monitor, mean, monitor.interval(name))}{latest}; {about}."
    risk = monitor.labelled.mean
    if risk is not None:
        found = _since(monitor, risk, monitor.labelled.interval(monitor.delta))
        found, promised = found + _latest(monitor.labelled), as_percent(monitor.promised)
        yield f"Risk of the accepted by {monitor.labelled.count:,} labels: {found}; promised {promised}."


def _accuracy(monitor: Monitor) -> Iterator[str]:
    known = {name: value for name, value in monitor.accuracy.items() if value is not None}
    if known:
        parts = (f"{as_percent(value)} ({name})" for name, value in known.items())
        yield f"Accuracy on all, estimated without labels: {', '.join(parts)}."
    if monitor.labels:
        bounds = mean_interval(monitor.correct, monitor.labels, monitor.delta)
        found = _since(monitor, monitor.correct / monitor.labels, bounds)
        yield f"Accuracy on all by {monitor.labels:,} labels: {found}."


def _since(monitor: Monitor, value: float, interval: tuple[float, float]) -> str:
    """Return a mean of all so far, with its interval as long as there is no alarm: it holds if nothing changes."""
    low, high = map(as_percent, interval)
    return as_percent(value) if monitor.alarms else f"{as_percent(value)} ({low} to {high})"


def _latest(mean: RunningMean, unscaled: Callable[[float], float] = float) -> str:
    if mean.latest is None:
        return ""
    count, value = mean.latest
    return f", of the latest {count:,}: {as_percent(unscaled(value))}"
