"""The map of the code, docs/map.md, made from the layers in pyproject.toml and the first sentences of docstrings.

``python .ci/map_of_code.py`` writes it anew; a test compares.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "map.md"
INTRODUCTION = """# Map of the code

For those who look for the file of something. Nobody imports what stands below it on this page. A package's files begin
with an underscore, which the map leaves out: no other package imports them, but what the package lends in its
`__init__.pyi`. What is public stands in its `__all__`. Made by `.ci/map_of_code.py` from the files' docstrings.
"""
LAB = "steepslope_lab"
SOURCES = {"steepslope": "src/steepslope", "steepslope.nets": "src/steepslope/nets", LAB: "lab/src/steepslope_lab"}
TITLES = {"steepslope": "The package, `src/steepslope`", LAB: "Research, `lab/src/steepslope_lab`"}
Layers = dict[str, list[str]]


def page_of_map() -> str:
    """Return the page: a table for each package, the lowest layer first."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = content["tool"]["importlinter"]["contracts"]
    layers: Layers = {one["containers"][0]: one["layers"][::-1] for one in contracts if "containers" in one}
    parts = [INTRODUCTION]
    for container, title in TITLES.items():
        parts += [f"## {title}\n", *blocks_of(container, layers)]
    return "\n".join(parts)


def blocks_of(container: str, layers: Layers) -> Iterator[str]:
    """Yield the modules of a container as one table, and each of its packages with its own."""
    source = ROOT / SOURCES[container]
    single = [name for name in layers[container] if (source / f"{name}.py").is_file()]
    yield table([source / f"{name}.py" for name in single])
    for name in layers[container]:
        folder = source / name
        if name in single:
            continue
        shown = folder.relative_to(ROOT / SOURCES[container.partition(".")[0]]).as_posix()
        yield f"### {shown}/\n\n{first_sentence(folder / '__init__.py')}.\n"
        inner = f"{container}.{name}"
        if inner in layers:
            yield from blocks_of(inner, layers)
            continue
        files = [path for path in sorted(folder.rglob("*.py")) if path.name != "__init__.py"]
        yield table(files, folder)


def table(paths: list[Path], folder: Path | None = None) -> str:
    """Return a line a file: its name, and the first sentence of its docstring."""
    lines = ["| file | what it holds |", "|---|---|"]
    for path in paths:
        home = folder or path.parent
        inside = path.parent.relative_to(home).as_posix()
        name = path.stem if path.stem == "__main__" else path.stem.lstrip("_")
        lines.append(f"| {'' if inside == '.' else inside + '/'}{name} | {first_sentence(path)} |")
    return "\n".join(lines) + "\n"


def first_sentence(path: Path) -> str:
    """Return the first sentence of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    sentence = re.split(r"(?<!et al)\. ", paragraph, maxsplit=1)[0].rstrip(".").replace("``", "`").replace("|", "\\|")
    return re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", sentence)


if __name__ == "__main__":
    PAGE.write_text(page_of_map(), encoding="utf-8")
