"""A line for each prediction: names, confidences and decisions, beside the columns of the user's own table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.table import read_table
from steepslope.report.row_table import require_writable
from tests.conftest import make_outputs

CLASSES = ("ant", "bee", "cat", "dog")


def evaluated(tmp_path: Path, outputs: Path, options: str = "", rows: str = "rows.csv") -> list[dict[str, Any]]:
    """Evaluate outputs, and return the lines of the rows."""
    words = f"evaluate --outputs {outputs} --bootstrap 0 --out {tmp_path}/out --rows {tmp_path}/{rows} {options}"
    assert main(words.split()) == 0
    if rows.endswith(".parquet"):
        found: list[dict[str, Any]] = pq.read_table(tmp_path / rows).to_pylist()
        return found
    with (tmp_path / rows).open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";" if ";" in options else ","))


def test_a_users_own_columns_stand_beside_as_they_are(tmp_path: Path) -> None:
    """Text stays text; a column whose name is taken gets another one; nothing is read twice."""
    path = tmp_path / "mine.csv"
    path.write_text('target;age;s_cat;s_dog;prediction;note\ncat;007;2;1;x;"a;b"\ndog;;2;1;;"two\nlines"\n')
    options = "--separator ; --label-column target --logit-columns s* --scores margin"
    first, second = evaluated(tmp_path, path, options)
    names = "id label prediction mcp mcp_trusted margin target age s_cat s_dog given_prediction note"
    assert list(first) == names.split()
    assert [first[name] for name in ("id", "label", "prediction", "mcp_trusted")] == ["0", "cat", "cat", "true"]
    assert [second[name] for name in ("id", "label", "prediction")] == ["1", "dog", "cat"]
    assert (first["age"], first["note"], first["given_prediction"]) == ("007", "a;b", "x")
    assert (second["age"], second["note"]) == ("", "two\nlines")


@pytest.mark.parametrize("form", ["folder", "outputs.parquet"])
def test_rows_hold_names_confidences_and_decisions(form: str, tmp_path: Path) -> None:
    """Those that are asked for and the report's own; a folder that is called as a column is has one of its own."""
    outputs = make_outputs(300).named(CLASSES)
    outputs.save(tmp_path / form)
    oracle = Oracle(epochs=5).fit(make_outputs(300, seed=1).changed(ids=None))
    oracle.save(tmp_path / "label")
    lines = evaluated(tmp_path, tmp_path / form, f"--scores margin,{tmp_path}/label", "rows.parquet")
    table = pq.read_table(tmp_path / "out" / "rows.parquet")
    names = "id label prediction is_correct mcp mcp_trusted margin score_label score_label_trusted"
    assert table.column_names == names.split()
    assert table["is_correct"].to_pylist() == outputs.is_correct.tolist()
    assert table.schema.field("margin").type == pa.float64()
    for rows in (pa.Table.from_pylist(lines), table):
        assert rows["id"].to_pylist() == [f"row/{row}" for row in range(300)]
        assert rows["label"].to_pylist() == [CLASSES[label] for label in outputs.require_labels()]
        assert rows["prediction"].to_pylist() == [CLASSES[label] for label in outputs.predictions]
        np.testing.assert_array_equal(rows["score_label"], oracle.trust_logit(outputs))
        np.testing.assert_array_equal(rows["score_label_trusted"], oracle.trusts(outputs))
    about = json.loads(table.schema.metadata[b"steepslope"])["scores"]
    assert [(one["score"], one["confidence"], one["trusted"], one["loss"], one["scale"]) for one in about] == [
        ("mcp", "mcp", "mcp_trusted", None, "logit"),
        ("margin", "margin", None, None, "rank"),
        ("label", "score_label", "score_label_trusted", "steep_slope", "logit"),
    ]


def test_thresholds_give_the_coverage_at_each_risk(tmp_path: Path) -> None:
    make_outputs(300).save(tmp_path / "outputs.npz")
    lines = evaluated(tmp_path, tmp_path / "outputs.npz")
    row = json.loads((tmp_path / "out" / "details.json").read_text())[0]
    confidence = np.array([float(line["mcp"]) for line in lines])
    is_correct = np.array([line["label"] == line["prediction"] for line in lines])
    assert row["threshold_at_risk"].keys() == row["coverage_at_risk"].keys() == {"1", "2", "5", "10"}
    for percent, threshold in row["threshold_at_risk"].items():
        accepted = confidence >= threshold
        assert accepted.mean() == pytest.approx(row["coverage_at_risk"][percent]["value"])
        assert 1 - is_correct[accepted].mean() <= int(percent) / 100


def test_rows_of_many_batches_stay_together(tmp_path: Path) -> None:
    """The table comes in batches of its own size; ids of the user's own prove that none is shifted."""
    n = 30_000  # of a .csv file a batch is a megabyte
    logits = np.random.default_rng(0).normal(size=(n, 2))
    labels = np.arange(n) % 2
    ids = np.array([f"photo {row}" for row in range(n)])
    ClassifierOutputs(logits, labels, ids=ids).save(tmp_path / "outputs.csv")
    lines = evaluated(tmp_path, tmp_path / "outputs.csv")
    assert [line["id"] for line in lines] == ids.tolist()
    assert [int(line["label"]) for line in lines] == labels.tolist()
    margins = logits.max(axis=1) - logits.min(axis=1)
    np.testing.assert_allclose([float(line["mcp"]) for line in lines], margins, rtol=1e-9)
    assert [float(line["logit_0"]) for line in lines] == logits[:, 0].tolist()


def test_lists_of_numbers_are_logits_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Such a column goes to Parquet again, and to CSV not; then an earlier file stays."""
    path = tmp_path / "mine.parquet"
    table = {"label": ["b", "a", "b"], "scores": [[2.0, 1.0], [1.5, 1.0], [0.0, 1.0]]}
    pq.write_table(pa.table(table), path)
    (tmp_path / "classes.txt").write_text("a\nb\n")
    options = f"--logit-columns scores --classes {tmp_path}/classes.txt"
    lines = evaluated(tmp_path, path, options, "rows.parquet")
    assert [line["prediction"] for line in lines] == ["a", "a", "b"]
    assert [line["scores"] for line in lines] == table["scores"]
    (tmp_path / "rows.csv").write_text("earlier")
    capsys.readouterr()
    words = (
        f"evaluate --outputs {path} {options} --bootstrap 0 --out {tmp_path}/out2 --replace --rows {tmp_path}/rows.csv"
    )
    assert main(words.split()) == 2
    assert "a .csv file cannot hold a column of the outputs' file" in capsys.readouterr().err
    assert (tmp_path / "rows.csv").read_text() == "earlier"
    assert not list(tmp_path.glob(".partial*"))


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("x,label,logit_0,logit_1,x,x\n1,0,2,1,2,3\n4,1,2,1,5,6\n")
    lines = evaluated(tmp_path, path, "", "rows.parquet")
    assert [lines[0][name] for name in ("x", "given_x", "given_given_x")] == ["1", "2", "3"]


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that are missing beside a complete report are made up for."""
    make_outputs(60).save(tmp_path / "outputs.npz")
    words = f"evaluate --outputs {tmp_path}/outputs.npz --bootstrap 0 --out {tmp_path}/out".split()
    rows = tmp_path / "rows.csv"
    assert main(words) == 0
    rows.write_text("mine")
    capsys.readouterr()
    assert main([*words[:-1], str(tmp_path / "other"), "--rows", str(rows)]) == 2
    assert "rows.csv: there is such a file already: choose another, or give --replace" in capsys.readouterr().err
    assert rows.read_text() == "mine"
    assert not (tmp_path / "other" / "report.html").exists()
    rows.unlink()
    for _ in range(2):
        assert main([*words, "--rows", str(rows)]) == 0
        assert len(rows.read_text().splitlines()) == 61
    assert "already complete" in capsys.readouterr().err
    assert main([*words, "--scores", "margin", "--replace", "--rows", str(rows)]) == 0
    assert rows.read_text().startswith('"id","label","prediction","mcp","mcp_trusted","margin"')


def test_rows_of_confidences_alone_have_no_label(tmp_path: Path) -> None:
    """And no threshold where nothing can be accepted."""
    path = tmp_path / "alone.csv"
    path.write_text("confidence,is_correct,case\n0.9,no,a\n0.5,yes,a\n0.4,yes,b\n0.3,no,c\n")
    user = evaluated(tmp_path, path, "--cluster case")
    assert list(user[0].values()) == ["0", "0.9", "true", "no", "a"]
    lines = pq.read_table(tmp_path / "out" / "rows.parquet").to_pylist()
    assert list(lines[0]) == ["id", "is_correct", "cluster", "confidence", "confidence_trusted"]
    assert [line["id"] for line in lines] == list("0123")
    assert [line["is_correct"] for line in lines] == [False, True, True, False]
    assert [line["cluster"] for line in lines] == [0, 0, 1, 2]
    row = json.loads((tmp_path / "out" / "details.json").read_text())[0]
    assert set(row["threshold_at_risk"].values()) == {None}


@pytest.mark.parametrize("form", ["folder", "outputs.csv"])
def test_odd_ids_are_read_as_they_are(form: str, tmp_path: Path) -> None:
    ids = np.array([f'a,"{row}"\n<script>{row % 7}' for row in range(300)])
    ids[[5, 6]] = "", "twice"
    make_outputs(300).changed(ids=ids).save(tmp_path / form)
    rows = np.arange(300)[::-1]
    assert read_table(tmp_path / form).ids_of(rows) == ids[rows].tolist()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("out/rows.parquet", "rows: expected another file than the report's own rows.parquet"),
        ("o.csv", "rows: expected another file than the outputs themselves"),
        ("o.txt", r"rows: expected a file that ends in .csv or .parquet"),
        ("folder.csv", "expected a file to write to, found a folder"),
    ],
)
def test_rows_do_not_take_the_place_of_anything(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("confidence,is_correct\n0.9,no\n")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SteepslopeError, match=words):
        require_writable(tmp_path / name, tmp_path / "o.csv", tmp_path / "out")
