"""YAML files as dataclasses, and changes of single places in them."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from steepslope.files._yaml_files import dataclass_from_yaml, read_yaml, set_in_yaml
from tests.refusal import refusal


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place."""

    name: str
    sizes: tuple[int, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)


def test_a_mapping_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: Wörgl\nsizes: [1, 2]\nabout: {a: [3]}\n", encoding="utf-8")
    content = read_yaml(tmp_path / "a.yaml")
    assert content == {"name": "Wörgl", "sizes": [1, 2], "about": {"a": [3]}}
    assert dataclass_from_yaml(Place, content, "a place") == Place(name="Wörgl", sizes=(1, 2), about={"a": [3]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n", "a.yaml: expected names and values, found list"),
        (b"a: " + b"[" * 1_200, r"a.yaml: cannot be read \(it is nested too deeply\)"),
        (b"a: [1\n", r"a.yaml: cannot be read \(while parsing a flow sequence"),
        (b"a: \xff\n", r"a.yaml: cannot be read \('utf-8' codec can't decode"),
        (b"a: !!python/object:os.system {}\n", r"a.yaml: cannot be read \(could not determine a constructor"),
    ],
)
def test_other_files_are_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert re.search(message, refusal(read_yaml, tmp_path / "a.yaml"))
    (tmp_path / "a.json").write_bytes(content)
    assert re.search(r"a.json: (cannot be read|expected names)", refusal(read_yaml, tmp_path / "a.json"))
    assert "b.yaml: expected a file in YAML or JSON, found none" in refusal(read_yaml, tmp_path / "b.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"nmae": "x"}, "unknown field of a place: 'nmae': did you mean 'name'?"),
        ({"sizes": [1]}, "a place: expected name, found none"),
        (None, "a place: expected names and values, found None"),
    ],
)
def test_wrong_fields_are_named(content: Any, message: str) -> None:
    assert refusal(dataclass_from_yaml, Place, content, "a place").startswith(message)


CONTENT: dict[str, Any] = {
    "nets": {"vit": {"size": 384}}, "stages": [{"epochs": 500}, {"epochs": 20}], "seeds": [0, 1]
}  # fmt: skip


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("net.vit.size", "unknown place in 'net.vit.size': 'net': did you mean 'nets'? Known: nets, seeds, stages"),
        ("stages.last.epochs", "unknown place in 'stages.last.epochs': 'last': Known: 0, 1"),
        ("seeds.2", "unknown place in 'seeds.2': '2': Known: 0, 1"),
        ("nets.vit.size.width", "nets.vit.size.width: expected names and values below size, found int"),
    ],
)
def test_places_that_are_not_there_are_named(place: str, message: str) -> None:
    content = deepcopy(CONTENT)
    assert refusal(set_in_yaml, content, place, "1") == message
    assert content == CONTENT
