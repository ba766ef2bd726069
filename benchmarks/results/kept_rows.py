"""Rows that a long benchmark keeps under what decided them, so that it goes on where it was killed; and its tables."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from steepslope.files import read_json, staged_folder, write_json
from steepslope_lab.behaviour import made_by

ROWS = "rows.json"
TABLE = "table.md"
Row = dict[str, Any]


def kept_rows(folder: Path, key: Row, make: Callable[[], list[Row]]) -> list[Row]:
    """Return the rows that the folder keeps under this key, or make and keep them."""
    path = folder / ROWS
    if path.exists():
        found = read_json(path, "rows of a benchmark")
        if found.get("key") == key:
            return list(found["rows"])
    rows = make()
    with staged_folder(folder, last=ROWS) as staging:
        write_json(staging / ROWS, {"key": key, "rows": rows})
    return rows


def write_results(out: str, decided_by: Sequence[str], rows: Sequence[Row], table: str) -> None:
    """Write rows.json, with what made them and the parts of the code that decided them, and table.md."""
    with staged_folder(out, last=TABLE) as staging:
        write_json(staging / ROWS, {"made by": made_by(*decided_by), "rows": rows})
        (staging / TABLE).write_text(table, encoding="utf-8")
