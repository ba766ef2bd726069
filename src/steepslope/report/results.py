"""A folder of tables and figures: Markdown, LaTeX, CSV, PNG and SVG, the rows behind them, and one page with all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from steepslope.errors import SteepslopeError
from steepslope.report.grid import Grid, markdown
from steepslope.report.style import save
from steepslope.report.typeset import comma_separated, latex
from steepslope.utilities.files import read_json, staged_folder

PAGE = "index.html"
EXPECTED = "the results of an experiment"
ENDS = ("md", "tex", "csv", "png", "svg")


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure, and what is to be known of it, which stands below."""

    figure: Figure
    note: str = ""


def write_results(
    out: Path,
    name: str,
    about: Mapping[str, Any],
    shown: Mapping[str, Grid | Drawing],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Write tables and figures under their names, and NAME.json, from which the page shows them.

    What an earlier NAME.json names and this one does not goes: its numbers would stand beside others as if of one run.
    ``about`` has at least the ``title`` and the ``source``; in ``rows``, estimates become lists: value, low, high.
    """
    tables = {one: grid for one, grid in shown.items() if isinstance(grid, Grid)}
    drawings = {one: drawing for one, drawing in shown.items() if isinstance(drawing, Drawing)}
    stale = _shown_by(out / f"{name}.json", name) - {*shown}
    with staged_folder(out, last=f"{name}.json") as staging:
        for one, grid in tables.items():
            for end, text in (("md", markdown(grid) + "\n"), ("tex", latex(grid, one)), ("csv", comma_separated(grid))):
                (staging / f"{one}.{end}").write_text(text, encoding="utf-8")
        for one, drawing in drawings.items():
            save(drawing.figure, staging, one)
        short = [{key: [*one.values()] if isinstance(one, dict) else one for key, one in row.items()} for row in rows]
        grids = {one: _grid(grid) for one, grid in tables.items()}
        notes = {one: drawing.note for one, drawing in drawings.items()}
        card = {**about, "figures": [*drawings], "notes": notes, "tables": grids, "rows": short}
        text = json.dumps(card, ensure_ascii=False, allow_nan=False).replace('{"score"', '\n{"score"')  # a row a line
        (staging / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    for one, end in product(stale, ENDS):
        (out / f"{one}.{end}").unlink(missing_ok=True)


def _shown_by(card: Path, name: str) -> set[str]:
    """Return the names of tables and figures of an earlier run; none if there was none, or its file is broken."""
    try:
        content = read_json(card, EXPECTED)
        found = {*content["tables"], *content["figures"]}
        return {one for one in found if one.startswith(name) and Path(one).name == one}  # whatever another wrote there
    except (SteepslopeError, KeyError, TypeError):
        return set()


def _grid(grid: Grid) -> dict[str, Any]:
    rows = [[[cell.text, cell.aside] for cell in line] for line in grid.rows]
    return {"title": grid.title, "columns": list(grid.columns), "note": grid.note, "rows": rows}


def write_page(out: Path, order: Sequence[str]) -> None:
    """Write the page of all results in the folder; those that are named come first."""
    found = {path.stem: read_json(path, EXPECTED) for path in sorted(out.glob("*.json"))}
    names = [name for name in (*order, *(one for one in found if one not in order)) if "tables" in found.get(name, {})]
    environment = Environment(loader=PackageLoader("steepslope.report", "."), autoescape=True)
    text = environment.get_template("results.html").render(experiments={name: found[name] for name in names})
    with staged_folder(out, last=PAGE) as staging:
        (staging / PAGE).write_text(text, encoding="utf-8")
