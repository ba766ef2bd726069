"""Groups and clusters from a file of one's own: by id where there are ids, else by place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.predictions import clusters_of_predictions, groups_of_predictions
from steepslope.outputs.table import read_table
from tests.conftest import make_outputs

N = 40


@pytest.fixture
def outputs(tmp_path: Path) -> ClassifierOutputs:
    made = make_outputs(N).changed(ids=[f"cat/{row}.png" for row in range(N)])
    made.save(tmp_path / "outputs")
    return made


def sheet(path: Path, rows: list[int], header: str = "id,group,cluster") -> Path:
    lines = [header, *(f"cat/{row}.png,g{row % 3},c{row // 4}" for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rows_in_another_order_and_further_rows_change_nothing(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    shuffled = [int(row) for row in np.random.default_rng(0).permutation(N + 9)]
    named = str(sheet(tmp_path / "sheet.csv", shuffled))
    found = groups_of_predictions(named, outputs, read_table(tmp_path / "outputs"))
    assert found is not None
    assert found.names is not None
    assert [found.names[code] for code in found.codes] == [f"g{row % 3}" for row in range(N)]
    clusters = clusters_of_predictions(named, read_table(tmp_path / "outputs"))
    assert clusters is not None
    assert len({(int(code), row // 4) for row, code in enumerate(clusters)}) == N // 4


def test_without_ids_rows_go_by_their_places(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    named = str(sheet(tmp_path / "sheet.csv", list(range(N))[::-1], "name,group,cluster"))
    found = groups_of_predictions(named, outputs, read_table(tmp_path / "outputs"))
    assert found is not None
    assert found.names is not None
    assert [found.names[code] for code in found.codes] == [f"g{row % 3}" for row in range(N)][::-1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (list(range(N - 2)), "found none for 'cat/38.png' \\(2 such\\); without that column rows go by their places"),
        ([*range(N), 7], "column 'id': expected each id once, found 'cat/7.png' twice"),
    ],
)
def test_what_does_not_fit_is_named(rows: list[int], message: str, outputs: ClassifierOutputs, tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError, match=message):
        groups_of_predictions(str(sheet(tmp_path / "sheet.csv", rows)), outputs, read_table(tmp_path / "outputs"))


def test_a_table_that_is_not_there_is_named(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, found in (("none.csv", "no such file"), ("none.parquet", "no such file"), ("folder.csv", "a folder")):
        with pytest.raises(SteepslopeError, match=rf"{name}: expected a table, found {found}$"):
            groups_of_predictions(str(tmp_path / name), outputs, read_table(tmp_path / "outputs"))
