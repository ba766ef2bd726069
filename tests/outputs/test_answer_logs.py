"""Each kind of log becomes a table of answers with signals; what is no such log is refused in one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs._answer_logs import MAPPED, READERS, read_answers, with_truths
from steepslope.outputs._logged_answers import graded_answers, write_answers
from tests.outputs.logs import (
    MODEL,
    WRITERS,
    asked,
    chat,
    decisions,
    helm,
    inspect_archive,
    listed_decisions,
    lm_eval,
    truths,
    uqlm,
    write_lines,
)

SIGNALS = {
    "lm-eval": {"probability", "margin", "entropy", "logprob", "options", "is_greedy"},
    "inspect": {"length", "mean_logprob", "min_logprob", "sum_logprob", "tokens", "first_margin", "agreement"},
    "helm": {"logprob", "num_output_tokens"},
    "uqlm": {"semantic_negentropy", "judge_1", "length"},
    "chat": {"mean_logprob", "min_logprob", "sum_logprob", "tokens", "first_margin"},
    "decisions": {"probability", "margin", "entropy", "certainty"},
    "jsonl": {"grade"},
}


def test_each_kind_has_a_log() -> None:
    assert {kind for kind, *_ in WRITERS.values()} == {*READERS, MAPPED}


@pytest.mark.parametrize("name", WRITERS)
def test_log_to_answers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, writer, options = WRITERS[name]
    rows = [*asked(30)]
    file = writer(truths(tmp_path, rows), rows)
    monkeypatch.chdir(tmp_path)
    assert main(["import", kind, file.name, "--out", "answers.csv", *options.split()]) == 0
    outputs = ClassifierOutputs.load("answers.csv")
    assert set(outputs.signals) == SIGNALS[kind]
    questions = len(outputs) // len(rows)
    right = outputs.is_correct.reshape(len(rows), questions)
    if "listed" in name:  # the last question was refused
        assert not right[:, -1].any()
        right = right[:, :-1]
    np.testing.assert_array_equal(right, np.array([[row.is_right] * right.shape[1] for row in rows]))
    assert kind == "uqlm" or str(outputs.classifier).startswith(f"answers of {MODEL}")
    first = next(iter(outputs.signals))
    assert np.isfinite(outputs.require(f"signal_{first}")).sum() >= 2 * len(outputs) / 3


def test_values_of_signals(tmp_path: Path) -> None:
    rows = [*asked(20)]
    for row, answer in zip(rows, read_answers("lm-eval", [lm_eval(tmp_path, rows)]), strict=True):
        assert answer.answer == "0"
        assert answer.signals["margin"] == pytest.approx(2 * row.sure - 1)
    for row, answer in zip(rows, read_answers("inspect", [inspect_archive(tmp_path, rows)]), strict=True):
        assert answer.answer == "a"  # of the first epoch, which comes second
        assert answer.signals["agreement"] == (1 if row.sure > 0.75 else 0.5)
        assert answer.signals["sum_logprob"] == pytest.approx(2 * np.log(row.sure))


def test_a_signal_that_is_the_grade_is_refused(tmp_path: Path) -> None:
    answers = read_answers("uqlm", [uqlm(tmp_path, [*asked(30)])])
    told = [replace(one, signals={**one.signals, "exact_match": float(bool(one.grade))}) for one in answers]
    assert graded_answers(answers) == answers
    with pytest.raises(SteepslopeError, match="signal exact_match: expected a number that is known without the truth"):
        graded_answers(told)


def test_a_failed_request_is_no_answer(tmp_path: Path) -> None:
    chat(tmp_path, [*asked(2)])
    lines = (tmp_path / "chat.jsonl").read_text(encoding="utf-8")
    failed = [
        {"custom_id": "a", "error": "rate limit"},
        {"custom_id": 0, "response": {"body": {"error": {"code": 429}}}},
    ]
    write_lines(tmp_path / "failed.jsonl", failed)
    (tmp_path / "all.jsonl").write_text(
        lines + (tmp_path / "failed.jsonl").read_text(encoding="utf-8"), encoding="utf-8"
    )
    answers = read_answers("chat", [tmp_path / "all.jsonl"])
    assert [(one.id, one.answer) for one in answers] == [("q0", "yes"), ("q1", "yes"), ("a", ""), ("0", "")]
    write_answers(tmp_path / "a.csv", answers)
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").count(MODEL) == 2
    with pytest.raises(SteepslopeError, match="signals: expected numbers next to some answer"):
        write_answers(tmp_path / "b.csv", answers[2:])


def test_only_the_first_trial_of_helm_counts(tmp_path: Path) -> None:
    run = helm(tmp_path, [*asked(2)])
    for name in ("per_instance_stats.json", "display_predictions.json"):
        records = json.loads((run / name).read_text(encoding="utf-8"))
        again = [{**record, "train_trial_index": 1, "predicted_text": "other"} for record in records]
        (run / name).write_text(json.dumps([*records, *again]), encoding="utf-8")
    assert [one.answer for one in read_answers("helm", [run])] == [" A", " A"]


def test_repeated_truths_are_refused(tmp_path: Path) -> None:
    answers = read_answers("decisions", [decisions(tmp_path, [*asked(2)])])
    twice = write_lines(tmp_path / "truths.jsonl", [{"id": "d0", "tone": "good"}] * 2)
    with pytest.raises(SteepslopeError, match=r"unique ids .* 'd0' in 2 rows"):
        with_truths(answers, twice)


def test_choices_need_the_right_answers(tmp_path: Path) -> None:
    answers = read_answers("lm-eval", [lm_eval(tmp_path, [*asked(3)])])
    with pytest.raises(SteepslopeError, match="choices: expected the right answers"):
        write_answers(tmp_path / "a.csv", answers, are_choices=True)


def test_truths_are_records_of_any_type(tmp_path: Path) -> None:
    answers = read_answers("decisions", [decisions(tmp_path, [*asked(2)])])
    right = [
        {"id": "d0", "tone": "Good", "paid": 1, "grade": 3.0},
        {"id": "d1", "tone": "bad", "paid": False, "grade": None},
    ]
    told = with_truths(answers, write_lines(tmp_path / "truths.jsonl", right))
    assert [answer.grade for answer in told] == [True, True, True, False, False, None]


def test_choices_become_predictions_of_each_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*asked(30)]
    decisions(truths(tmp_path, rows), rows)
    monkeypatch.chdir(tmp_path)
    words = "import decisions decisions.jsonl --truths documents.csv --choices --out answers.csv"
    assert main(words.split()) == 0
    outputs = ClassifierOutputs.load("answers.csv")
    assert {"tone: good", "tone: bad", "paid: true"} <= set(outputs.class_names)
    assert outputs.is_correct.sum() == 3 * sum(row.is_right for row in rows)


def test_refusals_are_no_choices_to_learn_from(tmp_path: Path) -> None:
    rows = [*asked(10)]
    answers = read_answers("decisions", [listed_decisions(truths(tmp_path, rows), rows)])
    told = graded_answers(with_truths(answers, tmp_path / "documents.csv"))
    write_answers(tmp_path / "answers.csv", told, are_choices=True)
    outputs = ClassifierOutputs.load(tmp_path / "answers.csv")
    assert len(told) == 30
    assert len(outputs) == 20
    assert {name.partition(":")[0] for name in outputs.class_names} == {"tone", "paid"}


def test_answers_without_truth_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*asked(30)]
    decisions(truths(tmp_path, rows[:10]), rows)
    monkeypatch.chdir(tmp_path)
    words = "import decisions decisions.jsonl --truths documents.csv --out answers.csv --answered-by mine-2"
    assert main(words.split()) == 0
    assert "30 answers; 60 others are left out" in capsys.readouterr().err
    assert ClassifierOutputs.load("answers.csv").classifier == "answers of mine-2"


REFUSED = [
    ("lm-eval", "a.jsonl", "[1, 2]\n", "expected an object for each answer, found list in row 0"),
    ("lm-eval", "a.jsonl", "{\n", "expected JSON, found '{' in line 1"),
    ("lm-eval", "a.jsonl", '{"doc_id": 1, "acc": 1}\n', "expected a field 'filtered_resps', found doc_id, acc"),
    (
        "lm-eval",
        "a.jsonl",
        '{"doc_id": 1, "filtered_resps": ["a"], "acc": 0.5}\n',
        "acc: expected right or wrong .* found 0.5",
    ),
    ("lm-eval", "a.jsonl", "", "expected answers, found none"),
    ("lm-eval", "none.jsonl", None, "none.jsonl: expected a file, found none"),
    ("inspect", "a.json", '{"eval": {}}', "expected a field 'samples', found eval"),
    ("inspect", "a.eval", "no archive", "a.eval: cannot be read as a compressed log"),
    ("inspect", "a.json", '{"samples": [1]}', "expected a field 'id', found 1"),
    ("helm", "", None, "expected a file per_instance_stats.json in it, found none"),
    ("helm", "a.json", '[{"instance_id": "a", "stats": 5}]', "cannot be read as a log of kind helm"),
    ("helm", "a.json", '[{"instance_id": "a", "stats": []}]', "expected a metric of acc, exact_match"),
    ("uqlm", "a.csv", "response,other\na,1\n", "expected scores such as logprob, .* found response, other"),
    ("uqlm", "a.json", '{"response": {"0": "a"}}', "expected a record for each answer"),
    ("chat", "a.jsonl", '{"model": "m"}\n', "expected a field 'choices', found model"),
    ("lm-eval", "a.jsonl", '{"doc_id": 1, "filtered_resps": [["-1", "True"]], "acc": 1}\n', "expected several options"),
    (
        "decisions",
        "a.jsonl",
        '{"answers": {"q": {"type": "chioce"}}}\n',
        "unknown type of answer to q: 'chioce': did you mean",
    ),
    (
        "decisions",
        "a.jsonl",
        '{"answers": {"q": {"type": "choice", "choice": "a"}}}\n',
        "expected a field 'probabilities'",
    ),
    ("chat", "a.jsonl", b"\xff\xfe".decode("latin1"), "expected JSON"),
    ("chta", "a.jsonl", "", "unknown kind of log: 'chta': did you mean 'chat'"),
    ("jsonl", "a.jsonl", "{}", "mapping: kind jsonl needs a file of fields"),
]


@pytest.mark.parametrize(("kind", "name", "text", "message"), REFUSED)
def test_other_files_are_refused(kind: str, name: str, text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(SteepslopeError, match=message) as caught:
        read_answers(kind, [tmp_path / name])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"id": "key"}, "signals: expected names and the paths of their fields, found None"),
        ({"idd": "key", "signals": {"a": "b"}}, "unknown field of an answer: 'idd': did you mean 'id'"),
        ({"id": "key", "signals": {"a": "b"}}, r"no record has a field 'key' \(id\)"),
    ],
)
def test_wrong_mappings_are_refused(mapping: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / "fields.json").write_text(json.dumps(mapping), encoding="utf-8")
    file = write_lines(tmp_path / "a.jsonl", [{"b": 1.0}])
    with pytest.raises(SteepslopeError, match=message):
        read_answers(MAPPED, [file], tmp_path / "fields.json")


def test_answers_of_two_models_and_repeated_ids_are_refused(tmp_path: Path) -> None:
    answers = read_answers("uqlm", [uqlm(tmp_path, [*asked(3)])])
    with pytest.raises(SteepslopeError, match=r"unique ids .* 'uqlm:0' in 2 rows"):
        write_answers(tmp_path / "a.csv", [*answers, *answers])
    other = read_answers("lm-eval", [lm_eval(tmp_path, [*asked(3)])])
    with pytest.raises(SteepslopeError, match="expected the answers of one model and version"):
        write_answers(tmp_path / "a.csv", [replace(answers[0], answered_by="another"), *other])
