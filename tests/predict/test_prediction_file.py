"""The summary of a table of decisions, and the names that its file can have."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from steepslope.errors import SteepslopeError
from steepslope.predict.prediction_file import Summary, require_file


def decisions(
    *words: str, handed_over: list[float | None] | None = None, errors: list[str | None] | None = None
) -> pa.Table:
    columns = {"decision": [*words], "handed_over": handed_over, "error": errors}
    return pa.table({name: column for name, column in columns.items() if column is not None})


def test_rows_are_counted() -> None:
    found = Summary().plus(decisions("accept", "review", "reject", "accept"))
    assert found == Summary(4, 2, 1, 0, None)
    assert found.plus(decisions("review", errors=["broken"])) == Summary(5, 2, 1, 1, None)
    assert found.plus(decisions("accept", errors=[None])) == Summary(5, 3, 1, 0, None)


def test_the_hand_over_is_the_mean_of_what_was_judged() -> None:
    one = decisions("accept", "review", handed_over=[0.5, None], errors=[None, "broken"])
    two = decisions("accept", "accept", "accept", handed_over=[0.0, 0.5, 1.0])
    broken = decisions("review", errors=["broken"])
    mean = Summary().plus(one).plus(broken).plus(two).handed_over
    assert mean == pytest.approx(0.5)
    assert Summary().plus(broken).plus(two).handed_over == pytest.approx(0.5)
    assert Summary().plus(decisions("review", handed_over=[None], errors=["broken"])).handed_over is None


def test_it_is_read_back(tmp_path: Path) -> None:
    content = {"rows": 5, "accepted": 2, "rejected": 1, "failed": 0, "handed_over": None}
    assert Summary.read(json.loads(json.dumps(content)), tmp_path) == Summary(5, 2, 1)
    with pytest.raises(SteepslopeError, match="the field 'failed' is missing"):
        Summary.read({"rows": 5, "accepted": 2, "rejected": 1}, tmp_path)
    with pytest.raises(SteepslopeError, match="field 'rows'"):
        Summary.read({**content, "rows": "5"}, tmp_path)


def test_names_of_files(tmp_path: Path) -> None:
    for name in ("-", "found.csv", "found.CSV", str(tmp_path / "found.parquet")):
        require_file(name)
    for name in ("found", "found.txt", "found.csv.gz", str(tmp_path)):
        with pytest.raises(SteepslopeError, match="expected a file that ends in"):
            require_file(name)
    (tmp_path / "found.csv").mkdir()
    with pytest.raises(SteepslopeError, match=r"found\.csv: expected a file to write to, found a folder"):
        require_file(str(tmp_path / "found.csv"))


def test_what_is_read_is_never_written_to(tmp_path: Path) -> None:
    read, linked, new = tmp_path / "rows.csv", tmp_path / "linked.csv", tmp_path / "new.csv"
    read.write_text("logit_0,logit_1\n1,2\n")
    linked.symlink_to(read)
    (tmp_path / "folder").mkdir()
    ids = tmp_path / "folder" / "ids.parquet"
    ids.touch()
    require_file(str(new), str(read), None, "site", str(ids.parent))
    require_file("-", str(read))
    for out, source in ((read, read), (linked, read), (ids, ids.parent)):
        with pytest.raises(SteepslopeError, match=r"expected another file than those that are read"):
            require_file(str(out), None, str(source))
