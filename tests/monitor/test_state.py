"""A state in one SQLite file: whole or unchanged, shared by processes, and refused in one line where it is damaged."""

from __future__ import annotations

import json
import multiprocessing
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.monitor import Monitor
from steepslope.monitor._state import Counted, _seal_state, begin_state, open_state
from steepslope.predict._chunks import hash_of_text
from tests.monitor.problems import feed, gate, monitor_of, stream
from tests.monitor.processes import add_rows
from tests.refusal import refusal

CONTENT = {"rows": 0}
MONITOR = monitor_of(gate()).as_json()
CAT = Counted(hash_of_text("photo 1"), hash_of_text("cat"), 0.5, True, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    begin_state(tmp_path / "state.sqlite", CONTENT)
    return tmp_path / "state.sqlite"


def test_what_is_written_is_read(path: Path) -> None:
    dog = Counted(hash_of_text("photo 2"), hash_of_text("dog"), 0.25, False, 2, False)
    with open_state(path) as state:
        assert (state.content, state.has_predictions) == (CONTENT, False)
        state.add([CAT, dog])
        state.write({"rows": 2})
    with open_state(path) as state:
        assert (state.content, state.has_predictions) == ({"rows": 2}, True)
        assert state.counted([CAT.id, 7]) == {CAT.id: CAT}
        state.label({CAT.id: True})
    with open_state(path, write=False) as state:
        assert state.counted([CAT.id, dog.id]) == {CAT.id: CAT._replace(is_correct=True), dog.id: dog}
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_block_that_fails_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(SteepslopeError, match="UNIQUE constraint failed"), open_state(path) as state:
        state.add([CAT, CAT._replace(id=CAT.id + 1), CAT])
    assert path.read_bytes() == before


def test_a_state_that_is_there_is_not_begun_again(path: Path) -> None:
    with open_state(path) as state:
        state.write({"rows": 5})
    begin_state(path, CONTENT)
    with open_state(path) as state:
        assert state.content == {"rows": 5}


def test_several_processes_count_all_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for done in [pool.submit(add_rows, path, process) for process in range(2)]:
            done.result()
    with closing(sqlite3.connect(path)) as connection:
        rows = [row for (row,) in connection.execute("SELECT row FROM predictions ORDER BY row")]
    assert rows == [*range(1, 41)]


def execute(path: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement, values in statements:
            connection.execute(statement, values)


def forge(path: Path, text: str) -> None:
    """Replace what the monitor knows, as one does who knows how the digest is made."""
    execute(path, ("UPDATE monitor SET content = ?", (text,)))
    with closing(sqlite3.connect(path)) as connection, connection:
        _seal_state(connection)


RAISED = "UPDATE monitor SET content = replace(content, '0.05', '0.06')"
OTHER = "expected what a monitor knows, found something else"
FORGED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a text": (lambda path: path.write_text('{"version": 1}'), "cannot be used as the state of a monitor"),
    "nothing": (lambda path: path.write_bytes(b""), "found another SQLite file"),
    "a cut file": (lambda path: path.write_bytes(path.read_bytes()[:5_000]), "cannot be used|damaged"),
    "zeros": (lambda path: path.write_bytes(path.read_bytes()[:4_096] + bytes(90_000)), "cannot be used|damaged"),
    "other tables": (lambda path: execute(path, ("CREATE TABLE a (b)", ())), "found another SQLite file"),
    "another number": (lambda path: execute(path, (RAISED, ())), "was changed after it was written"),
    "no content": (lambda path: execute(path, ("DELETE FROM monitor", ())), "was changed after it was written"),
    "no JSON": (lambda path: forge(path, "{"), "expected the state of a monitor"),
    "an empty object": (lambda path: forge(path, "{}"), OTHER),
    "no signals": (lambda path: forge(path, json.dumps({**MONITOR, "means": {}})), OTHER),
    "a field more": (lambda path: forge(path, json.dumps({**MONITOR, "new": 1})), OTHER),
}


@pytest.mark.parametrize("kind", FORGED)
def test_what_is_no_state_is_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    begin_state(path, MONITOR)
    damage, words = FORGED[kind]
    damage(path)
    before = path.read_bytes()
    assert re.match(f"{path}: .*({words})", refusal(Monitor.load, path))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE predictions SET p_correct = 0.9 WHERE row = 3", "UPDATE predictions SET is_correct = 1 WHERE row = 5",
        "UPDATE predictions SET accepted = 1 - accepted WHERE row = 4", "UPDATE predictions SET label = 7",
        "UPDATE predictions SET row = 8 WHERE row = 2", "UPDATE predictions SET chance = 0.5, weight = 1 WHERE row = 6",
        "UPDATE predictions SET id = 7 WHERE row = 1", "DELETE FROM predictions WHERE row = 3",
        "UPDATE predictions SET p_correct = 0.12 + 0.1 * (CASE row WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE row END)",
        "INSERT INTO predictions VALUES (1, 2, 0.5, 1, 99, NULL, NULL, NULL)",
    ],
)  # fmt: skip
def test_a_row_that_is_edited_is_noticed(edit: str, path: Path) -> None:
    with open_state(path) as state:
        names = [(hash_of_text(f"photo {row}"), hash_of_text("cat")) for row in range(1, 7)]
        state.add(Counted(*each, 0.12 + 0.1 * row, row % 2 > 0, row) for row, each in enumerate(names, 1))
        state.label({each[0]: False for each in names[3:5]})
    with open_state(path):
        pass
    execute(path, (edit, ()))
    before = path.read_bytes()
    with pytest.raises(SteepslopeError, match=r"state.sqlite: was changed after it was written"), open_state(path):
        pass
    assert path.read_bytes() == before


def test_bits_that_are_others_are_refused_or_change_no_number(tmp_path: Path) -> None:
    found = gate()
    path, monitor = tmp_path / "state.sqlite", monitor_of(found)
    feed(monitor, found, stream(500, 1))
    monitor.save(path)
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(len(content), size=60):
        other = bytearray(content)
        other[place] ^= 1
        path.write_bytes(other)
        with suppress(SteepslopeError):
            assert Monitor.load(path) == monitor


def test_a_state_that_another_process_changes_is_one_line(path: Path) -> None:
    words = "cannot be used as the state of a monitor .database is locked"
    with open_state(path), pytest.raises(SteepslopeError, match=words), open_state(path, wait=0):
        pass


@pytest.mark.parametrize(("name", "words"), [("", "found a folder"), ("no", "found no such file")])
def test_a_folder_and_nothing_are_no_state(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError, match=f"expected the state of a monitor, {words}"):
        open_state(tmp_path / name).__enter__()


def test_what_a_killed_monitor_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".partial-state.sqlite"
    left.mkdir()
    (left / "state.sqlite").write_bytes(b"half")
    begin_state(tmp_path / "state.sqlite", CONTENT)
    assert {path.name for path in tmp_path.iterdir()} == {"state.sqlite"}


def test_what_a_run_left_that_was_killed_as_it_began_a_state_is_removed_by_the_next_that_counts(path: Path) -> None:
    """The state is there already, and so is the folder in which it was made."""
    left = path.parent / f".partial-{path.name}" / path.name
    left.parent.mkdir()
    left.write_bytes(b"")
    with open_state(path, write=False):
        pass
    assert left.exists()
    with open_state(path):
        pass
    assert [file.name for file in path.parent.iterdir()] == [path.name]
