"""Tables: many batches, late decimals, groups as codes, confidences alone, and blocks that are the whole."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs, ReadingOptions
from steepslope.outputs._predictions import clusters_of_predictions, groups_of_predictions
from steepslope.outputs._table import Table, TableBlocks, read_table
from tests.conftest import make_complete, make_outputs

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
    n = 120_000
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


@pytest.mark.parametrize("form", ["folder", "outputs.npz", "outputs.csv", "outputs.parquet"])
def test_ids_of_some_rows(form: str, tmp_path: Path) -> None:
    outputs = make_outputs(300)
    rows = np.array([299, 0, 17])
    outputs.save(tmp_path / form)
    assert read_table(tmp_path / form).ids_of(rows) == ["row/299", "row/0", "row/17"]
    ClassifierOutputs(outputs.logits, outputs.labels).save(tmp_path / "bare" / form)
    assert read_table(tmp_path / "bare" / form).ids_of(rows) == ["299", "0", "17"]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    make_outputs(60).save(tmp_path / "outputs")
    for name, text in {"short": "group\na\nb\n", "none": "group,x\n", "other": "colour\nred\n"}.items():
        (tmp_path / f"{name}.csv").write_text(text)
    (tmp_path / "folder.csv").mkdir()
    rows = [f"row/{row},{'xy'[row % 2]}\n" for row in range(70)]
    for name, some in {"few": rows[:58], "twice": [*rows, rows[7]], "groups": rows[::-1]}.items():
        (tmp_path / f"{name}.csv").write_text("id,group\n" + "".join(some))
    return read_table(tmp_path / "outputs")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("nosuch", "expected a .csv or .parquet file with a column 'nosuch', found"),
        ("{}/short.csv", "expected 60 groups, one a prediction, found 2"),
        ("{}/none.csv", "expected a value in each row, found none"),
        ("{}/other.csv", "unknown column"),
        ("{}/absent.csv", "absent.csv: expected a table, found no such file$"),
        ("{}/folder.csv", "folder.csv: expected a table, found a folder$"),
        ("{}/few.csv", r"found none for 'row/58' \(2 such\); without that column rows go by their places"),
        ("{}/twice.csv", "column 'id': expected each id once, found 'row/7' twice"),
    ],
)
def test_bad_groups_are_named(groups: str, message: str, table: Table, tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError, match=message):
        groups_of_predictions(groups.format(tmp_path), ClassifierOutputs.of_table(table.require_labels(), False), table)


def test_groups_of_outputs(table: Table, tmp_path: Path) -> None:
    predictions = ClassifierOutputs.of_table(table.require_labels(), False)
    assert isinstance(predictions, ClassifierOutputs)
    by_id = groups_of_predictions(f"{tmp_path}/groups.csv", predictions, table)  # in another order, with further rows
    assert by_id is not None
    assert np.array(by_id.names)[by_id.codes].tolist() == ["x", "y"] * 30
    for named, codes in {None: predictions.labels, "predicted": predictions.predictions}.items():
        found = groups_of_predictions(named, predictions, table)
        assert found is not None
        np.testing.assert_array_equal(found.codes, codes)


def test_empty_cells_are_a_group_of_their_own_but_no_cluster(table: Table, tmp_path: Path) -> None:
    """Which predictions depend on one another cannot be known where the cell is empty."""
    path = tmp_path / "given.csv"
    path.write_text("group,cluster\n" + "a,a\n,\nb,b\n" * 20)
    found = groups_of_predictions(str(path), ClassifierOutputs.of_table(table.require_labels(), False), table)
    assert found is not None
    assert (list(found.codes), found.names) == ([0, 1, 2] * 20, ["a", "(empty)", "b"])
    with pytest.raises(SteepslopeError, match="column 'cluster': expected a value in each row, found an empty cell in"):
        clusters_of_predictions(str(path), table)
    path.write_text("cluster\n" + "".join(f"patient {row // 6}\n" for row in range(60)))
    np.testing.assert_array_equal(clusters_of_predictions(str(path), table), np.arange(60) // 6)
    assert clusters_of_predictions(None, table) is None


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_probabilities_in_columns_called_as_the_classes_need_no_option(suffix: str, tmp_path: Path) -> None:
    """Beside labels, ids and text; but others from 0 to 1, which could be of classes, leave it open what is meant."""
    shares = {"prob_dog": [0.75, 0.5, 0.0], "prob_ant": [0.25, 0.5, 1.0]}
    words = {"id": ["x", "y", "z"], "label": ["dog", "ant", "dog"], "note": ["", "fine", "odd"]}
    options = ReadingOptions(logit_columns=("prob_dog", "prob_ant"), probabilities=True)
    path = write(tmp_path / f"p{suffix}", {**words, **shares})
    plain, told = (read_table(path, one) for one in (ReadingOptions(), options))
    assert plain.classes == told.classes == ("dog", "ant")
    assert plain.ids_of(np.arange(3)) == words["id"]
    for name in ("logits", "labels"):
        np.testing.assert_array_equal(plain.arrays[name], told.arrays[name])
    (block,) = TableBlocks(path)
    np.testing.assert_array_equal(block.arrays["logits"], told.arrays["logits"])
    other = write(tmp_path / f"other{suffix}", {**words, **shares, "age": [20, 30, 40]})
    assert read_table(other).classes == ("dog", "ant")
    other = write(tmp_path / f"other{suffix}", {**words, **shares, "prob_cow": [0.25, 0.0, 0.0]})
    with pytest.raises(SteepslopeError, match=r"probabilities in columns called as the classes, .* found the "):
        read_table(other)
    assert read_table(other, ReadingOptions(), ["prob_cow"]).classes == ("dog", "ant")  # a column of groups


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "column 'fine': expected a number in each row, found 1 empty"),
        (0.9, "found 1.5 in row 7"),
        (-0.1, "expected none below 0, found -0.1 in row 7"),
    ],
)
def test_one_wrong_probability_is_told_and_does_not_hide_the_columns(
    bad: float | str | None, message: str, suffix: str, tmp_path: Path
) -> None:
    fine, bad = [0.4] * 20, "" if bad is None and suffix == ".csv" else bad
    columns = {"": list(range(20)), "label": ["fine"] * 20, "fine": [*fine[:7], bad, *fine[8:]], "fraud": [0.6] * 20}
    with pytest.raises(SteepslopeError, match=re.escape(message)):
        read_table(write(tmp_path / f"p{suffix}", columns))
    right = write(tmp_path / f"right{suffix}", {**columns, "fine": fine})
    assert read_table(right).classes == ("fine", "fraud")  # the numbers of the rows are no probabilities


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
    with pytest.raises(SteepslopeError, match="the classes dog, cat, as the outputs name them, found cat, dog"):
        ClassifierOutputs.load(tmp_path / "folder", options)


ROWS = 450


def together(blocks: list[Table], name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    return np.concatenate([ClassifierOutputs.of_table(block).require(name) for block in blocks])


@pytest.mark.parametrize("size", [70, ROWS - 1, ROWS])
@pytest.mark.parametrize("ending", ["", ".npz"])
def test_blocks_of_folders_and_archives(ending: str, size: int, tmp_path: Path) -> None:
    outputs = make_complete(ROWS)
    outputs.save(tmp_path / f"outputs{ending}")
    blocks = [*TableBlocks(tmp_path / f"outputs{ending}", size=size)]
    assert [len(block) for block in blocks] == [min(size, ROWS - start) for start in range(0, ROWS, size)]
    assert not any("labels" in block.arrays for block in blocks)
    for name in outputs.arrays.keys() - {"labels"}:
        np.testing.assert_array_equal(together(blocks, name), outputs.require(name))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_blocks_of_tables(suffix: str, tmp_path: Path) -> None:
    path, n = tmp_path / f"outputs{suffix}", 66_000
    rng = np.random.default_rng(0)
    logits, features = rng.normal(size=(n, 3)).round(4), rng.normal(size=(n, 2)).round(4)
    ClassifierOutputs(logits, features=features, ids=[f"row {row}" for row in range(n)]).save(path)
    blocks, whole = [*TableBlocks(path)], ClassifierOutputs.load(path)
    assert len(blocks) > 1
    for name in ("logits", "features", "ids"):
        np.testing.assert_array_equal(together(blocks, name), whole.require(name))


@pytest.mark.parametrize("ending", ["", ".npz", ".csv", ".parquet"])
def test_rows_without_ids_have_their_numbers_and_classes_their_names(ending: str, tmp_path: Path) -> None:
    make_outputs(30).changed(ids=None, labels=None).named("abcd").save(tmp_path / f"outputs{ending}")
    blocks = [*TableBlocks(tmp_path / f"outputs{ending}", size=7)]
    assert together(blocks, "ids").tolist() == [str(row) for row in range(30)]
    assert {block.classes for block in blocks} == {None if ending == ".csv" else ("a", "b", "c", "d")}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_further_column_comes_as_text(suffix: str, tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {"logit_0": [0.5, 1.5, 2.5], "logit_1": [1.0, 2.0, 3.0]}
    columns |= {"camera": [7, None, 12], "x": [True, None, False]}
    path = tmp_path / f"outputs{suffix}"
    (pc.write_csv if suffix == ".csv" else pq.write_table)(pa.table(columns), path)
    for name, expected in {"camera": ["7", "none", "12"], "x": ["true", "none", "false"]}.items():
        for tables in ([*TableBlocks(path, further=(name,))], [read_table(path, further=(name,))]):
            found = [table.groups(name, "none") for table in tables]
            assert [names[code] for codes, names in found for code in codes] == expected
    with pytest.raises(SteepslopeError, match="'camra': did you mean 'camera'"):
        read_table(path, further=("camra",)).groups("camra")


def test_blocks_of_probabilities_do_not_look_at_labels(tmp_path: Path) -> None:
    """What stands there need not be a class."""
    table = pa.table({"p_a": [0.25, 0.5], "p_b": [0.75, 0.5], "label": ["zebra", "?"]})
    pq.write_table(table, tmp_path / "p.parquet")
    (block,) = TableBlocks(tmp_path / "p.parquet", ReadingOptions(logit_columns=("p_*",), probabilities=True))
    np.testing.assert_allclose(np.exp(block.arrays["logits"]), [[0.25, 0.75], [0.5, 0.5]])
    assert block.classes == ("a", "b")
