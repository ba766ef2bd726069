"""Streamed tables: many batches, late decimals, groups as codes, confidences alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs, Confidences, ReadingOptions, table_files as tables
from steepslope.outputs.confidences import load_predictions
from steepslope.outputs.formats import ids_of
from tests.conftest import make_outputs

SUFFIXES = [".csv", ".parquet"]


def write(path: Path, columns: dict[str, object]) -> Path:
    """Write columns of equal length in the format of the suffix, without the package."""
    if path.suffix == ".csv":
        lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        path.write_text("\n".join(lines) + "\n")
    else:
        pq.write_table(pa.table(columns), path, row_group_size=1000)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_many_batches_make_one_array(suffix: str, tmp_path: Path) -> None:
    """Whole numbers for far more than one block, then decimals: the type of a column is not guessed."""
    n = 200_000
    logits = np.column_stack([np.arange(n, dtype=float), np.zeros(n)])
    logits[-1] = 0.125, -2.5
    columns = {"logit_1": logits[:, 1], "label": np.arange(n) % 2, "logit_0": logits[:, 0]}
    text = {name: [f"{value:g}" if value % 1 else int(value) for value in values] for name, values in columns.items()}
    path = write(tmp_path / f"outputs{suffix}", dict(text) if suffix == ".csv" else dict(columns))
    outputs = ClassifierOutputs.load(path)
    np.testing.assert_array_equal(outputs.logits, logits)
    np.testing.assert_array_equal(outputs.labels, np.arange(n) % 2)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_a_table_cannot_hold_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"outputs{suffix}"
    with pytest.raises(SteepslopeError) as caught:
        make_outputs(3).changed(views=np.zeros((3, 2, 4))).save(path)
    assert str(caught.value) == f"{path}: a table cannot hold views: save to a folder or .npz"
    assert not path.exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("truth", [[True, False, True], [1, 0, 1]])
def test_a_confidence_alone_is_enough(suffix: str, truth: list[bool], tmp_path: Path) -> None:
    path = write(tmp_path / f"outputs{suffix}", {"confidence": [0.9, 0.2, 0.7], "is_correct": truth})
    predictions = load_predictions(path)
    assert isinstance(predictions, Confidences)
    assert predictions.is_correct.tolist() == [True, False, True]
    with pytest.raises(SteepslopeError, match="expected logits, found only confidence, is_correct"):
        ClassifierOutputs.load(path)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".npz"])
def test_evaluate_a_confidence_alone(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = make_outputs(300)
    confidence = np.random.default_rng(0).random(300)
    path = tmp_path / f"outputs{suffix}"
    if suffix == ".npz":
        np.savez(path, confidence=confidence, is_correct=outputs.is_correct)
    else:
        write(path, {"confidence": confidence, "is_correct": outputs.is_correct, "site": ["a", "b", "c"] * 100})
    groups = "" if suffix == ".npz" else " --groups site"
    assert main(f"evaluate --outputs {path} --bootstrap 20 --paper --out {tmp_path}/out{groups}".split()) == 0
    assert "cannot be compared with MCP: that needs logits" in capsys.readouterr().out
    row = json.loads((tmp_path / "out" / "metrics.json").read_text())[0]
    assert row["score"] == "confidence"
    assert row["tpr"]["value"] == pytest.approx(np.mean(confidence[outputs.is_correct] > 0.5))
    details = json.loads((tmp_path / "out" / "details.json").read_text())[0]
    assert [one["group"] for one in details["groups"]] == ([] if suffix == ".npz" else ["a", "b", "c"])
    assert main(f"evaluate --outputs {path} --scores margin --out {tmp_path}/other".split()) == 2
    assert "margin needs logits, but the predictions come with a confidence alone" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_groups_come_as_codes(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"groups{suffix}", {"group": ["b", "a", "b", "c"] * 50})
    codes, names = tables.read_groups(path, "group")
    assert [names[code] for code in codes[:4]] == ["b", "a", "b", "c"]
    with pytest.raises(SteepslopeError, match="did you mean 'group'"):
        tables.read_groups(path, "groups")


@pytest.mark.parametrize("column", ["id_1", "label_2", "site"])
@pytest.mark.parametrize("values", [["cat", "dog"], ["007", "7"]])
def test_groups_of_any_column_stay_text(column: str, values: list[str], tmp_path: Path) -> None:
    codes, names = tables.read_groups(write(tmp_path / "g.csv", {column: values}), column)
    assert [names[code] for code in codes] == values


@pytest.mark.parametrize("form", ["folder", "outputs.npz", "outputs.csv", "outputs.parquet"])
def test_ids_of_some_rows(form: str, tmp_path: Path) -> None:
    outputs = make_outputs(300)
    rows = np.array([299, 0, 17])
    outputs.save(tmp_path / form)
    assert ids_of(tmp_path / form, rows) == ["row/299", "row/0", "row/17"]
    ClassifierOutputs(outputs.logits, outputs.labels).save(tmp_path / "bare" / form)
    assert ids_of(tmp_path / "bare" / form, rows) == ["299", "0", "17"]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("nosuch", "has no columns; give a .csv or .parquet file"),
        ("{}/short.csv", "expected 60 groups, one a prediction, found 2"),
        ("{}/none.csv", "expected a value in each row, found none"),
        ("{}/other.csv", "unknown column"),
    ],
)
def test_bad_groups_are_named(groups: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_outputs(60).save(tmp_path / "outputs")
    (tmp_path / "short.csv").write_text("group\na\nb\n")
    (tmp_path / "none.csv").write_text("group,x\n")
    (tmp_path / "other.csv").write_text("colour\nred\n")
    words = ["evaluate", "--outputs", str(tmp_path / "outputs"), "--out", str(tmp_path / "out")]
    assert main([*words, "--groups", groups.format(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("groups", ["label", "predicted", "{}/groups.csv"])
def test_groups_of_outputs(groups: str, tmp_path: Path) -> None:
    make_outputs(60).save(tmp_path / "outputs")
    (tmp_path / "groups.csv").write_text("group\n" + "x\ny\n" * 30)
    words = ["evaluate", "--outputs", str(tmp_path / "outputs"), "--out", str(tmp_path / "out"), "--bootstrap", "5"]
    assert main([*words, "--groups", groups.format(tmp_path)]) == 0
    details = json.loads((tmp_path / "out" / "details.json").read_text())[0]
    assert sum(one["n"] for one in details["groups"]) == 60


def test_empty_cells_are_a_group_of_their_own_but_no_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which predictions depend on one another cannot be known where the cell is empty."""
    make_outputs(60).save(tmp_path / "outputs")
    (tmp_path / "given.csv").write_text("group,cluster\n" + "a,a\n,\nb,b\n" * 20)
    words = ["evaluate", "--outputs", str(tmp_path / "outputs"), "--out", str(tmp_path / "out"), "--bootstrap", "5"]
    assert main([*words, "--groups", str(tmp_path / "given.csv")]) == 0
    details = json.loads((tmp_path / "out" / "details.json").read_text())[0]
    assert {one["group"]: one["n"] for one in details["groups"]} == {"a": 20, "(empty)": 20, "b": 20}
    capsys.readouterr()
    assert main([*words[:3], "--out", str(tmp_path / "bad"), "--cluster", str(tmp_path / "given.csv")]) == 2
    assert "column 'cluster': expected a value in each row, found an empty cell in row 1" in capsys.readouterr().err


def test_clusters_of_a_column_or_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both give the same intervals, others than rows give, and the table tells."""
    outputs = make_outputs(60)
    patients = [f"patient {row // 6}" for row in range(60)]
    (tmp_path / "patients.csv").write_text("cluster\n" + "\n".join(patients) + "\n")
    data = {
        "label": outputs.require_labels().tolist(),
        **{f"logit_{k}": outputs.logits[:, k].tolist() for k in range(4)},
    }
    write(tmp_path / "o.csv", {**data, "patient": patients})
    words = ["evaluate", "--outputs", str(tmp_path / "o.csv"), "--bootstrap", "50", "--out"]
    for name, more in (("rows", []), ("column", ["--cluster", "patient"]), ("file", ["--cluster", "{}/patients.csv"])):
        assert main([*words, str(tmp_path / name), *(word.format(tmp_path) for word in more)]) == 0
    by_row, by_column, by_file = ((tmp_path / name / "metrics.json").read_text() for name in ("rows", "column", "file"))
    assert by_row != by_column == by_file
    assert "Whole clusters were resampled, of which there are 10." in (tmp_path / "column" / "table.md").read_text()
    assert "clusters were resampled" not in (tmp_path / "rows" / "table.md").read_text()
    capsys.readouterr()
    assert main([*words, str(tmp_path / "bad"), "--cluster", "patients"]) == 2
    assert "unknown column" in capsys.readouterr().err


def test_fit_reads_tables_by_the_same_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the same numbers in columns of other names comes the same oracle, and it knows the classes' names."""
    outputs = make_outputs(200).changed(features=None, ids=None).named(("ant", "bee", "cat", "dog"))
    outputs.save(tmp_path / "outputs.npz")
    labels = [("ant", "bee", "cat", "dog")[label] for label in outputs.require_labels()]
    scores = {f"p {name}": outputs.logits[:, k].tolist() for k, name in enumerate(("ant", "bee", "cat", "dog"))}
    mine = write(tmp_path / "mine.parquet", {"truth": labels, **scores})
    options = ["--inputs", "logits", "--epochs", "3", "--out"]
    assert main(["fit", "--outputs", str(tmp_path / "outputs.npz"), *options, str(tmp_path / "one")]) == 0
    reading = ["--label-column", "truth", "--logit-columns", "p *"]
    assert main(["fit", "--outputs", str(mine), *reading, *options, str(tmp_path / "other")]) == 0
    one, other = (Oracle.load(tmp_path / name) for name in ("one", "other"))
    np.testing.assert_allclose(one.trust_logit(outputs), other.trust_logit(outputs), rtol=1e-5)
    assert main(["fit", "--outputs", str(mine), "--logit-columns", "p *", *options, str(tmp_path / "none")]) == 2
    assert "expected the true class of each prediction, found none in a column label" in capsys.readouterr().err
    assert main(["fit", "--outputs", str(tmp_path / "outputs.npz"), *reading, *options, str(tmp_path / "none")]) == 2
    assert "label-column: expected a .csv or .parquet file to go with it" in capsys.readouterr().err


def test_options_of_numbers_and_classes_go_with_npz_files(tmp_path: Path) -> None:
    shares = np.array([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]])
    np.savez(tmp_path / "mine.npz", logits=shares, labels=np.array(["cat", "dog", "dog"]))
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    options = ReadingOptions(probabilities=True, classes=str(tmp_path / "classes.txt"))
    outputs = ClassifierOutputs.load(tmp_path / "mine.npz", options)
    assert outputs.classes == ("dog", "cat")
    assert outputs.require_labels().tolist() == [1, 0, 0]
    np.testing.assert_allclose(np.exp(outputs.logits), shares, atol=1e-7)
    outputs.save(tmp_path / "folder")
    assert ClassifierOutputs.load(tmp_path / "folder", options).classes == ("dog", "cat")  # whose logits are logits
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(
        SteepslopeError, match="expected the classes dog, cat, as the outputs name them, found cat, dog"
    ):
        ClassifierOutputs.load(tmp_path / "folder", options)
