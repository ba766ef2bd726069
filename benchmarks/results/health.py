"""The health of gates, measured on data of ``reproduce evidence``: as they were, later in time, of other sources.

A gate is calibrated on a half of the rows that a preset judges; streams are the other half, and each of the preset's
shifted sets. Run ``python -m benchmarks.results health --help``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.kept_rows import Row, kept_rows, write_results
from steepslope.files import read_json
from steepslope.gate import Gate, likeliest_class
from steepslope.monitor import LABELS, Monitor
from steepslope.numerics import binomial_interval
from steepslope.outputs import UNKNOWN_NAME
from steepslope.promise import CalibrationRows
from steepslope.report import Cell, Grid, grid_in_markdown
from steepslope_lab.benchmark.preset import Preset, read_evidence_preset
from steepslope_lab.benchmark.trial import FREE, TEST, JudgedRows, trial_of
from steepslope_lab.paper.tables import grouped_rows

DECIDED_BY = ("oracle", "promise", "monitor", "trusted")
CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip
SHIFTED: dict[str, dict[str, Any]] = {  # by preset, where it is not what the preset's own file has
    "cifar10-resnet20": {
        f"{kind} {severity}": {"labelled": f"corrupt:{kind}:{severity}/imagefolder:FOLDER/test"}
        for kind in CORRUPTIONS
        for severity in (1, 3)
    },
    "electricity": {"later": {"rows": [12_000, 45_312]}},
    "weather": {"later": {"rows": [6_000, 18_159]}},
    "basketball": {"later seasons": {"only": {"season": [*range(2019, 2023)]}}},
}
KNOWN: dict[str, dict[str, Any]] = {  # what of a preset's rows comes before those
    "electricity": {"rows": [0, 12_000]},
    "weather": {"rows": [0, 6_000]},
    "basketball": {"only": {"season": [2016, 2017, 2018]}},
}
UNKNOWN = "+unknown"  # suffix of a preset's name: some of its rows are replaced by out-of-class ones
# Data sets that are mixed in, by preset.
OTHERS: dict[str, dict[str, Any]] = {
    "banking77": {
        "questions (TREC)": {
            "format": "lines",
            "files": ["TREC.train.all"],
            "label": "label",
            "labels": dict.fromkeys("012345", UNKNOWN_NAME),
            "text": "text",
        }
    },
    "cifar10-resnet20": {"Tiny ImageNet": {"labelled": "imagefolder:FOLDER/tiny-imagenet"}},
}
SHARES = 0.05, 0.2  # of rows that come from the other data set
IN_TIME = (*KNOWN,)  # streams that come as they were; others are drawn
RISKS = (0.02, 0.05, 0.1, 0.2, 0.3)
LEAST_COVERAGE = 0.3  # of the lowest of these risks that is promised
VERSION = 4  # to be raised when rows come to mean something else
DELTA, CLEAN = 0.1, "as it was"
BATCH, ORDERS = 1_500, 20
HEADINGS = ["data", "stream", "promised, %", "accepted, %", "risk", "promise", "batch", "missed",
            "accepted until changed", "labels until harmful"]  # fmt: skip
Rows = NDArray[np.int64]
NOTE = (
    "Gates of the free fused oracle, at delta 10 %, for the lowest of 2, 5, 10, 20 and 30 % at which at least 30 % are "
    "accepted (else 30 %); means over seeds. *Risk* is that of the accepted in the whole stream, in percent; it is "
    "*broken* where the lower 95 % bound lies above the promise, kept where the risk does not, else unclear. *Batch* "
    f"is in how many of {ORDERS} batches a seed of {BATCH:,} rows (of all, where there are fewer) `predict` says "
    "changed; *missed* are the others whose risk has its lower 95 % bound above the promise; *accepted until changed* "
    "is the median over orders of the stream, and *labels until harmful* that of the labels, where each accepted row "
    "is labelled at once; – where that is not in more than half of the orders. Of *NAME+unknown*, so many percent of "
    "the rows are of the data set in the second column, and of none of the classes. Rows of electricity, weather and "
    "basketball come in their own order, and batches of these are neighbouring rows."
)


def health(
    preset: str, data: str, work: str = "runs", out: str = "results/health", seeds: tuple[int, ...] = (0, 1, 2)
) -> None:
    """Measure the health of one preset's gates, and write rows.json and table.md of all presets measured so far.

    Parameters
    ----------
    preset
        Name of a preset, as reproduce evidence takes it, or that name and "+unknown", which mixes in out-of-class rows.
    data
        Folder of its data set.
    work
        Folder for outputs of nets, and what is counted.
    out
        Folder for the results.
    seeds
        Seeds of splits.
    """
    found = replace(
        of_health(read_evidence_preset(preset.removesuffix(UNKNOWN)), preset.endswith(UNKNOWN)), name=preset
    )
    for seed in seeds:
        folder = Path(work) / "health" / preset / str(seed)
        make = partial(seed_rows, found, Path(data), Path(work) / preset.removesuffix(UNKNOWN), seed)
        kept_rows(folder, {"preset": found.as_json(), "seed": seed, "orders": ORDERS, "version": VERSION}, make)
    kept = [read_json(path, "rows of health") for path in sorted((Path(work) / "health").glob("*/*/rows.json"))]
    rows = [row for one in kept if one["key"].get("version") == VERSION for row in one["rows"]]
    write_results(out, DECIDED_BY, rows, table(rows))


def of_health(preset: Preset, mixed: bool) -> Preset:
    """Return a preset without opinions, whose shifted sets are those of this benchmark, or the data sets to mix in."""
    if mixed:
        return replace(preset, shifted=OTHERS[preset.name], opinions={})
    read = {**preset.read, **KNOWN.get(preset.name, {})}
    return replace(preset, read=read, shifted=SHIFTED.get(preset.name, preset.shifted), opinions={})


def seed_rows(preset: Preset, data: Path, work: Path, seed: int) -> list[Row]:
    """Return a row a stream of one split."""
    trial = trial_of(preset, data, work, seed, print)
    usual = trial.judged[TEST]
    known, new = np.array_split(np.random.default_rng(seed).permutation(len(usual.outputs)), 2)
    gate = gate_of(usual, known)
    rows = subset(judged(gate, usual), known)
    streams = {CLEAN: subset(judged(gate, usual), new)}
    others = {name: judged(gate, one) for name, one in trial.judged.items() if name != TEST}
    streams |= (
        others
        if not preset.name.endswith(UNKNOWN)
        else {
            f"{share:.0%} {name}": mixture(streams[CLEAN], one, share, seed)
            for name, one in others.items()
            for share in SHARES
        }
    )
    about = {"preset": preset.name, "seed": seed, "max_risk": gate.promised_risk, "n": len(known)}
    return [
        {**about, "stream": name, **stream_row(gate, rows, one, preset.name in IN_TIME and name != CLEAN)}
        for name, one in streams.items()
    ]


def gate_of(rows: JudgedRows, known: Rows) -> Gate:
    """Return the gate that is calibrated on some of the rows, for the lowest risk at which enough are accepted."""
    for risk in RISKS:
        right = rows.outputs.is_correct[known]
        gate = Gate.calibrate(rows.fused[FREE][known], right, risk, DELTA, of_log_odds=True)
        if gate.promises[0].is_given and gate.coverage >= LEAST_COVERAGE:
            break
    return gate


def judged(gate: Gate, rows: JudgedRows) -> CalibrationRows:
    """Return what a gate makes of labelled rows."""
    confidence = rows.fused[FREE]
    p_correct, accepted = gate.p_correct(confidence), gate.accepts(confidence)
    return CalibrationRows(p_correct, accepted, is_correct=rows.outputs.is_correct, **likeliest_class(rows.outputs))


def subset(rows: CalibrationRows, chosen: Rows) -> CalibrationRows:
    """Return some rows, by numbers."""
    return CalibrationRows(**{name: array[chosen] for name, array in rows.arrays().items()})


def mixture(rows: CalibrationRows, others: CalibrationRows, share: float, seed: int) -> CalibrationRows:
    """Return a sample of rows with a sample of others, which make up a share of the result."""
    draw = np.random.default_rng(seed)
    count = min(len(others), round(len(rows) * share / (1 - share)))
    kept = draw.permutation(len(rows))[: round(count * (1 - share) / share)]
    parts = subset(rows, kept).arrays(), subset(others, draw.permutation(len(others))[:count]).arrays()
    return CalibrationRows(**{name: np.concatenate([one[name] for one in parts]) for name in parts[0]})


def watched(gate: Gate, known: CalibrationRows, rows: CalibrationRows) -> Monitor:
    """Return the monitor of a gate after some rows, all accepted ones of which are labelled at once."""
    monitor = Monitor.of(gate, rows=known)
    monitor.update(rows.p_correct, rows.accepted, rows.probability, rows.predicted)
    monitor.label(rows.is_correct, rows.accepted, 1 + np.arange(len(rows)))
    return monitor


def stream_row(gate: Gate, known: CalibrationRows, rows: CalibrationRows, in_time: bool) -> Row:
    """Return what is true of a stream, and what is said of it: of batches, and of it as a whole, in several orders."""
    n, accepted = len(rows), int(rows.accepted.sum())
    errors = int((~rows.is_correct[rows.accepted]).sum())
    batches, missed, changed, harmful = [], [], [], []
    for order in range(ORDERS):
        draw = np.random.default_rng([order, n])
        start = draw.integers(max(1, n - BATCH + 1)) if in_time else 0
        drawn = np.arange(n) if in_time else draw.permutation(n)
        batch = draw.permutation(drawn[start : start + BATCH])  # predict draws the order within a file
        one, whole = (watched(gate, known, subset(rows, chosen)) for chosen in (batch, drawn))
        batches.append(any(name != LABELS for name in one.alarms))
        wrong = int((~rows.is_correct[batch][rows.accepted[batch]]).sum())
        low, _ = binomial_interval(wrong, int(rows.accepted[batch].sum()))
        missed.append(low > gate.promised_risk and not batches[-1])
        first = min((row for name, row in whole.alarms.items() if name != LABELS), default=None)
        changed.append(None if first is None else int(rows.accepted[drawn[:first]].sum()))
        harmful.append(whole.labelled.alarm_count)
    accuracy = float(rows.is_correct.mean())
    return {
        "rows": n, "accepted": accepted, "errors": errors, "coverage": gate.coverage, "accuracy": accuracy,
        "batches": sum(batches), "missed": sum(missed), "changed": changed, "harmful": harmful,
        "estimate": float(rows.p_correct.mean()) - accuracy,  # which a monitor no longer shows after a change
    }  # fmt: skip


def state_of(row: Mapping[str, Any]) -> str:
    """Return whether a stream breaks the promise: broken, kept or unclear."""
    low, _ = binomial_interval(row["errors"], row["accepted"])
    kept = row["errors"] <= row["max_risk"] * row["accepted"]
    return "broken" if low > row["max_risk"] else "kept" if kept else "unclear"


def table(rows: Sequence[Row]) -> str:
    """Return the tables: streams, and how far estimates of accuracy without labels are off."""
    return "\n".join(
        [grid_in_markdown(Grid("Health", HEADINGS, [*_lines(rows)], NOTE)), grid_in_markdown(_estimates(rows))]
    )


def _lines(rows: Sequence[Row]) -> Iterator[list[Cell]]:
    for (preset, stream), some in grouped_rows(rows, "preset", "stream").items():
        risk = sum(row["errors"] for row in some) / max(1, sum(row["accepted"] for row in some))
        promised, states = {100 * row["max_risk"] for row in some}, [state_of(row) for row in some]
        coverage = [100 * row["accepted"] / row["rows"] for row in some]
        usual = 100 * np.mean([row["coverage"] for row in some])
        told = f"{sum(row['batches'] for row in some)} of {ORDERS * len(some)}"
        missed = sum(row["missed"] for row in some)
        yield [
            Cell(text)
            for text in (
                preset, stream, ", ".join(f"{one:g}" for one in sorted(promised)),
                f"{usual:.0f} → {np.mean(coverage):.0f}", f"{100 * risk:.1f}",
                ", ".join(states) if len({*states}) > 1 else states[0], told, f"{missed}",
                _median(some, "changed"), _median(some, "harmful"),
            )
        ]  # fmt: skip


def _median(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    values = [np.inf if one is None else float(one) for row in rows for one in row[name]]
    middle = float(np.median(values))
    return f"{middle:,.0f}" if np.isfinite(middle) else "–"


def _estimates(rows: Sequence[Row]) -> Grid:
    """Return the mean absolute error of the estimate, in points: by preset, as it was and shifted."""
    lines = []
    for preset, some in grouped_rows(rows, "preset").items():
        for name, part in ((CLEAN, [one for one in some if one["stream"] == CLEAN]),
                           ("shifted", [one for one in some if one["stream"] != CLEAN])):  # fmt: skip
            errors = [abs(100 * one["estimate"]) for one in part]
            lines.append([Cell(f"{preset}, {name}"), Cell(f"{np.mean(errors):.1f}" if errors else "–")])
    note = (
        "Mean absolute error, in points, of the mean P(correct) of all rows as an estimate of the accuracy, without "
        "labels."
    )
    return Grid("Accuracy without labels", ["", "error"], lines, note)
