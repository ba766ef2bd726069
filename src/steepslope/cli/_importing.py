"""`steepslope import`."""

from __future__ import annotations

from dataclasses import replace as changed
from pathlib import Path
from typing import Literal

from steepslope.cli._parser import showing_first
from steepslope.errors import SteepslopeError
from steepslope.files import require_free_file, say

Kind = Literal["lm-eval", "inspect", "helm", "uqlm", "chat", "decisions", "jsonl"]


@showing_first("kind", "files", "out", "truths", "mapping", "choices")
def import_answers(
    kind: Kind,
    files: tuple[str, ...],
    /,
    out: str,
    truths: str | None = None,
    mapping: str | None = None,
    choices: bool = False,
    answered_by: str | None = None,
    replace: bool = False,
) -> None:
    """Turn logs of language models, judges and decision services into a table of answers with signals.

    Writes a row for each answer: id, answer and is_correct (or prediction and label), document and question if there
    are several, answered_by (the model with its version), and a column signal_NAME for each number that is known
    without the truth. fit, evaluate, calibrate and predict read this file as it is.

    Parameters
    ----------
    kind
        lm-eval: samples_*.jsonl of lm-evaluation-harness. inspect: a log of inspect-ai, .eval or .json. helm: a run's
        folder. uqlm: a frame saved as .csv, .parquet or .json. chat: chat completions with log-probabilities, .jsonl.
        decisions: answers of a decision service, with a probability for each option, .jsonl. jsonl: any records, whose
        fields --mapping names.
    files
        The logs.
    out
        The file to write, .csv.
    truths
        Table (.csv, .parquet or .jsonl) with the right answers: columns id and label, id and is_correct, or id and one
        for each question. Where some answers are known to be right or wrong, the others are left out.
    mapping
        YAML or JSON file that names the fields of id, answer, truth, is_correct, confidence, document, question and
        answered_by. Leave out what your records lack. List signals under signals, each with its field. A path such as
        choices.0.text leads into lists and objects.
    choices
        The answers are choices among a few classes. These become predictions and labels.
    answered_by
        Name and version of the model, instead of the one in the logs.
    replace
        Replace a file that is there.
    """
    from steepslope.outputs import graded_answers, read_answers, with_truths, write_answers

    if not out.endswith(".csv"):
        raise SteepslopeError(f"expected a file that ends in .csv, found {out!r}", "out")
    require_free_file(Path(out), replace)
    answers = read_answers(kind, [Path(file) for file in files], None if mapping is None else Path(mapping))
    answers = answers if truths is None else with_truths(answers, Path(truths))
    graded = graded_answers(answers)
    if answered_by is not None:
        graded = [changed(answer, answered_by=answered_by) for answer in graded]
    write_answers(Path(out), graded, choices)
    lacking = len(answers) - len(graded)
    left_out = f"; {lacking:,} others are left out, because nothing tells whether they are right" if lacking else ""
    say(f"{out}: {len(graded):,} answers{left_out}")
