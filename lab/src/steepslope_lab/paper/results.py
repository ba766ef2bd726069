"""A folder of tables and figures: Markdown, PNG and SVG, and the rows behind them as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from steepslope.errors import SteepslopeError
from steepslope.files import field, read_json, staged_folder
from steepslope.report import Grid, grid_in_markdown
from steepslope_lab.behaviour import made_by
from steepslope_lab.paper.style import save_figure

ENDS = ("md", "png", "svg")


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
    """Write tables and figures under their names, and NAME.json: what it is about, what is shown, and its rows.

    What an earlier NAME.json names and this one does not goes: its numbers would stand next to others as if of one run.
    ``about`` has at least the ``title`` and the ``source``; in ``rows``, estimates become lists: value, low, high.
    """
    stale = _names_shown_earlier(out / f"{name}.json", name) - {*shown}
    notes = {one: grid.note for one, grid in shown.items()}
    with staged_folder(out, last=f"{name}.json") as staging:
        for one, grid in shown.items():
            if isinstance(grid, Drawing):
                save_figure(grid.figure, staging, one)
                continue
            (staging / f"{one}.md").write_text(grid_in_markdown(grid) + "\n", encoding="utf-8")
        short = [{key: [*one.values()] if isinstance(one, dict) else one for key, one in row.items()} for row in rows]
        content = {**about, "made by": made_by("oracle", "paper"), "notes": notes, "rows": short}
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        rows_apart = text.replace('{"score"', '\n{"score"')
        (staging / f"{name}.json").write_text(f"{rows_apart}\n", encoding="utf-8")
    for one, end in product(stale, ENDS):
        (out / f"{one}.{end}").unlink(missing_ok=True)


def _names_shown_earlier(card: Path, name: str) -> set[str]:
    """Return the names of tables and figures of an earlier run; none if there was none, or its file is broken."""
    try:
        notes = field(read_json(card, "the results of an experiment"), "notes", dict, card)
    except SteepslopeError:
        return set()
    return {one for one in notes if one.startswith(name) and Path(one).name == one}  # whatever another wrote there
