"""Small logs in the shapes that harnesses, judges and services write, with a made truth behind each answer."""

import csv
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MODEL = "acme/large-2026-05-01"


class Asked(NamedTuple):
    """A question with what a model made of it: the probability of its choice, and whether that is right."""

    row: int
    sure: float
    is_right: bool
    judge: float


def asked(count: int, seed: int = 0) -> Iterator[Asked]:
    """Yield questions: the surer the model, the likelier it is right; a judge knows a little more."""
    draw = np.random.default_rng(seed)
    for row in range(count):
        sure = float(draw.uniform(0.5, 1))
        is_right = bool(draw.uniform() < 0.2 + 0.78 * (2 * sure - 1) ** 0.5)
        yield Asked(row, sure, is_right, float(is_right + draw.normal()))


def tokens(sure: float) -> list[dict[str, Any]]:
    """Return three tokens with log-probabilities, the first with an alternative."""
    first = float(np.log(sure))
    top = [{"token": " a", "logprob": first}, {"token": " b", "logprob": float(np.log1p(-sure))}]
    further = [{"token": "n", "logprob": first / 2, "top_logprobs": []}] * 2
    return [{"token": " a", "logprob": first, "top_logprobs": top}, *further]


def write_lines(path: Path, records: list[Any]) -> Path:
    """Write records as JSON, one a line."""
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return path


def lm_eval(folder: Path, rows: list[Asked]) -> Path:
    """Write samples of a task of multiple choice, by two filters, with the run's results next to them."""
    date = "2026-05-01T10-00-00.000000"
    run = {"model_name": MODEL, "config": {"model_sha": "abc123"}}
    (folder / f"results_{date}.json").write_text(json.dumps(run), encoding="utf-8")
    records = [
        {
            "doc_id": row.row, "doc": {"question": "?"}, "target": "0" if row.is_right else "1",
            "arguments": {"gen_args_0": {"arg_0": "?", "arg_1": " A"}}, "resps": [[[str(np.log(row.sure)), "True"]]],
            "filtered_resps": [[str(np.log(row.sure)), "True"], [str(np.log1p(-row.sure)), "False"]],
            "filter": name, "metrics": ["acc", "acc_norm"], "doc_hash": "d", "prompt_hash": "p", "target_hash": "t",
            "acc": float(row.is_right), "acc_norm": 1.0,
        }
        for name in ("none", "other") for row in rows
    ]  # fmt: skip
    return write_lines(folder / f"samples_arc_easy_{date}.jsonl", records)


def inspect_samples(rows: list[Asked]) -> list[dict[str, Any]]:
    """Return the samples of a log of inspect-ai, in two epochs."""
    return [
        {
            "id": row.row, "epoch": epoch, "input": "?", "choices": ["a", "b"], "target": "a", "messages": [],
            "output": {
                "model": MODEL, "completion": "a" if epoch == 1 or row.sure > 0.75 else "b", "choices": [
                    {"message": {"role": "assistant", "content": "a"}, "stop_reason": "stop",
                     "logprobs": {"content": tokens(row.sure)}}
                ],
            },
            "scores": {
                "match": {"value": "C" if row.is_right == (epoch == 1) else "I", "answer": "a" if epoch == 1 else "b"},
                "judge": {"value": row.judge},
            },
        }
        for row in rows for epoch in (2, 1)
    ]  # fmt: skip


def inspect(folder: Path, rows: list[Asked]) -> Path:
    """Write a log of inspect-ai as one document."""
    log = {"version": 2, "status": "success", "eval": {"model": "acme/large"}, "samples": inspect_samples(rows)}
    (folder / "log.json").write_text(json.dumps(log), encoding="utf-8")
    return folder / "log.json"


def inspect_archive(folder: Path, rows: list[Asked]) -> Path:
    """Write a compressed log of inspect-ai, a member for each sample."""
    with zipfile.ZipFile(folder / "log.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"version": 2}))
        for sample in inspect_samples(rows):
            archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    return folder / "log.eval"


def helm(folder: Path, rows: list[Asked]) -> Path:
    """Write the folder of a run of HELM."""
    run = folder / "mmlu:subject=anatomy,model=acme_large"
    run.mkdir()
    spec = {"name": run.name, "adapter_spec": {"model": MODEL}}
    (run / "run_spec.json").write_text(json.dumps(spec), encoding="utf-8")
    stats = [
        {
            "instance_id": f"id{row.row}", "train_trial_index": 0, "stats": [
                {"name": {"name": "exact_match", "split": "test"}, "count": 1, "mean": float(row.is_right)},
                {"name": {"name": "f1_score", "split": "test"}, "count": 1, "mean": float(row.is_right)},
                {"name": {"name": "logprob", "split": "test"}, "count": 1, "mean": float(np.log(row.sure))},
                {"name": {"name": "num_output_tokens", "split": "test"}, "count": 1, "mean": 3.0},
            ],
        }
        for row in rows
    ]  # fmt: skip
    shown = [{"instance_id": f"id{row.row}", "predicted_text": " A", "mapped_output": "a"} for row in rows]
    (run / "per_instance_stats.json").write_text(json.dumps(stats), encoding="utf-8")
    (run / "display_predictions.json").write_text(json.dumps(shown), encoding="utf-8")
    return run


def uqlm(folder: Path, rows: list[Asked]) -> Path:
    """Write a frame of uqlm, with the user's own column of grades."""
    names = ["prompt", "response", "sampled_responses", "semantic_negentropy", "judge_1", "is_correct"]
    with (folder / "uqlm.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(["?", "a", "['a', 'b']", row.sure, row.judge, row.is_right] for row in rows)
    return folder / "uqlm.csv"


def chat(folder: Path, rows: list[Asked]) -> Path:
    """Write a batch of chat completions with log-probabilities."""
    records = [
        {
            "custom_id": f"q{row.row}", "response": {"status_code": 200, "body": {
                "id": "chatcmpl-1", "model": MODEL, "system_fingerprint": "fp_1", "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop",
                     "logprobs": {"content": tokens(row.sure), "refusal": None}}
                ],
            }},
        }
        for row in rows
    ]  # fmt: skip
    return write_lines(folder / "chat.jsonl", records)


def decisions(folder: Path, rows: list[Asked]) -> Path:
    """Write the answers of a decision service to three questions about each document, by question."""
    records = [
        {
            "id": f"d{row.row}", "model": MODEL, "answers": {
                "tone": {"type": "choice", "choice": "good", "confidence": 0.4,
                         "probabilities": {"good": row.sure, "bad": 1 - row.sure}},
                "paid": {"type": "noul", "noul": row.sure},
                "grade": {"type": "score", "score": 3, "confidence": 0.5, "probabilities": {"3": row.sure, "4": 0.1}},
            },
        }
        for row in rows
    ]  # fmt: skip
    return write_lines(folder / "decisions.jsonl", records)


def listed_decisions(folder: Path, rows: list[Asked]) -> Path:
    """Write the answers of a decision service as a list, one of them a refusal."""
    records = [
        {
            "id": f"d{row.row}", "model": MODEL, "answers": [
                {"type": "choice", "name": "tone", "choice": "good", "confidence": row.sure, "probabilities": [
                    {"value": "good", "label": "Good", "probability": row.sure},
                    {"value": "bad", "label": "Bad", "probability": 1 - row.sure}]},
                {"type": "predicate", "name": "paid", "probability": row.sure, "confidence": row.sure},
                {"type": "refusal", "name": "grade"},
            ],
        }
        for row in rows
    ]  # fmt: skip
    return write_lines(folder / "listed.jsonl", records)


def judged(folder: Path, rows: list[Asked]) -> Path:
    """Write records of no known format, with the file that names their fields."""
    fields = {
        "id": "key",
        "answer": "out.text",
        "is_correct": "ok",
        "answered_by": "by",
        "signals": {"grade": "out.j.0"},
    }
    (folder / "fields.json").write_text(json.dumps(fields), encoding="utf-8")
    records = [
        {"key": row.row, "out": {"text": "a", "j": [row.judge]}, "ok": row.is_right, "by": MODEL} for row in rows
    ]
    return write_lines(folder / "judged.jsonl", records)


def truths(folder: Path, rows: list[Asked]) -> Path:
    """Write the right answers of chats and of documents, in one table each."""
    right = {"tone": ("good", "bad"), "paid": ("true", "false"), "grade": ("3", "4")}
    with (folder / "documents.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *right])
        writer.writerows([f"d{row.row}", *(pair[not row.is_right] for pair in right.values())] for row in rows)
    lines = [f"q{row.row},{'TRUE' if row.is_right else 'no'}" for row in rows]
    (folder / "chats.csv").write_text("\n".join(["id,label", *lines, ""]), encoding="utf-8")
    return folder


Writer = Callable[[Path, list[Asked]], Path]
WRITERS: dict[str, tuple[str, Writer, str]] = {
    "lm-eval": ("lm-eval", lm_eval, ""),
    "inspect": ("inspect", inspect, ""),
    "inspect, compressed": ("inspect", inspect_archive, ""),
    "helm": ("helm", helm, ""),
    "uqlm": ("uqlm", uqlm, ""),
    "chat": ("chat", chat, "--truths chats.csv"),
    "decisions": ("decisions", decisions, "--truths documents.csv"),
    "decisions, listed": ("decisions", listed_decisions, "--truths documents.csv"),
    "jsonl": ("jsonl", judged, "--mapping fields.json"),
}  # the kind, what writes its file, and the options with which it is imported
