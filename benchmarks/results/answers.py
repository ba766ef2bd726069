"""Which answers of language models to trust, by several signals: the fused oracle next to what people use.

Run ``python -m benchmarks.results answers --data FOLDER``. The folder has ``calibration_results`` of
github.com/shuoli90/Rank-Calibration (MIT) and ``features.csv`` of
github.com/ramyamanasa/multisignal-abstention-calibration (MIT).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.results.kept_rows import Row, write_results
from steepslope import ClassifierOutputs, FusedOracle, Gate
from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc, auroc
from steepslope.report import Cell, Grid, grid_in_markdown
from steepslope_lab.paper.tables import grouped_rows

DECIDED_BY = ("oracle", "promise")
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
OPEN_QUESTIONS = {
    "NQ, gpt-3.5": "gpt-3.5-turbo_nq-open_1.0",
    "NQ, Llama-2 7B chat": "Llama-2-7b-chat-hf_nq-open_1.0",
    "NQ, Llama-2 7B chat, cooler": "Llama-2-7b-chat-hf_nq-open_0.6",
    "NQ, Llama-2 7B": "Llama-2-7b-hf_nq-open_0.6",
}
FILES = ("agreement_blackbox", "disagreement_blackbox", "none_whitebox")
OWN = {"NQ": "normalized_nll", "QA": "mean_entropy"}  # the model's own signal, which plays MCP
LEAST_OVERLAP = 0.5  # ROUGE-1 of the first sample with a reference, above which it counts as right
SPLITS = 5
RISKS = (0.2, 0.4)
PERCENT = 100
THOUSAND = 1000
NOTE = (
    "Thirds of the rows to fit, to calibrate and to judge; five splits; the same gate for all. *Own* is the model's "
    "own log-probability (or entropy of tokens), *best single* the signal of least AURC on the fit rows. AUC in "
    "percent, AURC in thousandths (lower is better; lowest in bold). *Accepted*: percent at such a promise, and in "
    "brackets how many of five splits broke it. Answers count as right where ROUGE-1 of the first sample exceeds .5 "
    "(NQ), or as the authors marked them (QA)."
)


def answers(data: str, out: str = "results/answers") -> None:
    """Rank the answers of each set by all methods, gate them, and write rows.json and table.md.

    Parameters
    ----------
    data
        Folder with calibration_results and features.csv.
    out
        Folder for the results.
    """
    rows: list[Row] = []
    for title, signals, is_correct in sets_of_answers(Path(data)):
        for seed in range(SPLITS):
            rows += rows_of_split(title, signals, is_correct, seed)
        write_results(out, DECIDED_BY, rows, table(rows))


def sets_of_answers(folder: Path) -> Iterator[tuple[str, Mapping[str, Floats], Bools]]:
    """Yield each set's title, its signals (n,) by name, and which answers are right (n,)."""
    for title, name in OPEN_QUESTIONS.items():
        signals: dict[str, Floats] = {}
        for kind in FILES:
            records = _records(folder / "calibration_results" / f"calibrate_{name}_{kind}.json")
            for key in sorted(records[0].keys() - {"idx"}):
                values = [_first(record[key]) for record in records]
                signals[f"{key} ({kind.partition('_')[0]})" if kind != FILES[-1] else key] = np.array(values)
        overlap = _records(folder / "calibration_results" / f"{name}_rouge1.json")  # in another order, by id
        of_question = {int(one["id"]): _first(one["normalized_score"]) for one in overlap}
        yield title, signals, np.array([of_question[row] > LEAST_OVERLAP for row in range(len(of_question))])
    with (folder / "features.csv").open(encoding="utf-8") as file:
        lines = [*csv.DictReader(file)]
    names = [name for name in lines[0] if name not in ("question_id", "question", "answer", "is_hallucination")]
    columns = {name: np.array([float(line[name] or "nan") for line in lines]) for name in names}
    yield "QA, five signals", columns, np.array([line["is_hallucination"] == "0" for line in lines])


def _records(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        raise SteepslopeError("expected a file of Rank-Calibration, found none", path)
    records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return records


def _first(value: Any) -> float:
    """Return a number, or the first of a list, which may be text; it is that of the answer that is judged."""
    if isinstance(value, str):
        value = json.loads(value.replace("nan", "NaN").replace("inf", "Infinity"))
    return float(value[0] if isinstance(value, list) else value)


def rows_of_split(title: str, signals: Mapping[str, Floats], is_correct: Bools, seed: int) -> list[Row]:
    """Return a row a method: how it ranks the last third, and what a gate on it accepts."""
    fit, calibration, test = np.array_split(np.random.default_rng(seed).permutation(len(is_correct)), 3)
    columns = np.nan_to_num(np.column_stack([*signals.values()]), nan=0.0, posinf=1e6, neginf=-1e6)
    right = is_correct[test]
    rows = []
    for name, confidence in confidences(title, signals, columns, is_correct, fit, seed).items():
        row: Row = {"set": title, "method": name, "seed": seed, "n": len(is_correct), "right": float(is_correct.mean())}
        row |= {"auc": auroc(confidence[test], right), "aurc": aurc(confidence[test], right)}
        for risk in RISKS:
            gate = Gate.calibrate(confidence[calibration], is_correct[calibration], risk)
            accepted = gate.accepts(confidence[test])
            wrong = float((~right[accepted]).mean()) if accepted.any() else 0.0
            row |= {f"accepted at {risk:g}": float(accepted.mean()), f"wrong at {risk:g}": wrong}
        rows.append(row)
    return rows


def confidences(
    title: str, signals: Mapping[str, Floats], columns: Floats, is_correct: Bools, fit: NDArray[np.int64], seed: int
) -> dict[str, Floats]:
    """Return each method's confidence (n,) in the answers, learnt on the fit rows alone."""
    own = columns[:, [*signals].index(OWN[title[:2]])]
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
    trees = HistGradientBoostingClassifier(random_state=seed)
    graded = ClassifierOutputs.from_graded(dict(signals), is_correct)  # as docs/your-data.md shows it
    oracle = FusedOracle(errors="crossfit").fit(graded.subset(fit))
    return {
        "own": -own,
        "best single": best_single(columns, is_correct, fit),
        "logistic regression": linear.fit(columns[fit], is_correct[fit]).predict_proba(columns)[:, 1],
        "boosting": trees.fit(columns[fit], is_correct[fit]).predict_proba(columns)[:, 1],
        "fused": np.asarray(oracle.trust_logit(graded), np.float64),
    }


def best_single(columns: Floats, is_correct: Bools, fit: NDArray[np.int64]) -> Floats:
    """Return the signal, or its negative, of least AURC on the fit rows."""
    both = [sign * column for column in columns.T for sign in (1, -1)]
    return min(both, key=lambda one: aurc(one[fit], is_correct[fit]))


def table(rows: Sequence[Row]) -> str:
    """Return a line a set, with columns for each method: how it ranks, and then what is accepted."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    ranks, accepted = [], []
    for title, same in grouped_rows(rows, "set").items():
        of_method = {name: [row for row in same if row["method"] == name] for name in methods}
        lowest = min(methods, key=lambda name: _mean(of_method[name], "aurc"))
        areas = {name: _areas(of_method[name]) for name in methods} | {lowest: f"**{_areas(of_method[lowest])}**"}
        right = f"{PERCENT * _mean(same, 'right'):.0f}"
        ranks.append([*map(Cell, [title, right, *areas.values()])])
        shares = ["; ".join(_accepted(of_method[name], risk) for risk in RISKS) for name in methods]
        accepted.append([*map(Cell, [title, *shares])])
    first = Grid("Answers of language models: AUC; AURC", ["answers", "right", *methods], ranks, "")
    second = Grid("Answers of language models: accepted at 20; 40 %", ["answers", *methods], accepted, NOTE)
    return f"{grid_in_markdown(first).rstrip()}\n\n{grid_in_markdown(second)}"


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _areas(rows: Sequence[Mapping[str, Any]]) -> str:
    return f"{PERCENT * _mean(rows, 'auc'):.1f}; {THOUSAND * _mean(rows, 'aurc'):.0f}"


def _accepted(rows: Sequence[Mapping[str, Any]], risk: float) -> str:
    broken = sum(row[f"wrong at {risk:g}"] > risk for row in rows)
    return f"{PERCENT * _mean(rows, f'accepted at {risk:g}'):.0f} ({broken})"
