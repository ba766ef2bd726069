"""The numbers that decide results are those of today's code, and pages say which results earlier code made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope_lab.behaviour import (
    PARTS,
    TOLERANCE,
    is_made_by_todays_code,
    made_by,
    numbers_of_part,
    recorded_numbers,
)

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
EARLIER = "made by earlier code"
LISTED = re.compile(r"^- `([\w.-]+)`: ", re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_the_code_decides_as_recorded(part: str) -> None:
    recorded = recorded_numbers()[part]
    assert numbers_of_part(part) == pytest.approx(recorded, abs=TOLERANCE)


def test_a_result_names_what_decided_it() -> None:
    made = made_by("oracle", "promise")
    assert [*made["decided by"]] == ["oracle", "promise"]
    assert is_made_by_todays_code({"made by": made})
    assert is_made_by_todays_code({"made by": {**made, "version": "0.0.1"}})  # another version that decides alike
    assert not is_made_by_todays_code({"made by": {**made, "decided by": {"oracle": "0" * 12, "promise": "0" * 12}}})
    assert not is_made_by_todays_code({"rows": []})
    with pytest.raises(SteepslopeError, match=r"parts: expected oracle, paper, .*, found 'oracles'"):
        made_by("oracles")


def earlier_results() -> dict[str, set[str]]:
    """Return the files of results that earlier code made, by folder."""
    found: dict[str, set[str]] = {}
    for path in sorted(RESULTS.rglob("*.json")):
        folder = path.relative_to(RESULTS).parts[0]
        content = json.loads(path.read_text(encoding="utf-8"))
        if folder != "benchmark" and not (isinstance(content, dict) and is_made_by_todays_code(content)):
            found.setdefault(folder, set()).add(path.name)
    for entry in RESULTS.iterdir():
        if entry.is_dir() and not any(entry.glob("*.json")):
            found[entry.name] = {"tables alone"}
    return found


def test_pages_say_which_results_earlier_code_made() -> None:
    text = (RESULTS / "README.md").read_text(encoding="utf-8")
    told = set(LISTED.findall(text.partition("## Made by earlier code")[2]))
    assert told == {*earlier_results()}
    for page in (ROOT / "docs").rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        shown = set(re.findall(r"\.\./results/([\w-]+)/", text))
        if shown & told and "log" not in page.parts:
            assert EARLIER in text, f"{page.name} shows {shown & told}"


def test_the_benchmark_holds_the_oracle_of_today() -> None:
    of_fused = json.loads((RESULTS / "benchmark" / "fused.json").read_text(encoding="utf-8"))["pairs"]
    for name, number in recorded_numbers()["oracle"].items():
        pair, _, metric = name.partition(", ")
        assert of_fused[pair]["lines"]["score"][metric.lower()][0] == pytest.approx(number, abs=1e-4), name
