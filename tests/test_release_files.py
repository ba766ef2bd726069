"""What a release consists of besides the code names one version and the same needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

import steepslope
import steepslope_lab
from tests.linters import require_clean

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]
LAB = tomllib.loads((ROOT / "lab" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEV = "pip install '.[dev]'"
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")  # the commit, and the version that it had
RECIPE = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))


def test_all_files_name_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == RECIPE["context"]["version"] == steepslope.__version__ == steepslope_lab.__version__
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
    extras["lab"] = LAB["dependencies"]
    bounds: dict[str, set[str]] = {}
    for line in [*PROJECT["dependencies"], *(line for lines in extras.values() for line in lines)]:
        library = re.fullmatch(r"([\w-]+)(?:\[.*\])?(?:>=([\w.]+))?", line)
        assert library, line
        bounds.setdefault(library[1], set()).add(library[2] or "")
    assert bounds.pop("steepslope") == {""}
    assert [name for name, found in bounds.items() if len(found) > 1 or "" in found] == []


def test_actions_are_named_by_their_commits() -> None:
    """A tag can be moved to other code; each action is the same commit wherever it is used."""
    used = [
        line.split("uses:", 1)[1].strip()
        for path in WORKFLOWS
        for line in path.read_text(encoding="utf-8").splitlines()
        if "uses:" in line
    ]
    assert len(used) > 10
    assert [action for action in used if not PINNED.fullmatch(action)] == []
    assert len(set(used)) == len({action.partition("@")[0] for action in used})


def test_images_are_named_by_their_digests_and_dependabot_moves_them() -> None:
    files = ("Containerfile", "deploy/compose.yaml", ".github/workflows/ci.yml")
    text = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in files)
    images = re.findall(r"docker\.io/library/\S+", text)
    assert all(re.fullmatch(r"\S+:[\w.-]+@sha256:[0-9a-f]{64}", image) for image in images)
    assert len(images) > len(set(images)) == len({image.partition(":")[0] for image in images})
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {(update["package-ecosystem"], update["directory"]) for update in updates} == {
        ("github-actions", "/"), ("docker", "/"), ("docker-compose", "/deploy"), ("pip", "/deploy")
    }  # fmt: skip


def test_the_lock_of_the_image_has_what_the_extra_needs() -> None:
    text = (ROOT / "deploy" / "requirements.txt").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([\w-]+)==([\w.]+) \\$", text, re.MULTILINE))
    assert len(locked) == len(re.findall(r"^\w", text, re.MULTILINE))
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["serve"], *BUILD["requires"]]
    for line in needed:
        requirement = Requirement(line)
        assert locked[requirement.name] in requirement.specifier, line


def test_every_released_python_is_tested() -> None:
    """The lowest one that is allowed, and the next ones up to 3.14, each in one job."""
    lowest = int(re.fullmatch(r">=3\.(\d+)", PROJECT["requires-python"])[1])  # type: ignore[index]
    text = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS if path.stem == "ci")
    assert {int(minor) for minor in re.findall(r"\b3\.(\d\d)\b", text)} == set(range(lowest, 15))


def test_workflows_pass_their_linters() -> None:
    require_clean("zizmor", DEV, "--offline", "--no-progress", GITHUB)
    schema = "--builtin-schema", "vendor.github-workflows"
    require_clean("check-jsonschema", DEV, *schema, *WORKFLOWS)
    require_clean("check-jsonschema", DEV, "--builtin-schema", "vendor.dependabot", GITHUB / "dependabot.yml")


def test_the_containerfile_passes_its_linter() -> None:
    require_clean("hadolint", DEV, ROOT / "Containerfile")
