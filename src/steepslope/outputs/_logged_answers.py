"""Answers as logs have them: one answer, whether it is right, and the table of answers that all commands read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from pathlib import Path

import numpy as np

from steepslope.errors import SteepslopeError, located
from steepslope.files import staged_folder
from steepslope.outputs._answers import ANSWERED_BY, CONFIDENCE
from steepslope.outputs._arrays import SIGNAL, require_signal_name
from steepslope.outputs._columns import CORRECT, PREDICTION
from steepslope.outputs._labels import TRUTH_OF_TEXT, listed_names, number_in_text
from steepslope.outputs._table import require_ids_once
from steepslope.outputs._table_files import Frame, table_writer

_TEXT_OF_GRADE = {True: "true", False: "false", None: ""}
_FEWEST_THAT_TELL = 20  # answers whose signal equals their grade: then it is the grade


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
        return _meaning_of_text(self.answer) == _meaning_of_text(self.truth)


def _meaning_of_text(text: str) -> str | float:
    """Return what an answer is compared by: a number, 1 or 0 for true or false, or the text without its case.

    >>> _meaning_of_text(" Yes") == _meaning_of_text("true"), _meaning_of_text("3.0") == _meaning_of_text("3")
    (True, True)
    """
    plain = text.strip().lower()
    number = number_in_text(plain)
    if number is not None:
        return number
    return TRUTH_OF_TEXT.get(plain, plain)


def graded_answers(answers: Sequence[LoggedAnswer]) -> list[LoggedAnswer]:
    """Return those of the answers that are known to be right or wrong; all if this is known of none.

    Raises
    ------
    SteepslopeError
        If a signal is the grade itself.
    """
    graded = [answer for answer in answers if answer.grade is not None]
    if len(graded) >= _FEWEST_THAT_TELL:
        for name in graded[0].signals:
            if all(answer.signals.get(name) == answer.grade for answer in graded):
                raise SteepslopeError(
                    "expected a number that is known without the truth, found the grade of each answer",
                    f"signal {name}",
                )
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
    if not any(answer.signals or not isnan(answer.confidence) for answer in answers):
        raise SteepslopeError("expected numbers next to some answer, such as log-probabilities, found none", "signals")
    models = sorted({answer.answered_by for answer in answers} - {""})
    if len(models) > 1:
        raise SteepslopeError(
            "expected the answers of one model and version, "
            f"found {listed_names(models)}: import them apart, or set it with --answered-by",
            ANSWERED_BY,
        )
    if are_choices and any(answer.truth is None and answer.grade is not None for answer in answers):
        raise SteepslopeError("expected the right answers (--truths) with choices, found grades alone", "choices")
    if are_choices and any(answer.truth is not None for answer in answers):
        answers = [answer for answer in answers if answer.answer]  # a refusal is no prediction to learn from
    frame = _texts_of_answers(answers, are_choices) | _numbers_of_answers(answers)
    with (
        staged_folder(path.parent, last=path.name) as staging,
        located(path),
        table_writer(staging / path.name, {}) as file,
    ):
        file.write(frame)


def _texts_of_answers(answers: Sequence[LoggedAnswer], are_choices: bool) -> Frame:
    """Return the columns of text that are not empty."""
    columns: defaultdict[str, list[str]] = defaultdict(list)
    for answer in answers:
        columns["id"].append(answer.id)
        columns["document"].append(answer.document)
        columns["question"].append(answer.question)
        columns[ANSWERED_BY].append(answer.answered_by)
        if are_choices:
            columns[PREDICTION].append(_class_of_choice(answer, answer.answer))
            columns["label"].append(_class_of_choice(answer, answer.truth or ""))
        else:
            columns["answer"].append(answer.answer.encode("utf-8", "replace").decode())
            columns[CORRECT].append(_TEXT_OF_GRADE[answer.grade])
    return {name: np.array(texts, np.object_) for name, texts in columns.items() if any(texts)}


def _numbers_of_answers(answers: Sequence[LoggedAnswer]) -> Frame:
    """Return the columns of the confidence and of each signal, as far as they are not empty."""
    columns = {CONFIDENCE: [answer.confidence for answer in answers]}
    names: dict[str, None] = {}
    for answer in answers:
        names |= dict.fromkeys(answer.signals)
    for name in names:
        column = f"{SIGNAL}{require_signal_name(name)}"
        columns[column] = [answer.signals.get(name, nan) for answer in answers]
    return {name: np.array(numbers) for name, numbers in columns.items() if not np.isnan(numbers).all()}


def _class_of_choice(answer: LoggedAnswer, name: str) -> str:
    if answer.question and name:
        return f"{answer.question}: {name}"
    return name
