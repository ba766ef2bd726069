"""The summary of a table of decisions, what it means, and the names that its file can have."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pyarrow.parquet as pq
import pytest

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._change import Verdict
from steepslope.outputs._table_files import Frame
from steepslope.predict import _prediction_file as prediction_file
from steepslope.predict._audit import AUDIT, CHANCE, Audit
from steepslope.predict._chunks import save_chunk
from steepslope.predict._prediction_file import Summary, _join_prediction_chunks, require_prediction_file
from steepslope.predict._source import _decision_sentences
from steepslope.scores import MCP
from tests.conftest import make_outputs


def decisions(*words: str, error: str | None = None) -> Frame:
    told = {} if error is None else {"error": np.ma.array([error] * len(words), mask=not error)}
    return {"decision": np.array(words), **told}


def test_rows_are_counted() -> None:
    found = Summary().plus(decisions("accept", "review", "reject", "accept"))
    assert found == Summary(4, 2, 1)
    assert found.plus(decisions("review", error="broken")) == Summary(5, 2, 1, 1)
    assert found.plus(decisions("accept", error="")) == Summary(5, 3, 1)


def test_names_of_files(tmp_path: Path) -> None:
    for name in ("-", "found.csv", "found.CSV", str(tmp_path / "found.parquet")):
        require_prediction_file(name)
    for name in ("found", "found.txt", "found.csv.gz", str(tmp_path)):
        with pytest.raises(SteepslopeError, match="expected a file that ends in"):
            require_prediction_file(name)
    (tmp_path / "found.csv").mkdir()
    with pytest.raises(SteepslopeError, match=r"found\.csv: expected a file to write to, found a folder"):
        require_prediction_file(str(tmp_path / "found.csv"))


def test_what_is_read_is_never_written_to(tmp_path: Path) -> None:
    read, linked, new = tmp_path / "rows.csv", tmp_path / "linked.csv", tmp_path / "new.csv"
    read.write_text("logit_0,logit_1\n1,2\n")
    linked.symlink_to(read)
    (tmp_path / "folder").mkdir()
    require_prediction_file(str(new), str(read), None, "site", str(tmp_path / "folder"))
    require_prediction_file("-", str(read))
    for out, source in ((read, read), (linked, read)):
        with pytest.raises(SteepslopeError, match=r"expected another file than those that are read"):
            require_prediction_file(str(out), None, str(source))


@pytest.fixture(scope="module")
def gate() -> Gate:
    """Return a gate that accepts about half of 4,000 rows."""
    return Gate.of(MCP(), make_outputs(4_000), 0.1, coverage=0.5)


def test_counts_are_told(gate: Gate) -> None:
    first, *others = _decision_sentences(gate, Summary(2_000, 1_000, 0, 3))
    assert first == "2,000 predictions: 1,000 accepted (50 %), 1,000 to review, 3 of these could not be read."
    assert not others
    rejecting = Gate.of(MCP(), make_outputs(4_000), 0.05, reject=0.5)
    assert "100 rejected, 900 to review." in _decision_sentences(rejecting, Summary(2_000, 1_000, 100))[0]
    assert _decision_sentences(gate, Summary()) == ["0 predictions: 0 accepted (0 %), 0 to review."]


def test_a_gate_that_accepts_nothing_gives_the_reason() -> None:
    nothing = Gate.of(MCP(), make_outputs(400), 0.0001)
    _, reason = _decision_sentences(nothing, Summary(4_000, 0))
    assert reason == f"This gate accepts nothing: {nothing.advice}."


def test_an_audit_leaves_out_images_that_could_not_be_read(tmp_path: Path) -> None:
    """A chunk of such images alone has few columns, and others have some among them."""
    read: dict[str, Any] = {"id": ["a", "b", "c"], "p_correct": np.ma.array([0.9, 0, 0.6], mask=[False, True, False])}
    read |= {"accepted": [True, False, True], "decision": ["accept", "review", "accept"]}
    read |= {"error": np.ma.array(["", "broken", ""], mask=[True, False, True])}
    broken: dict[str, Any] = {"id": ["d"], "accepted": [False], "decision": ["review"], "error": ["broken"]}
    chunks = [tmp_path / "0.npz", tmp_path / "1.npz"]
    for chunk, columns in zip(chunks, (broken, read), strict=True):
        save_chunk(chunk, {name: np.ma.asarray(column) for name, column in columns.items()})
    summary = _join_prediction_chunks(chunks, tmp_path / "all.parquet", Audit(5, 0.05, "gate"), Verdict())
    table = pq.read_table(tmp_path / "all.parquet").to_pydict()
    assert table["id"] == ["d", "a", "b", "c"]
    assert table["p_correct"] == [None, 0.9, None, 0.6]
    assert table["error"] == ["broken", None, "broken", None]
    assert (table[AUDIT], table[CHANCE]) == ([False, True, False, True], [0, 1, 0, 1])
    assert (summary.rows, summary.accepted, summary.failed, summary.audited) == (4, 2, 2, 2)


def test_what_a_killed_run_left_is_in_nobodys_way(gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed between a chunk's renaming and the removal of its staging folder leaves that folder."""
    gate.save(tmp_path / "gate")
    make_outputs(300, seed=1).save(tmp_path / "new")
    words = ["predict", "--gate", str(tmp_path / "gate"), "--outputs", str(tmp_path / "new"), "--out"]
    assert main([*words, str(tmp_path / "whole.csv")]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(prediction_file, "verdict_on_chunks", Mock(side_effect=KeyboardInterrupt))
        assert main([*words, str(tmp_path / "d.csv")]) == 130
    (tmp_path / ".d.csv.chunks" / ".partial-0000000000.npz").mkdir()
    assert main([*words, str(tmp_path / "d.csv")]) == 0
    assert (tmp_path / "d.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
