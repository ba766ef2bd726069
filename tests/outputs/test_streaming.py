"""Outputs block by block are those that are read as a whole, in every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.reading import ReadingOptions
from steepslope.outputs.streaming import Block, stream
from tests.conftest import make_complete, make_outputs

ROWS = 450


def together(blocks: list[Block], name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    return np.concatenate([block.outputs.require(name) for block in blocks])


@pytest.mark.parametrize("size", [1, 7, ROWS - 1, ROWS, 10_000])
@pytest.mark.parametrize("ending", ["", ".npz"])
def test_blocks_of_folders_and_archives(ending: str, size: int, tmp_path: Path) -> None:
    outputs = make_complete(ROWS)
    outputs.save(tmp_path / f"outputs{ending}")
    blocks = [*stream(tmp_path / f"outputs{ending}", size=size)]
    assert [len(block.outputs) for block in blocks] == [
        len(one) for one in np.split(np.arange(ROWS), range(size, ROWS, size))
    ]
    assert all(block.outputs.labels is None for block in blocks)
    for name in outputs.arrays.keys() - {"labels"}:
        np.testing.assert_array_equal(together(blocks, name), outputs.require(name))


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_blocks_of_tables(ending: str, tmp_path: Path) -> None:
    path, n = tmp_path / f"outputs{ending}", 150_000
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 3)).round(4)
    ClassifierOutputs(logits, features=rng.normal(size=(n, 2)).round(4), ids=[f"row {row}" for row in range(n)]).save(
        path
    )
    blocks, whole = [*stream(path)], ClassifierOutputs.load(path)
    assert len(blocks) > 1
    for name in ("logits", "features", "ids"):
        np.testing.assert_array_equal(together(blocks, name), whole.require(name))


@pytest.mark.parametrize("ending", ["", ".npz", ".csv", ".parquet"])
def test_rows_without_ids_have_their_numbers(ending: str, tmp_path: Path) -> None:
    make_outputs(30).changed(ids=None, labels=None).save(tmp_path / f"outputs{ending}")
    found = together([*stream(tmp_path / f"outputs{ending}", size=7)], "ids")
    assert found.tolist() == [str(row) for row in range(30)]


@pytest.mark.parametrize("ending", ["", ".npz", ".parquet"])
def test_classes_keep_their_names(ending: str, tmp_path: Path) -> None:
    make_outputs(30).named("abcd").save(tmp_path / f"outputs{ending}")
    assert {block.outputs.classes for block in stream(tmp_path / f"outputs{ending}", size=7)} == {("a", "b", "c", "d")}


def test_the_classifier_is_known(gates: Path) -> None:
    path = gates / "outputs" / "test"
    assert {block.outputs.classifier for block in stream(path, size=100)} == {ClassifierOutputs.load(path).classifier}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_further_column_comes_as_text(ending: str, tmp_path: Path) -> None:
    columns = {
        "logit_0": [0.5, 1.5, 2.5],
        "logit_1": [1.0, 2.0, 3.0],
        "camera": [7, None, 12],
        "x": [True, None, False],
    }
    table, path = pa.table(columns), tmp_path / f"outputs{ending}"
    (pc.write_csv if ending == ".csv" else pq.write_table)(table, path)
    for name, expected in {"camera": ["7", "", "12"], "x": ["true", "", "false"]}.items():
        found = [block.column for block in stream(path, column=name)]
        assert [text for some in found if some is not None for text in some] == expected
    with pytest.raises(SteepslopeError, match="'camra': did you mean 'camera'"):
        [*stream(path, column="camra")]


def test_only_tables_have_further_columns(tmp_path: Path) -> None:
    make_outputs(30).save(tmp_path / "outputs.npz")
    with pytest.raises(SteepslopeError, match=r"expected a \.csv or \.parquet file with a column 'camera'"):
        [*stream(tmp_path / "outputs.npz", column="camera")]


def test_probabilities_and_texts_for_labels(tmp_path: Path) -> None:
    """Labels are not read: what stands there need not be a class."""
    table = pa.table({"p_a": [0.25, 0.5], "p_b": [0.75, 0.5], "label": ["zebra", "?"]})
    pq.write_table(table, tmp_path / "p.parquet")
    options = ReadingOptions(logit_columns=("p_*",), probabilities=True)
    (block,) = stream(tmp_path / "p.parquet", options)
    np.testing.assert_allclose(np.exp(block.outputs.logits), [[0.25, 0.75], [0.5, 0.5]])
    assert block.outputs.classes == ("a", "b")


def test_a_bad_row_is_named_by_its_file(tmp_path: Path) -> None:
    for name, expected in {"nan": "nan", "": "empty"}.items():
        (tmp_path / "bad.csv").write_text(f"logit_0,logit_1\n1.5,2.5\n{name},1\n")
        with pytest.raises(SteepslopeError, match=r"bad\.csv: .*") as caught:
            [*stream(tmp_path / "bad.csv")]
        assert expected in str(caught.value).lower()
