"""A preset from files to rows on disk: one JSON file a data set, one row a seed; what is there is kept."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.files import (
    Notice,
    digest_of,
    field,
    fingerprint,
    imported_by_name,
    locked,
    read_json,
    silent,
    staged_folder,
)
from steepslope.metrics import aurc
from steepslope.score_benchmark import DIGITS, measured_lines
from steepslope_lab.behaviour import made_by
from steepslope_lab.benchmark.estimates import estimate_errors
from steepslope_lab.benchmark.lines import (
    AVERAGE,
    BEST,
    BOOSTED,
    MCP,
    METRICS,
    STACKED,
    Ranked,
    classifiers_in_its_place,
    line_with_opinions,
    lines_in_brief,
    opinions_measured,
    ranked_lines,
)
from steepslope_lab.benchmark.preset import Preset
from steepslope_lab.benchmark.promises import promised_by_gates
from steepslope_lab.benchmark.rows import files_of_rows
from steepslope_lab.benchmark.trial import FREE, TEST, Trial, judged_part, trial_of
from steepslope_lab.paper.methods import best_score, least_aurc

EXPECTED = "rows of evidence"
DECIDED_BY = ("oracle", "promise", "trusted")
COMPARED_WITH = MCP, BEST, AVERAGE, STACKED, BOOSTED, FREE
VERSION = 3  # to be raised when rows come to mean something else


def run_preset(preset: Preset, folder: Path, out: Path, work: Path, notice: Notice = silent) -> list[dict[str, Any]]:
    """Measure all seeds that the file NAME.json in ``out`` lacks, adding a row after each, and return all rows.

    Raises
    ------
    SteepslopeError
        If files of the data set are missing, or the file is broken, or has rows of other settings or data.
    """
    path = out / f"{preset.name}.json"
    key = digest_of({"version": VERSION, **preset.as_json()})
    about = {"title": preset.title, "kind": preset.kind, "source": preset.source, "note": preset.note, "key": key}
    about["data"] = digest_of_data_files(preset, folder)
    out.mkdir(parents=True, exist_ok=True)
    with locked(work):
        for seed in preset.seeds:
            if any(row["seed"] == seed for row in _rows_of_evidence(path, about)):
                notice(f"{preset.name}: seed {seed} is complete")
                continue
            row = row_of_trial(preset, trial_of(preset, folder, work, seed, notice), seed)
            # another run may have added some
            rows = [*(one for one in _rows_of_evidence(path, about) if one["seed"] != seed), row]
            made = {"made by": made_by(*DECIDED_BY)}
            with staged_folder(out, last=path.name) as staging:
                text = json.dumps({**about, **made, "rows": rows}, ensure_ascii=False, allow_nan=False)
                (staging / path.name).write_text(text.replace('{"seed"', '\n{"seed"') + "\n", encoding="utf-8")
            notice(f"{preset.name}: seed {seed} is done")
    return _rows_of_evidence(path, about)


def digest_of_data_files(preset: Preset, folder: Path) -> str:
    """Return a digest of the files of rows; empty for images, of which ``work`` knows, and where a file is missing."""
    paths = [folder / name for read in (preset.read, *preset.shifted.values()) for name in files_of_rows(read)]
    if not paths or not all(path.exists() for path in paths):
        return ""
    files = [file for path in paths for file in [path, *sorted(path.rglob("*"))] if file.is_file()]
    return digest_of([fingerprint(file) for file in files])


def _rows_of_evidence(path: Path, about: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rows of earlier runs; raise if they are of other settings, or of other files."""
    if not path.exists():
        return []
    content = read_json(path, EXPECTED)
    rows = list(field(content, "rows", list, path))
    is_other_data = about["data"] and content.get("data") and content["data"] != about["data"]
    other = "settings" if content.get("key") != about["key"] else "data" if is_other_data else None
    if other:
        raise SteepslopeError(f"has rows of other {other}: remove it, or name another folder with --out", path)
    return rows


def row_of_trial(preset: Preset, trial: Trial, seed: int) -> dict[str, Any]:
    """Return all that is measured in one trial."""
    test = trial.judged[TEST]
    risks = least_aurc(trial.known, trial.reference, seed)
    rivals = {line: imported_by_name(spec) for line, spec in preset.rivals.items()}
    lines = ranked_lines(trial, test, risks, rivals)
    others = classifiers_in_its_place(trial, test.outputs)
    right = test.outputs.is_correct
    with_opinions = line_with_opinions(lines)
    gated = {name: Ranked(lines[name], right) for name in (MCP, BEST, AVERAGE, FREE, with_opinions) if name in lines}
    return {
        "seed": seed,
        "n": len(right),
        "classes": test.outputs.num_classes,
        "errors": int((~right).sum()),
        "known": len(trial.known),
        "part": judged_part(preset),
        "accuracy": _rate_of_correct(right),
        "best": best_score(risks),
        "lines": measured_lines(lines, right, COMPARED_WITH, METRICS, seed, preset.resamples),
        "in its place": {
            name: {"accuracy": _rate_of_correct(one.is_correct), "aurc": round(aurc(*one), DIGITS)}
            for name, one in others.items()
        },
        "gates": promised_by_gates({**gated, **others}, FREE, seed),
        "opinions": opinions_measured(test.outputs),
        "seconds": dict(trial.seconds),
        "shifted": {name: shifted_row(trial, name, risks) for name in trial.judged if name != TEST},
    }


def shifted_row(trial: Trial, name: str, risks: Mapping[str, float]) -> dict[str, Any]:
    """Return what is measured on shifted rows: how lines rank, and how far estimates of the accuracy are off."""
    rows = trial.judged[name]
    right = rows.outputs.is_correct
    return {
        "n": len(right),
        "accuracy": _rate_of_correct(right),
        "lines": lines_in_brief(ranked_lines(trial, rows, risks), right),
        "estimates": estimate_errors(trial, name),
    }


def _rate_of_correct(is_correct: NDArray[np.bool_]) -> float:
    return round(float(is_correct.mean()), DIGITS)
