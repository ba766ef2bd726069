"""Graded answers with signals: what is taken, kept in each format, and refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from steepslope import ClassifierOutputs
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.outputs._copies import rows_together
from steepslope.outputs._options import ReadingOptions
from steepslope.scores import MCP

JUDGE, NLL = [4, 5, 1, 2], [0.3, None, 2.5, ""]


def graded(**settings: Any) -> ClassifierOutputs:
    return ClassifierOutputs.from_graded({"judge": JUDGE, "nll": NLL}, [True, True, False, True], **settings)


def test_answers_are_right_or_wrong() -> None:
    outputs = graded(ids=list("abcd"))
    assert outputs.classes == ("wrong", "right")
    assert outputs.predictions.tolist() == [1, 1, 1, 1]
    assert outputs.is_correct.tolist() == [True, True, False, True]
    assert outputs.signals == ("judge", "nll")
    assert_array_equal(outputs.require("signal_nll"), [0.3, np.nan, 2.5, np.nan])
    assert outputs.subset(slice(1, 3)).require("signal_judge").tolist() == [5, 1]


def test_one_signal_may_play_mcp() -> None:
    assert np.unique(graded().logits).size == 2  # none is surer than another
    order = np.argsort(graded(confidence="judge").logits[:, 1])
    assert order.tolist() == [2, 3, 0, 1]


@pytest.mark.parametrize("ending", ["", ".npz", ".parquet", ".csv"])
def test_signals_are_kept(ending: str, tmp_path: Path) -> None:
    outputs = graded(ids=list("abcd"))
    outputs.save(tmp_path / f"outputs{ending}")
    again = ClassifierOutputs.load(tmp_path / f"outputs{ending}")
    assert again.signals == outputs.signals
    assert_array_equal(again.require("signal_nll"), outputs.require("signal_nll"))


def test_names_are_those_that_people_use(tmp_path: Path) -> None:
    names = ["llama3.2-1b (log-prob)", "p(true)", "Übereinstimmung"]
    outputs = ClassifierOutputs.from_graded({name: [0.5, 0.25] for name in names}, [True, False])
    for ending in ("", ".npz", ".parquet", ".csv"):
        outputs.save(tmp_path / f"outputs{ending}")
        assert list(ClassifierOutputs.load(tmp_path / f"outputs{ending}").signals) == names


@pytest.mark.parametrize("option", [True, False])
def test_columns_of_a_table_are_signals(option: bool, tmp_path: Path) -> None:
    names = "judge,nll" if option else "signal_judge,signal_nll"
    (tmp_path / "answers.csv").write_text(f"id,{names},is_correct\na,4,0.3,true\nb,5,,true\nc,1,2.5,false\n")
    options = ReadingOptions(signals=("judge", "nll") if option else None)
    outputs = ClassifierOutputs.load(tmp_path / "answers.csv", options)
    assert outputs.signals == ("judge", "nll")
    assert outputs.is_correct.tolist() == [True, True, False]
    assert_array_equal(outputs.require("signal_nll"), [0.3, np.nan, 2.5])


def test_labels_with_a_confidence_have_signals_too(tmp_path: Path) -> None:
    text = "id,prediction,confidence,label,votes\na,ant,.9,ant,3\nb,bee,.7,ant,\nc,bee,.6,bee,5\n"
    (tmp_path / "answers.csv").write_text(text)
    outputs = ClassifierOutputs.load(tmp_path / "answers.csv", ReadingOptions(signals=("votes",)))
    assert outputs.classes == ("ant", "bee")
    assert_array_equal(outputs.require("signal_votes"), [3, np.nan, 5])


@pytest.mark.parametrize(
    ("signals", "settings", "line"),
    [
        ({}, {}, "signals: expected numbers by name, found none"),
        ({"judge": [1, 2], "nll": [1]}, {}, "signal_nll: expected 2 rows like the logits, found 1"),
        ({"judge": ["high", "low"]}, {}, "signal judge: expected numbers, found 'high' in row 0"),
        ({"judge": [1, np.inf]}, {}, "signal judge: expected finite numbers, or none"),
        ({"a+b": [1, 2]}, {}, "signals: expected a name without '+', ',', '/' and '\\', found 'a+b'"),
        ({"judge ": [1, 2]}, {}, "signals: expected a name without '+', ',', '/' and '\\', found 'judge '"),
        ({"judge": [1, 2]}, {"confidence": "juge"}, "unknown signal 'juge': did you mean 'judge'?"),
    ],
)
def test_other_signals_are_refused(signals: Any, settings: Any, line: str) -> None:
    with pytest.raises(SteepslopeError) as raised:
        ClassifierOutputs.from_graded(signals, [True, False], **settings)
    assert line in str(raised.value)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.csv").write_text("id,judge,is_correct\na,4,true\n")
    with pytest.raises(SteepslopeError, match="unknown column 'jugde': did you mean 'judge'"):
        ClassifierOutputs.load(tmp_path / "answers.csv", ReadingOptions(signals=("jugde",)))


def test_opinions_have_signals(tmp_path: Path) -> None:
    other = ClassifierOutputs.from_answers(["b", "a"], [0.5, 0.7], signals={"judge": [3, 4]}, ids=["y", "x"])
    own = ClassifierOutputs.from_answers(["a", "a", "b"], ids=["x", "y", "z"])
    both = own.with_opinion("gpt", other)
    assert both.signals == ("gpt: judge",)
    assert_array_equal(both.require("signal_gpt: judge"), [4, 3, np.nan])
    assert both.with_opinion("gpt", ["a", "b", "a"]).signals == ()
    (tmp_path / "gpt.csv").write_text("id,prediction,confidence,signal_judge\ny,b,.5,3\nx,a,.7,4\n", encoding="utf-8")
    own.save(tmp_path / "own")
    options = ReadingOptions(opinion=(f"gpt={tmp_path / 'gpt.csv'}",))
    assert_array_equal(ClassifierOutputs.load(tmp_path / "own", options).require("signal_gpt: judge"), [4, 3, np.nan])


def test_a_model_is_known_and_another_refused(tmp_path: Path) -> None:
    fitted, other = graded(answered_by="a-1"), graded(answered_by="a-2")
    assert (fitted.classifier, fitted.is_extracted) == ("answers of a-1", False)
    gate = Gate.of(MCP(), graded(answered_by="a-1", confidence="judge"), 0.5)
    gate.save(tmp_path / "gate")
    with pytest.raises(SteepslopeError, match="expected answers of a-1, as the gate was calibrated for, found"):
        Gate.load(tmp_path / "gate").decide(other)
    assert len(gate.decide(graded())) == 4  # whose model is not told
    for ending in ("", ".npz", ".parquet", ".csv"):
        fitted.save(tmp_path / f"outputs{ending}")
        assert ClassifierOutputs.load(tmp_path / f"outputs{ending}").classifier == "answers of a-1"


@pytest.mark.parametrize("column", ["a-1", "a-2"])
def test_the_model_of_a_table(column: str, tmp_path: Path) -> None:
    text = f"id,judge,answered_by,is_correct\na,4,a-1,true\nb,5,{column},true\n"
    (tmp_path / "answers.csv").write_text(text, encoding="utf-8")
    told = ReadingOptions(signals=("judge",), answered_by="a-1")
    assert ClassifierOutputs.load(tmp_path / "answers.csv", told).classifier == "answers of a-1"
    options = ReadingOptions(signals=("judge",))
    if column == "a-1":
        assert ClassifierOutputs.load(tmp_path / "answers.csv", options).classifier == "answers of a-1"
    else:
        with pytest.raises(SteepslopeError, match="answered_by: expected the answers of one model and version"):
            ClassifierOutputs.load(tmp_path / "answers.csv", options)


def test_signals_that_tell_one_another_make_no_copies() -> None:
    sure = np.random.default_rng(0).uniform(0.5, 1, size=600).round(3)
    signals = {"probability": sure, "margin": 2 * sure - 1, "logprob": np.log(sure), "options": np.full(600, 2.0)}
    outputs = ClassifierOutputs.from_graded(signals, sure > 0.6)
    assert len(np.unique(rows_together(outputs))) == 600
