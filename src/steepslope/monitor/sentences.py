"""How a gate at work stands, in sentences for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from steepslope.gate.certificate import as_percent
from steepslope.monitor.bounds import mean_interval
from steepslope.monitor.counting import FileCount
from steepslope.monitor.monitor import COVERAGE, LABELS, OVERCONFIDENCE, Monitor

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
            lost = monitor.signals[COVERAGE]
            least, usual = as_percent(lost.shown(lost.limit)), as_percent(monitor.coverage)
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
    for name in sorted(monitor.signals, key=lambda name: name != COVERAGE):
        signal, mean, latest = monitor.signals[name], monitor.mean(name), monitor.means[name].latest
        if mean is not None:
            recent = None if latest is None else (latest[0], signal.shown(signal.unscaled(latest[1])))
            found = _since(monitor, signal.shown(mean), map(signal.shown, monitor.interval(name)), recent)
            limit, usual = as_percent(signal.shown(signal.limit)), as_percent(signal.shown(signal.usual))
            title = signal.title[0].upper() + signal.title[1:]
            yield f"{title}: {found}; limit {limit}, of the calibration rows {usual}."
    risk = monitor.labelled.mean
    if risk is not None:
        interval, promised = monitor.labelled.interval(monitor.delta), as_percent(monitor.promised)
        found = _since(monitor, risk, interval, monitor.labelled.latest)
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


def _since(monitor: Monitor, value: float, interval: Iterable[float], latest: tuple[int, float] | None = None) -> str:
    """Return a mean of all so far, and that of the latest of so many.

    Its interval stands beside it as long as there is no alarm: it holds if nothing changes.
    """
    low, high = map(as_percent, sorted(interval))
    found = as_percent(value) if monitor.alarms else f"{as_percent(value)} ({low} to {high})"
    return found if latest is None else f"{found}, of the latest {latest[0]:,}: {as_percent(latest[1])}"
