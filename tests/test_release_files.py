"""What a release consists of besides the code names one version and the same needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import steepslope

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RECIPE = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))


def test_all_files_name_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == RECIPE["context"]["version"] == steepslope.__version__
    assert citation["license"] == RECIPE["about"]["license"] == PROJECT["license"]


def test_the_recipe_needs_what_the_package_needs() -> None:
    needed = [f"python {PROJECT['requires-python']}", *PROJECT["dependencies"]]
    assert [line.replace(" ", "") for line in RECIPE["requirements"]["run"]] == [
        line.replace(" ", "") for line in needed
    ]
    (entry,) = RECIPE["build"]["python"]["entry_points"]
    assert dict([entry.split(" = ")]) == PROJECT["scripts"]


def test_the_lowest_versions_are_those_that_are_declared() -> None:
    """Each library of an extra for users has one lowest version, whichever extra asks for it."""
    extras = {name: lines for name, lines in PROJECT["optional-dependencies"].items() if name not in ("dev", "docs")}
    bounds: dict[str, set[str]] = {}
    for line in [*PROJECT["dependencies"], *(line for lines in extras.values() for line in lines)]:
        library = re.fullmatch(r"([\w-]+)(?:\[.*\])?(?:>=([\w.]+))?", line)
        assert library, line
        bounds.setdefault(library[1], set()).add(library[2] or "")
    assert bounds.pop("steepslope") == {""}
    assert [name for name, found in bounds.items() if len(found) > 1 or "" in found] == []
