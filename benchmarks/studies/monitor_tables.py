"""The tables of the monitor's measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.studies.monitor_delays import CLEAN_ROWS, SHIFTED_ROWS
from benchmarks.studies.monitor_false_alarms import DELTA, WORLDS
from benchmarks.studies.monitored_streams import CLEAN
from steepslope.gate.certificate import interval
from steepslope.monitor import ESTIMATORS, SIGNALS
from steepslope.paper.tables import grouped
from steepslope.report.grid import Cell, Grid, markdown
from steepslope.report.style import BLUE, GREEN, GREY, MARKERS, PAGE_WIDTH, VERMILION, legend_below, styled

Row = Mapping[str, Any]
Rows = Sequence[Row]
METHODS = {
    "overconfidence": "overconfidence", "coverage": "coverage", "risk": "estimated risk", "ks": "KS test",
    "either": "either", "labels": "labels", "mapie": "MAPIE, labels",
}  # fmt: skip
EITHER = "either"  # of the alarms without labels that there are by default
MOST = 5  # orders
ALL_SHIFTS = ("overconfidence", "coverage", EITHER, "risk", "ks", "labels")  # the methods that all shifts are given to
FALSE = (
    f"Alarms in runs without a shift, delta {DELTA:g}: each draws its calibration rows, calibrates a gate on them, "
    "which fix thresholds and P(correct) too, and monitors a stream of the same world. *any* is the alarm as it is "
    "by default: by overconfidence, coverage or labels. With labels, an alarm is false only where the true risk is "
    "within the promise, which a gate breaks in at most delta of the runs; *false* counts those. *promised* are the "
    "runs whose gate promises anything, *broken* those of them whose promise does not hold. The longer streams have "
    "the gates of the shorter ones of their world."
)
DELAY = (
    f"Predictions from the shift to the alarm: median and, in brackets, the 10 and 90 % quantiles over 20 orders of a "
    f"stream of {CLEAN_ROWS:,} clean and then {SHIFTED_ROWS:,} shifted rows, drawn from 2,500; – where half of the "
    "orders or more had no alarm. Labels come at once, of all accepted rows. Each of 250 rows is tested by the KS test "
    "at once, so it needs at least as many. *risk* is the true risk of the accepted, in percent, "
    "*accepted* their part of all shifted rows."
)
CAUGHT = (
    "Of the shifts that break the promise (*harmful*: the true risk of the accepted is above it, *clearly* where its "
    "lower 95 % bound is), and of the others, those with an alarm in most orders of the stream."
)
AUC = (
    "How well what can be known without labels tells a shift that breaks the promise from one that does not: AUC over "
    "shifts. Overconfidence of all, and its tolerance, were chosen on the last column alone; the alarm on coverage was "
    "added after the corruptions had shown what overconfidence misses. One classifier and calibration set, no "
    "intervals."
)
ERROR = "Mean absolute error of estimates of accuracy without labels, in points; in brackets the mean error."


def tables(measured: Mapping[str, Rows]) -> str:
    """Return all tables in Markdown."""
    parts = [
        "One classifier and oracle of Fashion-MNIST (92.5 % right), gates calibrated on 5,000 test rows, streams from "
        "the others; several orders of each stream.",
        FALSE, markdown(_false_alarms(measured["false_alarms"])),
        DELAY, *(markdown(grid) for grid in _delays(measured["delays"])),
        CAUGHT, markdown(_caught(measured["shifts"])),
        "The corruptions that leave the promise as it is, brightness first:",
        *(markdown(grid) for grid in _harmless(measured["shifts"])),
        AUC, *(markdown(grid) for grid in _candidates(measured["candidates"])),
        ERROR, markdown(_errors(measured["shifts"])),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _false_alarms(rows: Rows) -> Grid:
    lines = [
        [Cell(WORLDS[row["world"]].title), Cell(f"{row['n']:,}"), Cell(f"{row['length']:,}"), Cell(f"{row['runs']:,}")]
        + [Cell(str(row[name])) for name in ("promised", "broken", "overconfidence", "risk", "coverage", "labels")]
        + [Cell(str(row["false_labels"])), Cell(str(row["any"])), Cell(str(row["false_any"]))]
        for row in rows
    ]
    titles = ["world", "rows", "stream", "runs", "promised", "broken", "overconfidence", "estimated risk"]
    return Grid("False alarms", [*titles, "coverage", "labels", "false", "any", "false"], lines)


def _delays(rows: Rows) -> Iterator[Grid]:
    for risk, some in grouped(rows, "max_risk").items():
        methods = [name for name in METHODS if name in some[0]["methods"]]
        lines = [
            [Cell(row["shift"].removeprefix("corrupt:")), _percent(row["risk"]), Cell(f"{row['coverage']:.2f}")]
            + [_delay(row["methods"][name]) for name in methods]
            for row in some
        ]
        titles = ["shift", "risk", "accepted", *(METHODS[name] for name in methods)]
        yield Grid(f"Delay, {100 * risk:g} % promised", titles, lines)


def _delay(found: Row) -> Cell:
    early = f"{found['early']} before the shift" if found["early"] else ""
    if found.get("q50") is None:
        return Cell("–", f"({found['alarms']} of {found['orders']})" if found["alarms"] else early)
    late = "∞" if found["q90"] is None else f"{found['q90']:,}"
    return Cell(f"{found['q50']:,}", f"({found['q10']:,}–{late}) {early}".rstrip())


def _caught(rows: Rows) -> Grid:
    lines = []
    for (risk, group), some in grouped([row for row in rows if row["group"] != "clean"], "max_risk", "group").items():
        for kind, chosen in kinds_of(some, risk).items():
            counts = [Cell(str(caught_by(chosen, name))) for name in ALL_SHIFTS]
            lines.append([Cell(f"{100 * risk:g} %"), Cell(group), Cell(kind), Cell(str(len(chosen))), *counts])
    titles = ["promised", "shifts", "", "number", *(METHODS[name] for name in ALL_SHIFTS)]
    return Grid("Alarms by shift", titles, lines)


def kinds_of(rows: Rows, risk: float) -> dict[str, Rows]:
    """Return the shifts that break a promise, clearly or not, and those that do not; and the stream without a shift."""
    shifted = [row for row in rows if row["group"] != CLEAN]
    kinds = {
        "clearly harmful": [row for row in shifted if _low(row) > risk],
        "harmful, not clearly": [row for row in shifted if row["risk"] > risk >= _low(row)],
        "harmless": [row for row in shifted if row["risk"] <= risk],
        CLEAN: [row for row in rows if row["group"] == CLEAN],
    }
    return {kind: chosen for kind, chosen in kinds.items() if chosen or kind != CLEAN}


def _low(row: Row) -> float:
    return interval(row["errors"], row["accepted"])[0]


def caught_by(rows: Rows, method: str) -> int:
    """Return in how many of some shifts a method has an alarm in most orders of the stream."""
    names = ("overconfidence", "coverage") if method == EITHER else (method,)
    return sum(max(row["alarms"][name] for name in names) > MOST // 2 for row in rows)


def _harmless(rows: Rows) -> Iterator[Grid]:
    for risk, some in grouped(rows, "max_risk").items():
        kept = [row for row in some if row["risk"] <= risk and row["shift"].startswith(("corrupt", "clean"))]
        ordered = sorted(kept, key=lambda row: ("brightness" not in row["shift"], row["shift"]))
        lines = [
            [Cell(row["shift"].removeprefix("corrupt:")), _percent(row["accuracy"]), _percent(row["coverage"])]
            + [_percent(row["risk"]), _percent(row["means"]["risk"]), _percent(row["means"]["overconfidence"])]
            + [Cell(f"{row['alarms'][name]} of 5") for name in ("overconfidence", "coverage", "risk", "ks")]
            for row in ordered
        ]
        titles = ["shift", "accuracy", "coverage", "risk", "estimated risk", "overconfidence"]
        titles += ["alarms by it", "by coverage", "by estimated risk", "by KS"]
        yield Grid(f"Harmless corruptions, {100 * risk:g} % promised", titles, lines)


def _percent(value: float | None) -> Cell:
    return Cell("–" if value is None else f"{100 * value:.1f}")


def _candidates(rows: Rows) -> Iterator[Grid]:
    for risk, some in grouped(rows, "max_risk").items():
        groups = list(dict.fromkeys(row["group"] for row in some))
        lines = [
            [Cell(name), *(Cell(f"{row['auc']:.2f}") for row in same)]
            for name, same in grouped(some, "candidate").items()
        ]
        counts = {row["group"]: f"{row['group']} ({row['harmful']} of {row['shifts']} harmful)" for row in some}
        yield Grid(f"AUC, {100 * risk:g} % promised", ["", *(counts[group] for group in groups)], lines)


def error_of(rows: Rows, estimator: str) -> Cell:
    """Return the mean absolute error of an estimate over some shifts, and the mean error, in points."""
    errors = 100 * np.array([row["estimated"][estimator] - row["accuracy"] for row in rows])
    return Cell(f"{np.abs(errors).mean():.1f}", f"({errors.mean():+.1f})")


def _errors(rows: Rows) -> Grid:
    shifted = [row for row in rows if row["max_risk"] == rows[-1]["max_risk"] and row["group"] != "clean"]
    lines = []
    for name in ESTIMATORS:
        lines.append([Cell(name), *(error_of(some, name) for some in (*grouped(shifted, "group").values(), shifted))])
    groups = [f"{group} ({len(some)})" for group, some in grouped(shifted, "group").items()]
    return Grid("Estimated accuracy", ["", *groups, f"all ({len(shifted)})"], lines)


SHOWN_RISKS = (2, 5, 10, 20, 50)  # percent
COLORS = (BLUE, VERMILION, GREEN)
TITLES = {"mean_p_correct": "mean P(correct)", "atc": "ATC", "atc_p_correct": "ATC on P(correct)", "doc": "DoC"}


@styled()
def accuracy_figure(rows: Sequence[Row], groups: Sequence[str], risk: float) -> Figure:
    """Draw estimated against true accuracy, a point a shift, a panel an estimator."""
    figure = Figure(figsize=(PAGE_WIDTH, 2.3), layout="constrained")
    panels = figure.subplots(1, len(ESTIMATORS), sharex=True, sharey=True)
    for axes, name in zip(panels, ESTIMATORS, strict=True):
        axes.set_title(TITLES[name])
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        _points(axes, rows, groups, risk, lambda row: row["accuracy"], lambda row, key=name: row["estimated"][key])
        axes.set_xlabel("accuracy")
        axes.set_aspect("equal")
    panels[0].set_ylabel("estimated")
    legend_below(figure, _handles(panels[0]))
    return figure


@styled()
def harm_figure(rows: Sequence[Row], groups: Sequence[str], risk: float) -> Figure:
    """Draw the true risk of the accepted against each signal, a point a shift, with the promise and the limits."""
    figure = Figure(figsize=(PAGE_WIDTH, 3.0), layout="constrained")
    panels = figure.subplots(1, len(SIGNALS), sharey=True)
    for axes, (name, signal) in zip(panels, SIGNALS.items(), strict=True):
        _points(axes, rows, groups, risk, lambda row, key=name: 100 * row["means"][key], lambda row: 100 * row["risk"])
        axes.axvline(100 * rows[-1]["limits"][name], color=GREY, linewidth=0.8)
        axes.axhline(100 * risk, color=GREY, linewidth=0.8)
        axes.set_xlabel(f"{signal.title}, %")
        axes.set_yscale("log")
        axes.set_yticks(SHOWN_RISKS, [f"{risk:g}" for risk in SHOWN_RISKS])
        axes.yaxis.set_minor_formatter(NullFormatter())
    panels[0].set_ylabel("risk of the accepted, %")
    legend_below(figure, _handles(panels[0]))
    return figure


def _points(axes: Axes, rows: Sequence[Row], groups: Sequence[str], risk: float, x: Any, y: Any) -> None:
    for group, color, marker in zip(groups, COLORS, MARKERS, strict=False):
        some = [row for row in rows if row["group"] == group and row["max_risk"] == risk and row["accepted"]]
        axes.plot([x(row) for row in some], [y(row) for row in some], marker, color=color, markersize=3, label=group,
                  fillstyle="none")  # fmt: skip


def _handles(axes: Axes) -> dict[str, Any]:
    handles, labels = axes.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))
