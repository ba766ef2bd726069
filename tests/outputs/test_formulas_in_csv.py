"""Texts that spreadsheets would run as formulas: harmless in a CSV file, and the same text when they are read again."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from steepslope.outputs._table_files import TEXT, CsvWriter, table_file

NAMES = ['=HYPERLINK("http://evil.example")', "@SUM(1)", "+cmd|' /C calc'!A0", "-1+1", "\t=1", "\r=1", "＝1+1"]  # noqa: RUF001
PLAIN = ["-5", "+3.5", "1e-3", "'tis", "a=b", "", "cat"]


def written(path: Path, column: str, texts: list[str]) -> Path:
    """Write a column of texts."""
    with path.open("w", encoding="utf-8", newline="") as file:
        CsvWriter(file).write({column: np.array(texts, np.object_), "n": np.arange(len(texts))})
    return path


@pytest.mark.parametrize("text", NAMES)
def test_text_like_a_formula_is_written_behind_an_apostrophe(tmp_path: Path, text: str) -> None:
    file = written(tmp_path / "rows.csv", "id", [text, f"'{text}"])
    cells = file.read_bytes().decode().split("\n", 1)[1]
    assert cells.lstrip('"').startswith("'")
    assert next(table_file(file).batches({"id": TEXT}))["id"].tolist() == [text, f"'{text}"]


@pytest.mark.parametrize("text", PLAIN)
def test_numbers_and_other_texts_are_written_as_they_are(tmp_path: Path, text: str) -> None:
    file = written(tmp_path / "rows.csv", "id", [text])
    assert file.read_text(encoding="utf-8") == f"id,n\n{text},0\n"


def test_names_of_columns_are_written_likewise_and_read_back(tmp_path: Path) -> None:
    file = written(tmp_path / "rows.csv", "=1+1", ["a"])
    assert file.read_text(encoding="utf-8").startswith("'=1+1,n\n")
    assert table_file(file).names == ["=1+1", "n"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from("'=+-@\t\r\n1e ,;\"a＝"), max_size=6), min_size=1, max_size=8))  # noqa: RUF001
@example(["''''=1", "'", "''", "'-5", "-5", "'\n"])
def test_every_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    file = written(tmp_path_factory.mktemp("csv") / "rows.csv", "id", texts)
    assert next(table_file(file).batches({"id": TEXT}))["id"].tolist() == texts
