"""One table of all scores whose JSON lies in a folder, as ``steepslope benchmark`` wrote it; each is checked first.

``python -m benchmarks.results standings --folder results/benchmark``
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steepslope.report import Cell, Grid, grid_in_markdown
from steepslope.score_benchmark import FUSED, MCP, SCORE, Estimate, checked_submission, difference_cell

NOTE = (
    "Means over ten pairs, with 95 % intervals. AUC in points, AURC in thousandths, where lower is better. Ahead and "
    "behind: of ten pairs, by AURC, those whose 95 % interval excludes 0. At 2 and 5 %: percent accepted at such a "
    "promise, and in brackets how many of 100 draws broke it, on average."
)


def standings(folder: str = "results/benchmark") -> None:
    """Write table.md.

    Parameters
    ----------
    folder
        Folder of the JSON files.
    """
    found = [checked_submission(path).content for path in sorted(Path(folder).glob("*.json"))]
    found.sort(key=lambda one: one["mean"]["lines"][SCORE]["aurc"][0])
    rows = [cells_of_score(one) for one in found]
    grid = Grid("Scores on the frozen outputs", [*rows[0]], [[*row.values()] for row in rows], NOTE)
    (Path(folder) / "table.md").write_text(f"{grid_in_markdown(grid)}\n", encoding="utf-8")


def cells_of_score(content: Mapping[str, Any]) -> dict[str, Cell]:
    """Return the line of a score, by the headings."""
    own, promises = content["mean"]["lines"][SCORE], content["mean"]["promises"][SCORE]
    cells = {"score": Cell(content["score"])}
    for metric, scale in (("auc", 100), ("aurc", 1000)):
        cells[metric.upper()] = Cell(f"{scale * own[metric][0]:.1f}")
        for rival in (MCP, FUSED):
            difference = Estimate(*own.get(f"minus {rival}", {metric: [0, 0, 0]})[metric])
            cells[f"{metric.upper()} − {rival}"] = difference_cell(difference, scale, metric == "aurc")
    for rival in (MCP, FUSED):
        verdicts = [
            Estimate(*row["lines"][SCORE][f"minus {rival}"]["aurc"]).verdict for row in content["pairs"].values()
        ]
        cells[f"ahead of, behind {rival}"] = Cell(f"{verdicts.count(-1)}, {verdicts.count(1)}")
    for risk, one in promises.items():
        cells[f"at {100 * float(risk):g} %"] = Cell(f"{100 * one['coverage']:.1f} ({100 * one['broken']:.1f})")
    return cells
