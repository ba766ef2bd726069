"""Logs of language models, judges and services, read as answers with signals: one reader a format, in ``READERS``.

A reader yields the answers in a file. It takes for signals only what is known without the truth: a metric that compares
an answer with its reference is never one. :func:`write_answers` writes a table that all commands read.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import log, nan
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from steepslope.errors import SteepslopeError, explained, located, require_known
from steepslope.files import read_json, read_yaml, staged_folder
from steepslope.outputs._answers import ANSWERED_BY, CONFIDENCE, is_no_answer
from steepslope.outputs._arrays import SIGNAL, require_signal_name
from steepslope.outputs._columns import CORRECT, PREDICTION
from steepslope.outputs._labels import TRUTH_OF_TEXT, listed_names, number_in_text
from steepslope.outputs._options import TABLES
from steepslope.outputs._table import require_ids_once
from steepslope.outputs._table_files import TEXT, Frame, table_file, table_writer

Record = Mapping[str, Any]
DOCUMENT, QUESTION = "document", "question"
RIGHT_OR_WRONG = ("acc", "exact_match", "quasi_exact_match", "prefix_exact_match")  # metrics of 0 or 1, the first known
GRADE_OF_LETTER = {"C": True, "I": False, "P": False, "N": False}  # correct, incorrect, partial, no answer
OF_HELM = ("logprob", "max_prob", "num_output_tokens", "num_completion_tokens", "finish_reason_length")
OF_UQLM = (
    "logprob", "semantic_negentropy", "semantic_sets_confidence", "noncontradiction", "entailment", "exact_match",
    "bert_score", "cosine_sim", "min_probability", "normalized_probability", "sequence_probability", "p_true",
    "min_token_negentropy", "mean_token_negentropy", "probability_margin", "ensemble_score", "monte_carlo_probability",
    "consistency_and_confidence", "semantic_density",
)  # fmt: skip
JUDGE = re.compile(r"judge_\d+|.*_judge")
DAMAGED = (OSError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError)
TELLING = 20  # answers whose signal equals their grade: then it is the grade
LARGEST = 1e300
SHOWN = 30  # characters of what was found
FIELD_OF_TYPE = {"choice": "choice", "score": "score", "noul": "noul", "predicate": "probability"}  # that is the answer
REFUSAL = "refusal"
LARGEST_SAMPLE = 2**28  # bytes of one sample in a compressed log


@dataclass(frozen=True, kw_only=True)
class LoggedAnswer:
    """An answer in a log.

    ``truth`` is the right answer, and ``is_correct`` whether this one is right; each is None if the log does not tell.
    ``document`` and ``question`` say what was asked of what, "" if there is but one. ``confidence`` and the ``signals``
    are NaN where they are missing.
    """

    id: str
    answer: str
    truth: str | None = None
    is_correct: bool | None = None
    confidence: float = nan
    document: str = ""
    question: str = ""
    answered_by: str = ""
    signals: Mapping[str, float] = field(default_factory=dict)

    @property
    def grade(self) -> bool | None:
        """Whether the answer is right: as the log says, or because it equals the truth; None if neither is known."""
        if self.is_correct is not None or self.truth is None:
            return self.is_correct
        return meaning_of_text(self.answer) == meaning_of_text(self.truth)


def meaning_of_text(text: str) -> str | float:
    """Return what an answer is compared by: a number, 1 or 0 for true or false, or the text without its case.

    >>> meaning_of_text(" Yes") == meaning_of_text("true"), meaning_of_text("3.0") == meaning_of_text("3")
    (True, True)
    """
    plain = text.strip().lower()
    number = number_in_text(plain)
    return TRUTH_OF_TEXT.get(plain, plain) if number is None else float(number)


def log_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file: the lines of a table or of JSONL, or a JSON document that is one, or a list."""
    if path.suffix.lower() in TABLES:
        file = table_file(path)
        for batch in file.batches(dict.fromkeys(file.names, TEXT)):
            yield from (dict(zip(batch, cells, strict=True)) for cells in zip(*batch.values(), strict=True))
        return
    if not path.is_file():
        raise SteepslopeError(f"expected a file, found {'a folder' if path.is_dir() else 'none'}")
    with explained("expected UTF-8 text", None, UnicodeDecodeError):
        text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() == ".json":
        content = _parsed_json(text, "")
        records = content if isinstance(content, list) else [content]
    else:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        records = [_parsed_json(line, f" in line {number}") for number, line in lines]
    for row, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise SteepslopeError(f"expected an object for each answer, found {type(record).__name__} in row {row}")
        yield record


def _parsed_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise SteepslopeError(f"expected JSON, found {text.strip()[:SHOWN]!r}{where}") from None


def value_at(record: Any, path: str) -> Any:
    """Return what stands at a path of names and places; None where nothing does.

    >>> value_at({"choices": [{"text": "yes"}]}, "choices.0.text"), value_at({"choices": []}, "choices.0.text")
    ('yes', None)
    """
    for part in path.split("."):
        if isinstance(record, Mapping):
            record = record.get(part)
        elif isinstance(record, list) and part.isdecimal() and int(part) < len(record):
            record = record[int(part)]
        else:
            return None
    return record


def required_value(record: Record, path: str) -> Any:
    """Return what stands at a path; raise where nothing does."""
    value = value_at(record, path)
    if value is None:
        found = listed_names([*map(str, record)]) if isinstance(record, Mapping) else repr(record)[:SHOWN]
        raise SteepslopeError(f"expected a field {path!r}, found {found}")
    return value


def first_value(record: Record, names: Sequence[str], default: str) -> str:
    """Return the first of some fields that is there, as text; a default without any."""
    return next((str(record[name]) for name in names if record.get(name) not in (None, "")), default)


def as_signal(value: Any) -> float:
    """Return a value as a number, NaN if it is none, or infinite; text may be a number, and true is 1.

    >>> [as_signal(value) for value in (True, "0.5", "unsure", None)]
    [1.0, 0.5, nan, nan]
    """
    number = number_in_text(value) if isinstance(value, str) else value
    if not isinstance(number, int | float) or not -LARGEST < number < LARGEST:
        return nan
    return float(number)


def as_grade(value: Any, place: str) -> bool | None:
    """Return whether an answer is right, from true, 1, yes, C or their opposites; None where nothing stands.

    Raises
    ------
    SteepslopeError
        If the value is anything else.

    >>> [as_grade(value, "acc") for value in (1.0, "False", "C", "I", "")]
    [True, False, True, False, None]
    """
    text = str(value).strip()
    if is_no_answer(text):
        return None
    number = as_signal(value)
    if number in (0, 1):
        return bool(number)
    letters, words = GRADE_OF_LETTER.get(text), TRUTH_OF_TEXT.get(text.lower())
    if letters is None and words is None:
        raise SteepslopeError(f"expected right or wrong (1 or 0, true or false, C or I), found {value!r}", place)
    return bool(words) if letters is None else letters


def token_signals(tokens: Sequence[Record] | None) -> dict[str, float]:
    """Return signals of the log-probabilities of an answer's tokens, as chat completions list them.

    They are the mean, the least and the sum, the number of tokens, and how far the first token is ahead of the next.

    >>> token_signals([{"logprob": -0.5, "top_logprobs": [{"logprob": -0.5}, {"logprob": -2.0}]}, {"logprob": -1.5}])
    {'mean_logprob': -1.0, 'min_logprob': -1.5, 'sum_logprob': -2.0, 'tokens': 2.0, 'first_margin': 1.5}
    """
    listed = tokens or []
    values = [as_signal(value_at(token, "logprob")) for token in listed]
    if not values:
        return {}
    first = value_at(listed[0], "top_logprobs") or []
    ahead = sorted((as_signal(value_at(token, "logprob")) for token in first), reverse=True)
    margin = {"first_margin": ahead[0] - ahead[1]} if len(ahead) > 1 else {}
    spread = {"mean_logprob": sum(values) / len(values), "min_logprob": min(values), "sum_logprob": sum(values)}
    return {**spread, "tokens": float(len(values)), **margin}


def option_signals(probabilities: Sequence[float]) -> dict[str, float]:
    """Return signals of the probabilities of an answer's options: the largest, its margin, and the entropy in nats.

    >>> {name: round(value, 3) for name, value in option_signals([0.25, 0.75]).items()}
    {'probability': 0.75, 'margin': 0.5, 'entropy': 0.562}
    """
    ordered = sorted(probabilities, reverse=True)
    entropy = -sum(p * log(p) for p in ordered if p > 0)
    margin = ordered[0] - (ordered[1] if len(ordered) > 1 else 0.0)
    return {"probability": ordered[0], "margin": margin, "entropy": entropy}


def agreement_of_samples(answers: Sequence[Any]) -> dict[str, float]:
    """Return the share of an answer's samples that equal the first; nothing for one alone."""
    texts = [str(answer).strip().lower() for answer in answers]
    return {"agreement": texts.count(texts[0]) / len(texts)} if len(texts) > 1 else {}


def lm_eval_answers(path: Path) -> Iterator[LoggedAnswer]:
    """Yield the answers in a samples_*.jsonl of lm-evaluation-harness, by the first of its filters."""
    match = re.fullmatch(r"samples_(.*?)(?:_(\d{4}-\d\d-\d\dT[\d.:-]+))?", path.stem)
    task, date = (path.stem, None) if match is None else match.groups()
    results = path.with_name(f"results_{date}.json")
    run = read_json(results, "results of lm-evaluation-harness") if results.exists() else {}
    version = value_at(run, "config.model_sha") or value_at(run, "config.model_revision") or ""
    model = f"{run.get('model_name', '')} {version}".strip()
    first_filter = None
    for record in log_records(path):
        first_filter = record.get("filter") if first_filter is None else first_filter
        if record.get("filter") != first_filter:
            continue
        answer, signals = _answer_of_responses(required_value(record, "filtered_resps"), record.get("resps"))
        metric = next((name for name in RIGHT_OR_WRONG if name in record), (record.get("metrics") or ["acc"])[0])
        yield LoggedAnswer(
            id=f"{task}:{required_value(record, 'doc_id')}",
            answer=answer,
            is_correct=as_grade(required_value(record, metric), metric),
            question=task,
            answered_by=model,
            signals=signals,
        )


def _answer_of_responses(filtered: Any, raw: Any) -> tuple[str, dict[str, float]]:
    """Return an answer and its signals: the likeliest option, or the text that a model wrote, perhaps several times."""
    scored = [as_signal(value_at(one, "0")) for one in filtered if isinstance(one, list)]
    if len(scored) > 1:
        best = int(np.argmax(scored))
        signals = option_signals(softmax(scored).tolist()) | {"logprob": scored[best], "options": float(len(scored))}
        return str(best), signals | {"is_greedy": as_signal(str(filtered[best][-1]).lower() == "true")}
    if scored:
        expected = "expected several options, or texts (a log-probability of the right answer alone tells the truth)"
        raise SteepslopeError(f"{expected}, found one option")
    samples = value_at(raw, "0")
    samples = samples if isinstance(samples, list) else [samples]
    text = str(filtered[0] if isinstance(filtered, list) else filtered)
    return text, {"length": float(len(str(samples[0]))), **agreement_of_samples(samples)}


def inspect_answers(path: Path) -> Iterator[LoggedAnswer]:
    """Yield the answers in a log of inspect-ai, .json or .eval, of the first epoch, graded by the first scorer."""
    epochs: dict[str, list[Record]] = {}
    for sample in _inspect_samples(path):
        epochs.setdefault(str(required_value(sample, "id")), []).append(sample)
    for name, samples in epochs.items():
        first, *_ = samples = sorted(samples, key=lambda sample: as_signal(sample.get("epoch", 1)))
        texts = [_inspect_completion(sample) for sample in samples]
        scores = first.get("scores") or {}
        score: Any = next(iter(scores.values()), {})
        signals = {
            "length": float(len(texts[0])),
            **token_signals(value_at(first, "output.choices.0.logprobs.content")),
        }
        yield LoggedAnswer(
            id=f"{path.stem}:{name}",
            answer=str(value_at(score, "answer") or texts[0]),
            is_correct=as_grade(value_at(score, "value"), "score of the first scorer"),
            answered_by=str(value_at(first, "output.model") or ""),
            signals=signals | agreement_of_samples(texts),
        )


def _inspect_completion(sample: Record) -> str:
    text = value_at(sample, "output.completion") or value_at(sample, "output.choices.0.message.content")
    return str(text or "")


def _inspect_samples(path: Path) -> Iterator[Record]:
    """Yield the samples of a log: those in the one document, or one by one from a compressed log."""
    if path.suffix.lower() != ".eval":
        for log in log_records(path):
            yield from required_value(log, "samples")
        return
    damaged = explained("cannot be read as a compressed log", None, DAMAGED)
    with damaged, zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if re.fullmatch(r"samples/.*\.json", member.filename) is None:
                continue
            if member.file_size > LARGEST_SAMPLE:
                raise SteepslopeError(f"expected samples of at most {LARGEST_SAMPLE:,} bytes, found {member.filename}")
            yield _parsed_json(archive.read(member).decode("utf-8"), f" in {member.filename}")


def helm_answers(path: Path) -> Iterator[LoggedAnswer]:
    """Yield the answers of a run of HELM: the folder with its per_instance_stats.json, or that file."""
    stats = path / "per_instance_stats.json" if path.is_dir() else path
    folder = stats.parent
    if not stats.exists():
        raise SteepslopeError(f"expected a file {stats.name} in it, found none")
    spec, shown = folder / "run_spec.json", folder / "display_predictions.json"
    run = read_json(spec, "a run of HELM") if spec.exists() else {}
    predictions = filter(_is_first_trial, log_records(shown)) if shown.exists() else ()
    texts = {record.get("instance_id"): record.get("predicted_text") for record in predictions}
    for record in filter(_is_first_trial, log_records(stats)):
        name = str(required_value(record, "instance_id"))
        values = {str(value_at(stat, "name.name")): value_at(stat, "mean") for stat in required_value(record, "stats")}
        metric = next((metric for metric in RIGHT_OR_WRONG if metric in values), None)
        if metric is None:
            raise SteepslopeError(f"expected a metric of {', '.join(RIGHT_OR_WRONG)}, found {listed_names([*values])}")
        yield LoggedAnswer(
            id=f"{run.get('name', folder.name)}:{name}",
            answer=str(texts.get(name) or ""),
            is_correct=as_grade(as_signal(values[metric]), metric),
            answered_by=str(value_at(run, "adapter_spec.model") or ""),
            signals={stat: as_signal(values[stat]) for stat in OF_HELM if stat in values},
        )


def _is_first_trial(record: Record) -> bool:
    return not record.get("perturbation") and not record.get("train_trial_index")


def uqlm_answers(path: Path) -> Iterator[LoggedAnswer]:
    """Yield the answers in a frame of uqlm (to_df) that was saved as a table or as JSON records."""
    for row, record in enumerate(log_records(path)):
        text = required_value(record, "response")
        if isinstance(text, Mapping):
            raise SteepslopeError("expected a record for each answer (to_json(orient='records')), found one for all")
        names = [name for name in record if name in OF_UQLM or JUDGE.fullmatch(str(name))]
        if not names:
            raise SteepslopeError(
                f"expected scores such as {', '.join(OF_UQLM[:3])}, found {listed_names([*map(str, record)])}"
            )
        yield LoggedAnswer(
            id=first_value(record, ["id"], f"{path.stem}:{row}"),
            answer=str(text),
            is_correct=as_grade(record.get("is_correct", record.get("correct")), "is_correct"),
            answered_by=str(record.get("model") or ""),
            signals={name: as_signal(record[name]) for name in names} | {"length": float(len(str(text)))},
        )


def chat_answers(path: Path) -> Iterator[LoggedAnswer]:
    """Yield the answers in chat completions with log-probabilities, as the API gives them or a batch lists them."""
    for row, record in enumerate(log_records(path)):
        body = value_at(record, "response.body") or record
        failed = body.get("error") or record.get("error")  # of a batch: such a request has no answer
        choices = [] if failed else required_value(body, "choices")
        samples = [str(value_at(choice, "message.content") or "") for choice in choices]
        yield LoggedAnswer(
            id=first_value(record, ["custom_id"], f"{path.stem}:{row}"),
            answer=samples[0] if samples else "",
            answered_by=str(body.get("model") or ""),
            signals=token_signals(value_at(body, "choices.0.logprobs.content")) | agreement_of_samples(samples),
        )


def decision_answers(path: Path) -> Iterator[LoggedAnswer]:
    """Yield the answers of a decision service: a record a document, with typed answers by question, or a list."""
    for row, record in enumerate(log_records(path)):
        answers = required_value(record, "answers")
        named = (
            answers.items() if isinstance(answers, Mapping) else ((required_value(one, "name"), one) for one in answers)
        )
        document = first_value(record, ["id", DOCUMENT], f"{path.stem}:{row}")
        for question, answer in named:
            yield _decided(answer, document, str(question), str(record.get("model") or ""))


def _decided(answer: Record, document: str, question: str, model: str) -> LoggedAnswer:
    """Return a typed answer: a choice or score with a probability for each option, yes or no, or a refusal."""
    kind = str(required_value(answer, "type"))
    told: Any = {"id": f"{document}:{question}", DOCUMENT: document, QUESTION: question, ANSWERED_BY: model}
    if kind == REFUSAL:
        return LoggedAnswer(**told, answer="")
    require_known(f"type of answer to {question}:", kind, (*FIELD_OF_TYPE, REFUSAL))
    value = required_value(answer, FIELD_OF_TYPE[kind])
    if kind in ("noul", "predicate"):
        yes = as_signal(value)
        value, probabilities = "true" if yes >= 0.5 else "false", [yes, 1 - yes]
    else:
        options = required_value(answer, "probabilities")
        listed = options.values() if isinstance(options, Mapping) else [value_at(one, "probability") for one in options]
        probabilities = [as_signal(probability) for probability in listed]
    signals = option_signals(probabilities) | {"certainty": as_signal(answer.get(CONFIDENCE))}
    return LoggedAnswer(**told, answer=str(value), confidence=signals["probability"], signals=signals)


READERS: dict[str, Callable[[Path], Iterator[LoggedAnswer]]] = {
    "lm-eval": lm_eval_answers,
    "inspect": inspect_answers,
    "helm": helm_answers,
    "uqlm": uqlm_answers,
    "chat": chat_answers,
    "decisions": decision_answers,
}
MAPPED = "jsonl"  # the kind of any other log
OTHERWISE_SHAPED = (
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    OverflowError,
)  # where a field holds something else
TEXTS = ("id", "answer", "truth", DOCUMENT, QUESTION, ANSWERED_BY)
FIELDS = (*TEXTS, "is_correct", CONFIDENCE, "signals")  # what a mapping may name


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
    reader = READERS[kind] if mapping is None else partial(mapped_answers, fields=fields_of_mapping(mapping))
    answers: list[LoggedAnswer] = []
    for file in files:
        with located(file), explained(f"cannot be read as a log of kind {kind}", None, OTHERWISE_SHAPED):
            read = [*reader(file)]
            if not read:
                raise SteepslopeError("expected answers, found none")
        answers += read
    return answers


def fields_of_mapping(path: Path) -> dict[str, Any]:
    """Read where a record has what: the path of each field of an answer and, below ``signals``, of each signal."""
    content = read_yaml(path)
    with located(path):
        for name in content:
            require_known("field of an answer:", name, FIELDS)
        signals = content.get("signals")
        if not isinstance(signals, dict) or not signals:
            raise SteepslopeError(f"expected names and the paths of their fields, found {signals!r}", "signals")
    return content


def mapped_answers(path: Path, fields: Mapping[str, Any]) -> Iterator[LoggedAnswer]:
    """Yield the answers in records whose fields a mapping names."""
    paths = {name: str(place) for name, place in fields.items() if name != "signals"}
    of_signals = {str(name): str(place) for name, place in fields["signals"].items()}
    seen: set[str] = set()
    for row, record in enumerate(log_records(path)):
        values = {name: value_at(record, place) for name, place in paths.items()}
        signals = {name: value_at(record, place) for name, place in of_signals.items()}
        seen |= {name for name, value in (values | signals).items() if value is not None}
        texts: Any = {name: str(values[name]) for name in TEXTS if values.get(name) is not None}
        yield LoggedAnswer(
            **({"id": f"{path.stem}:{row}", "answer": ""} | texts),
            is_correct=as_grade(values.get("is_correct"), "is_correct"),
            confidence=as_signal(values.get(CONFIDENCE)),
            signals={name: as_signal(value) for name, value in signals.items()},
        )
    for name, place in (paths | of_signals).items():
        if name not in seen:
            raise SteepslopeError(f"no record has a field {place!r} ({name})")


def with_truths(answers: Sequence[LoggedAnswer], path: Path) -> list[LoggedAnswer]:
    """Return the answers with the truth that stands in a table; raise if there is none for any of them.

    The table has columns id and label, the right answer, or id and is_correct; or id, the document, and the right
    answers of a document, in a column for each question.
    """
    truths: dict[tuple[str, str], Any] = {}
    with located(path):
        records = [*log_records(path)]
        require_ids_once([str(required_value(record, "id")) for record in records])
        for record in records:
            name = str(record["id"])
            truths |= {(name, str(column)): value for column, value in record.items() if not is_no_answer(str(value))}
        told = []
        for answer in answers:
            truth = truths.get((answer.id, "label"), truths.get((answer.document, answer.question)))
            is_correct = as_grade(truths.get((answer.id, "is_correct")), "is_correct")
            told.append(replace(answer, truth=None if truth is None else str(truth), is_correct=is_correct))
        if all(answer.grade is None for answer in told):
            expected = "expected columns id and label, id and is_correct, or id and one for each question"
            raise SteepslopeError(f"{expected}, found none of {answers[0].id} and {len(answers) - 1:,} other answers")
    return told


def graded_answers(answers: Sequence[LoggedAnswer]) -> list[LoggedAnswer]:
    """Return those of the answers that are known to be right or wrong; all if this is known of none.

    Raises
    ------
    SteepslopeError
        If a signal is the grade itself.
    """
    graded = [answer for answer in answers if answer.grade is not None]
    for name in graded[0].signals if len(graded) >= TELLING else ():
        if all(answer.signals.get(name) == answer.grade for answer in graded):
            expected = "expected a number that is known without the truth"
            raise SteepslopeError(f"{expected}, found the grade of each answer", f"signal {name}")
    return graded or list(answers)


def write_answers(path: Path, answers: Sequence[LoggedAnswer], are_choices: bool = False) -> None:
    """Write answers as a .csv file: graded ones, or predictions and labels if they ``are_choices`` of a few classes.

    A choice begins with its question, if it has one, so that each question has classes of its own.

    Raises
    ------
    SteepslopeError
        If an id is there twice, or the answers are those of several models.
    """
    require_ids_once([answer.id for answer in answers])
    if not any(answer.signals or answer.confidence == answer.confidence for answer in answers):
        raise SteepslopeError("expected numbers next to some answer, such as log-probabilities, found none", "signals")
    models = sorted({answer.answered_by for answer in answers if answer.answered_by})
    if len(models) > 1:
        found = f"found {listed_names(models)}: import them apart, or set it with --answered-by"
        raise SteepslopeError(f"expected the answers of one model and version, {found}", ANSWERED_BY)
    columns = {name: [getattr(answer, name) for answer in answers] for name in ("id", DOCUMENT, QUESTION, ANSWERED_BY)}
    if are_choices:
        if any(answer.truth is None and answer.grade is not None for answer in answers):
            raise SteepslopeError("expected the right answers (--truths) with choices, found grades alone", "choices")
        if any(answer.truth is not None for answer in answers):
            answers = [answer for answer in answers if answer.answer]  # a refusal is no prediction to learn from
        columns[PREDICTION] = [_class_of_choice(answer, answer.answer) for answer in answers]
        columns["label"] = [_class_of_choice(answer, answer.truth or "") for answer in answers]
    else:
        columns["answer"] = [answer.answer.encode("utf-8", "replace").decode() for answer in answers]
        columns[CORRECT] = ["" if answer.grade is None else str(answer.grade).lower() for answer in answers]
    frame: Frame = {name: np.array(values, np.object_) for name, values in columns.items() if any(values)}
    numbers = {CONFIDENCE: np.array([answer.confidence for answer in answers])}
    for name in dict.fromkeys(name for answer in answers for name in answer.signals):
        values = [answer.signals.get(name, nan) for answer in answers]
        numbers[f"{SIGNAL}{require_signal_name(name)}"] = np.array(values)
    frame |= {name: values for name, values in numbers.items() if not np.isnan(values).all()}
    with (
        staged_folder(path.parent, last=path.name) as staging,
        located(path),
        table_writer(staging / path.name, {}) as file,
    ):
        file.write(frame)


def _class_of_choice(answer: LoggedAnswer, name: str) -> str:
    return f"{answer.question}: {name}" if answer.question and name else name
