"""Logs of language models, judges and services, read as answers with signals: one reader a format, in ``READERS``.

A reader yields the answers in a file. It takes for signals only what is known without the truth: a metric that compares
an answer with its reference is never one.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import log, nan
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from steepslope.errors import SteepslopeError, explained, located, require_known
from steepslope.files import read_json, read_yaml
from steepslope.outputs._answers import ANSWERED_BY, CONFIDENCE, is_no_answer
from steepslope.outputs._labels import TRUTH_OF_TEXT, listed_names, number_in_text
from steepslope.outputs._logged_answers import LoggedAnswer
from steepslope.outputs._options import TABLES
from steepslope.outputs._table import require_ids_once
from steepslope.outputs._table_files import TEXT, table_file

_Record = Mapping[str, Any]
Signals = dict[str, float]
_RIGHT_OR_WRONG = ("acc", "exact_match", "quasi_exact_match", "prefix_exact_match")  # metrics of 0 or 1
_GRADE_OF_TEXT = {**TRUTH_OF_TEXT, "C": 1, "I": 0, "P": 0, "N": 0}  # correct, incorrect, partial, no answer
_SIGNALS_OF_HELM = ("logprob", "max_prob", "num_output_tokens", "num_completion_tokens", "finish_reason_length")
_SCORE_OF_UQLM = re.compile(
    r"logprob|semantic_negentropy|semantic_sets_confidence|semantic_density|noncontradiction|entailment"
    r"|exact_match|bert_score|cosine_sim|min_probability|normalized_probability|sequence_probability"
    r"|p_true|min_token_negentropy|mean_token_negentropy|probability_margin|ensemble_score"
    r"|monte_carlo_probability|consistency_and_confidence|judge_\d+|.*_judge"
)
_DAMAGED = (OSError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError)
_LARGEST = 1e300  # Python's whole numbers may be too large for a float
_SHOWN = 30  # characters of what was found
_REFUSAL = "refusal"
_FIELD_OF_TYPE = {"choice": "choice", "score": "score", "noul": "noul", "predicate": "probability"}
_LARGEST_SAMPLE = 2**28  # bytes of one sample in a compressed log


Answers = Iterator[LoggedAnswer]


def _log_records(path: Path) -> Iterator[_Record]:
    """Yield the records of a file: the lines of a table or of JSONL, or a JSON document that is one, or a list."""
    suffix = path.suffix.lower()
    if suffix in TABLES:
        yield from _table_records(path)
        return
    if not path.is_file():
        raise SteepslopeError(f"expected a file, found {'a folder' if path.is_dir() else 'none'}")
    with explained("expected UTF-8 text", None, UnicodeDecodeError):
        text = path.read_text(encoding="utf-8-sig")
    records = []
    if suffix == ".json":
        content = _parsed_json(text, "")
        records = content if isinstance(content, list) else [content]
    else:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                records.append(_parsed_json(line, f" in line {number}"))
    for row, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise SteepslopeError(f"expected an object for each answer, found {type(record).__name__} in row {row}")
        yield record


def _table_records(path: Path) -> Iterator[_Record]:
    file = table_file(path)
    for batch in file.batches(dict.fromkeys(file.names, TEXT)):
        for cells in zip(*batch.values(), strict=True):
            yield dict(zip(batch, cells, strict=True))


def _parsed_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise SteepslopeError(f"expected JSON, found {text.strip()[:_SHOWN]!r}{where}") from None


def _value_at(record: Any, path: str) -> Any:
    """Return what stands at a path of names and places; None where nothing does.

    >>> _value_at({"choices": [{"text": "yes"}]}, "choices.0.text"), _value_at({"choices": []}, "choices.0.text")
    ('yes', None)
    """
    for step in path.split("."):
        if isinstance(record, Mapping):
            record = record.get(step)
        elif isinstance(record, list) and step.isdecimal() and int(step) < len(record):
            record = record[int(step)]
        else:
            return None
    return record


def _required_value(record: _Record, path: str) -> Any:
    """Return what stands at a path; raise where nothing does."""
    value = _value_at(record, path)
    if value is None:
        found = repr(record)[:_SHOWN]
        if isinstance(record, Mapping):
            found = listed_names(list(record))
        raise SteepslopeError(f"expected a field {path!r}, found {found}")
    return value


def _text_at(record: Any, *paths: str) -> str:
    """Return as text what stands at the first path at which there is something, neither empty nor 0; else ""."""
    for path in paths:
        value = _value_at(record, path)
        if value:
            return str(value)
    return ""


def _records_by_id(path: Path, *fields: str) -> Iterator[tuple[str, _Record]]:
    """Yield the records of a file, each with its id: the first of some fields that is there, else the row."""
    for row, record in enumerate(_log_records(path)):
        ids = [str(record[name]) for name in fields if record.get(name) not in (None, "")]
        ids.append(f"{path.stem}:{row}")
        yield ids[0], record


def _as_signal(value: Any) -> float:
    """Return a value as a number, NaN if it is none, or infinite; text may be a number, and true is 1.

    >>> [_as_signal(value) for value in (True, "0.5", "unsure", None)]
    [1.0, 0.5, nan, nan]
    """
    if isinstance(value, str):
        value = number_in_text(value)
    if isinstance(value, int | float) and -_LARGEST < value < _LARGEST:
        return float(value)
    return nan


def _as_grade(value: Any, place: str) -> bool | None:
    """Return whether an answer is right, from true, 1, yes, C or their opposites; None where nothing stands.

    Raises
    ------
    SteepslopeError
        If the value is anything else.

    >>> [_as_grade(value, "acc") for value in (1.0, "False", "C", "I", "")]
    [True, False, True, False, None]
    """
    text = str(value).strip()
    if is_no_answer(text):
        return None
    number = _as_signal(value)
    if number in (0, 1):
        return bool(number)
    grade = _GRADE_OF_TEXT.get(text, _GRADE_OF_TEXT.get(text.lower()))
    if grade is None:
        raise SteepslopeError(f"expected right or wrong (1 or 0, true or false, C or I), found {value!r}", place)
    return bool(grade)


def _token_signals(tokens: Sequence[_Record] | None) -> Signals:
    """Return signals of the log-probabilities of an answer's tokens, as chat completions list them.

    They are the mean, the least and the sum, the number of tokens, and how far the first token is ahead of the next.

    >>> _token_signals([{"logprob": -0.5, "top_logprobs": [{"logprob": -0.5}, {"logprob": -2.0}]}, {"logprob": -1.5}])
    {'mean_logprob': -1.0, 'min_logprob': -1.5, 'sum_logprob': -2.0, 'tokens': 2.0, 'first_margin': 1.5}
    """
    if not tokens:
        return {}
    values = _log_probabilities(tokens)
    signals = {
        "mean_logprob": sum(values) / len(values),
        "min_logprob": min(values),
        "sum_logprob": sum(values),
        "tokens": float(len(values)),
    }
    alternatives = sorted(_log_probabilities(_value_at(tokens[0], "top_logprobs") or []), reverse=True)
    if len(alternatives) > 1:
        signals["first_margin"] = alternatives[0] - alternatives[1]
    return signals


def _log_probabilities(tokens: Sequence[_Record]) -> list[float]:
    return [_as_signal(_value_at(token, "logprob")) for token in tokens]


def _option_signals(probabilities: Sequence[float]) -> Signals:
    """Return signals of the probabilities of an answer's options: the largest, its margin, and the entropy in nats.

    >>> {name: round(value, 3) for name, value in _option_signals([0.25, 0.75]).items()}
    {'probability': 0.75, 'margin': 0.5, 'entropy': 0.562}
    """
    ordered = [*sorted(probabilities, reverse=True), 0.0]  # a single option is ahead of nothing
    entropy = -sum(p * log(p) for p in ordered if p > 0)
    return {"probability": ordered[0], "margin": ordered[0] - ordered[1], "entropy": entropy}


def _agreement_of_samples(answers: Sequence[Any]) -> Signals:
    """Return the share of an answer's samples that equal the first; nothing for one alone."""
    if len(answers) < 2:
        return {}
    texts = [str(answer).strip().lower() for answer in answers]
    return {"agreement": texts.count(texts[0]) / len(texts)}


def _lm_eval_answers(path: Path) -> Answers:
    """Yield the answers in a samples_*.jsonl of lm-evaluation-harness, by the first of its filters."""
    task: str = path.stem
    date = None
    match = re.fullmatch(r"samples_(.*?)(?:_(\d{4}-\d\d-\d\dT[\d.:-]+))?", path.stem)
    if match is not None:
        task, date = match.groups()
    results = path.with_name(f"results_{date}.json")
    run = _run_of_harness(results, "results of lm-evaluation-harness")
    version = _text_at(run, "config.model_sha", "config.model_revision")
    model = f"{run.get('model_name', '')} {version}".strip()
    first_filter = None
    for record in _log_records(path):
        if first_filter is None:
            first_filter = record.get("filter")
        if record.get("filter") != first_filter:
            continue
        responses = _required_value(record, "filtered_resps")
        answer, signals = _answer_of_responses(responses, record.get("resps"))
        metrics = _right_or_wrong_metrics(record) or record.get("metrics") or ["acc"]
        metric = metrics[0]
        yield LoggedAnswer(
            id=f"{task}:{_required_value(record, 'doc_id')}",
            answer=answer,
            is_correct=_as_grade(_required_value(record, metric), metric),
            question=task,
            answered_by=model,
            signals=signals,
        )


def _run_of_harness(path: Path, expected: str) -> _Record:
    if path.exists():
        return read_json(path, expected)
    return {}


def _right_or_wrong_metrics(record: _Record) -> list[str]:
    return [name for name in _RIGHT_OR_WRONG if name in record]


def _answer_of_responses(filtered: Any, raw: Any) -> tuple[str, Signals]:
    """Return an answer and its signals: the likeliest option, or the text that a model wrote, perhaps several times."""
    scores = [_as_signal(_value_at(option, "0")) for option in filtered if isinstance(option, list)]
    if len(scores) > 1:
        best = int(np.argmax(scores))
        signals = _option_signals(softmax(scores).tolist())
        signals["logprob"] = scores[best]
        signals["options"] = float(len(scores))
        signals["is_greedy"] = float(str(filtered[best][-1]).lower() == "true")
        return str(best), signals
    if scores:
        raise SteepslopeError(
            "expected several options, or texts (a log-probability of the right answer alone tells the truth), "
            "found one option"
        )
    samples = _value_at(raw, "0")
    if not isinstance(samples, list):
        samples = [samples]
    text = filtered[0] if isinstance(filtered, list) else filtered
    return str(text), {"length": float(len(str(samples[0]))), **_agreement_of_samples(samples)}


def _inspect_answers(path: Path) -> Answers:
    """Yield the answers in a log of inspect-ai, .json or .eval, of the first epoch, graded by the first scorer."""
    epochs: dict[str, list[_Record]] = {}
    for sample in _inspect_samples(path):
        epochs.setdefault(str(_required_value(sample, "id")), []).append(sample)
    for name, samples in epochs.items():
        samples.sort(key=lambda sample: _as_signal(sample.get("epoch", 1)))
        first = samples[0]
        texts = [_text_at(sample, "output.completion", "output.choices.0.message.content") for sample in samples]
        scores = first.get("scores") or {}
        score: Any = next(iter(scores.values()), {})
        signals = {"length": float(len(texts[0]))}
        signals |= _token_signals(_value_at(first, "output.choices.0.logprobs.content"))
        yield LoggedAnswer(
            id=f"{path.stem}:{name}",
            answer=_text_at(score, "answer") or texts[0],
            is_correct=_as_grade(_value_at(score, "value"), "score of the first scorer"),
            answered_by=_text_at(first, "output.model"),
            signals=signals | _agreement_of_samples(texts),
        )


def _inspect_samples(path: Path) -> Iterator[_Record]:
    """Yield the samples of a log: those in the one document, or one by one from a compressed log."""
    if path.suffix.lower() != ".eval":
        for document in _log_records(path):
            yield from _required_value(document, "samples")
        return
    damaged = explained("cannot be read as a compressed log", None, _DAMAGED)
    with damaged, zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename
            if re.fullmatch(r"samples/.*\.json", name) is None:
                continue
            if member.file_size > _LARGEST_SAMPLE:
                raise SteepslopeError(f"expected samples of at most {_LARGEST_SAMPLE:,} bytes, found {name}")
            yield _parsed_json(archive.read(member).decode("utf-8"), f" in {name}")


def _helm_answers(path: Path) -> Answers:
    """Yield the answers of a run of HELM: the folder with its per_instance_stats.json, or that file."""
    stats = path / "per_instance_stats.json" if path.is_dir() else path
    folder = stats.parent
    if not stats.exists():
        raise SteepslopeError(f"expected a file {stats.name} in it, found none")
    run = _run_of_harness(folder / "run_spec.json", "a run of HELM")
    texts = {}
    shown = folder / "display_predictions.json"
    if shown.exists():
        for record in _first_trials(shown):
            texts[record.get("instance_id")] = record.get("predicted_text")
    for record in _first_trials(stats):
        name = str(_required_value(record, "instance_id"))
        values = {}
        for stat in _required_value(record, "stats"):
            values[str(_value_at(stat, "name.name"))] = _value_at(stat, "mean")
        metrics = _right_or_wrong_metrics(values)
        if not metrics:
            raise SteepslopeError(
                f"expected a metric of {', '.join(_RIGHT_OR_WRONG)}, found {listed_names(list(values))}"
            )
        yield LoggedAnswer(
            id=f"{run.get('name', folder.name)}:{name}",
            answer=str(texts.get(name) or ""),
            is_correct=_as_grade(_as_signal(values[metrics[0]]), metrics[0]),
            answered_by=_text_at(run, "adapter_spec.model"),
            signals={stat: _as_signal(values[stat]) for stat in _SIGNALS_OF_HELM if stat in values},
        )


def _first_trials(path: Path) -> Iterator[_Record]:
    """Yield the records of a file that belong to no perturbation and to no later trial."""
    for record in _log_records(path):
        if not record.get("perturbation") and not record.get("train_trial_index"):
            yield record


def _uqlm_answers(path: Path) -> Answers:
    """Yield the answers in a frame of uqlm (to_df) that was saved as a table or as JSON records."""
    for name, record in _records_by_id(path, "id"):
        text = _required_value(record, "response")
        if isinstance(text, Mapping):
            raise SteepslopeError("expected a record for each answer (to_json(orient='records')), found one for all")
        signals = {}
        for score, value in record.items():
            if _SCORE_OF_UQLM.fullmatch(score):
                signals[score] = _as_signal(value)
        if not signals:
            raise SteepslopeError(
                "expected scores such as logprob, semantic_negentropy, semantic_sets_confidence, "
                f"found {listed_names(list(record))}"
            )
        signals["length"] = float(len(str(text)))
        grade = record.get("is_correct", record.get("correct"))
        yield LoggedAnswer(
            id=name,
            answer=str(text),
            is_correct=_as_grade(grade, "is_correct"),
            answered_by=_text_at(record, "model"),
            signals=signals,
        )


def _chat_answers(path: Path) -> Answers:
    """Yield the answers in chat completions with log-probabilities, as the API gives them or a batch lists them."""
    for name, record in _records_by_id(path, "custom_id"):
        body = _value_at(record, "response.body") or record
        choices = []
        if not (body.get("error") or record.get("error")):  # a failed request of a batch has no answer
            choices = _required_value(body, "choices")
        samples = [_text_at(choice, "message.content") for choice in choices] or [""]
        signals = _token_signals(_value_at(body, "choices.0.logprobs.content"))
        yield LoggedAnswer(
            id=name,
            answer=samples[0],
            answered_by=_text_at(body, "model"),
            signals=signals | _agreement_of_samples(samples),
        )


def _decision_answers(path: Path) -> Answers:
    """Yield the answers of a decision service: a record a document, with typed answers by question, or a list."""
    for document, record in _records_by_id(path, "id", "document"):
        answers = _required_value(record, "answers")
        named: Iterable[tuple[Any, Any]]
        if isinstance(answers, Mapping):
            named = answers.items()
        else:
            named = ((_required_value(answer, "name"), answer) for answer in answers)
        for question, answer in named:
            refused = LoggedAnswer(
                id=f"{document}:{question}",
                answer="",
                document=document,
                question=str(question),
                answered_by=_text_at(record, "model"),
            )
            yield _with_decision(refused, answer)


def _with_decision(refused: LoggedAnswer, answer: _Record) -> LoggedAnswer:
    """Return a typed answer: a choice or score with a probability for each option, yes or no, or a refusal."""
    kind = str(_required_value(answer, "type"))
    if kind == _REFUSAL:
        return refused
    require_known(f"type of answer to {refused.question}:", kind, (*_FIELD_OF_TYPE, _REFUSAL))
    value = _required_value(answer, _FIELD_OF_TYPE[kind])
    if kind in ("noul", "predicate"):
        yes = _as_signal(value)
        value = "true" if yes >= 0.5 else "false"
        probabilities = [yes, 1 - yes]
    else:
        options = _required_value(answer, "probabilities")
        if isinstance(options, Mapping):
            probabilities = list(map(_as_signal, options.values()))
        else:
            probabilities = [_as_signal(_value_at(option, "probability")) for option in options]
    signals = _option_signals(probabilities)
    signals["certainty"] = _as_signal(answer.get(CONFIDENCE))
    return replace(refused, answer=str(value), confidence=signals["probability"], signals=signals)


READERS: dict[str, Callable[[Path], Answers]] = {
    "lm-eval": _lm_eval_answers,
    "inspect": _inspect_answers,
    "helm": _helm_answers,
    "uqlm": _uqlm_answers,
    "chat": _chat_answers,
    "decisions": _decision_answers,
}
MAPPED = "jsonl"  # the kind of any other log
_OTHERWISE_SHAPED = (TypeError, AttributeError, KeyError, IndexError, OverflowError)  # a field holds something else
_TEXTS = ("id", "answer", "truth", "document", "question", ANSWERED_BY)
_FIELDS = (*_TEXTS, "is_correct", CONFIDENCE, "signals")  # what a mapping may name


def read_answers(kind: str, files: Sequence[Path], mapping: Path | None = None) -> list[LoggedAnswer]:
    """Return the answers in files of a kind of ``READERS``, or of any records whose fields a mapping names.

    Raises
    ------
    SteepslopeError
        If a file cannot be read as such a log, or holds no answer.
    """
    require_known("kind of log:", kind, (*READERS, MAPPED))
    if (mapping is None) == (kind == MAPPED):
        raise SteepslopeError(f"kind {MAPPED} needs a file of fields, and no other kind takes one", "mapping")
    readers = READERS
    if mapping is not None:
        readers = {MAPPED: partial(_mapped_answers, fields=_fields_of_mapping(mapping))}
    answers: list[LoggedAnswer] = []
    for file in files:
        with located(file), explained(f"cannot be read as a log of kind {kind}", None, _OTHERWISE_SHAPED):
            read = list(readers[kind](file))
            if not read:
                raise SteepslopeError("expected answers, found none")
        answers += read
    return answers


def _fields_of_mapping(path: Path) -> dict[str, Any]:
    """Read where a record has what: the path of each field of an answer and, below ``signals``, of each signal."""
    content = read_yaml(path)
    with located(path):
        for name in content:
            require_known("field of an answer:", name, _FIELDS)
        signals = content.get("signals")
        if not isinstance(signals, dict) or not signals:
            raise SteepslopeError(f"expected names and the paths of their fields, found {signals!r}", "signals")
    return content


def _mapped_answers(path: Path, fields: Mapping[str, Any]) -> Answers:
    """Yield the answers in records whose fields a mapping names."""
    places = {str(name): str(place) for name, place in fields.items() if name != "signals"}
    places_of_signals = {str(name): str(place) for name, place in fields["signals"].items()}
    unseen = places | places_of_signals
    for default, record in _records_by_id(path):
        unseen = {name: place for name, place in unseen.items() if _value_at(record, place) is None}
        values: dict[str, Any] = {"id": default, "answer": ""}
        for name, place in places.items():
            value = _value_at(record, place)
            if value is not None:
                values[name] = str(value) if name in _TEXTS else value
        values["is_correct"] = _as_grade(values.get("is_correct"), "is_correct")
        values[CONFIDENCE] = _as_signal(values.get(CONFIDENCE))
        signals = {}
        for name, place in places_of_signals.items():
            signals[name] = _as_signal(_value_at(record, place))
        yield LoggedAnswer(**values, signals=signals)
    for name, place in unseen.items():
        raise SteepslopeError(f"no record has a field {place!r} ({name})")


def with_truths(answers: Sequence[LoggedAnswer], path: Path) -> list[LoggedAnswer]:
    """Return the answers with the truth that stands in a table; raise if there is none for any of them.

    The table has columns id and label, the right answer, or id and is_correct; or id, the document, and the right
    answers of a document, in a column for each question.
    """
    with located(path):
        records = list(_log_records(path))
        ids = [str(_required_value(record, "id")) for record in records]
        require_ids_once(ids)
        truths: dict[tuple[str, str], Any] = {}
        for name, record in zip(ids, records, strict=True):
            for column, value in record.items():
                if not is_no_answer(str(value)):
                    truths[name, column] = value
        with_truth = []
        for answer in answers:
            truth = truths.get((answer.id, "label"), truths.get((answer.document, answer.question)))
            if truth is not None:
                truth = str(truth)
            is_correct = _as_grade(truths.get((answer.id, "is_correct")), "is_correct")
            with_truth.append(replace(answer, truth=truth, is_correct=is_correct))
        if all(answer.grade is None for answer in with_truth):
            raise SteepslopeError(
                "expected columns id and label, id and is_correct, or id and one for each question, "
                f"found none of {answers[0].id} and {len(answers) - 1:,} other answers"
            )
    return with_truth
