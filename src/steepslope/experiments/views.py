"""What an experiment shows of its scores: tables as grids, and figures. A new view is a function and an entry."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.experiments.experiment import BEST, Experiment, experiment_names
from steepslope.experiments.gate_views import gates as of_gates
from steepslope.experiments.methods import KINDS, Wanted
from steepslope.experiments.plan import sweeps_of, wanted_of
from steepslope.experiments.score import confidences, curve_of, row_of, score_step
from steepslope.oracle.search import Search
from steepslope.report.columns import MCP, Row, cell, column, grouped, interval_cell, mean_cell
from steepslope.report.figures import SweepPanel, loss_graphs, risk_coverage_grid, sweep as drawn_sweep
from steepslope.report.grid import Cell, Grid
from steepslope.report.outcomes import OutcomePanel, outcomes
from steepslope.report.published import comparison, published
from steepslope.report.results import write_page, write_results
from steepslope.utilities.files import read_json
from steepslope.workflow.lab import TEST, Case, Lab, title_of
from steepslope.workflow.oracle_steps import SEARCH
from steepslope.workflow.preset import Pair

OURS = " *"  # after the name of a line that the paper's table does not have
CLEAR = "In brackets: in how many seeds the paired 95 % interval of a difference lies above (↑) or below (↓) 0."


@dataclass(frozen=True, eq=False)
class Findings:
    """An experiment whose steps are done."""

    experiment: Experiment
    lab: Lab

    @cached_property
    def scores(self) -> list[tuple[Wanted, Path]]:
        """The lines, for each pair, set of images and seed, and the folders of their confidences."""
        return [(one, score_step(self.lab, one).folder) for one in wanted_of(self.experiment, self.lab)]

    @cached_property
    def rows(self) -> list[Row]:
        """A row for each of them."""
        return [{**row_of(folder), "oracle": one.pair.oracle, "pair": one.pair.title} for one, folder in self.scores]

    def first_seed(self, pair: Pair, where: str) -> dict[str, Path]:
        """Return the folders of the first seed's confidences, by line."""
        case = Case(pair.oracle, pair.classifier, where, self.lab.preset.seeds[0])
        return {one.name: folder for one, folder in self.scores if (one.pair, one.case) == (pair, case)}

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the experiment."""
        return self.lab.preset.group(self.experiment.pairs) if self.experiment.lines else ()

    def title(self, line: str) -> str:
        """Return the name of a line, marked where it is not the paper's."""
        return line if line in self.experiment.paper else f"{line}{OURS}"

    @property
    def note(self) -> str:
        """What is to be known of all tables of the experiment."""
        preset, experiment = self.lab.preset, self.experiment
        lacking = {f"{name} of {pair.classifier}, which has {reason}"
                   for pair in self.pairs for name, method in experiment.lines.items()
                   if (reason := KINDS[method["kind"]].lacks(method, preset.nets[pair.classifier]))}  # fmt: skip
        best = sorted({f"{row['is']}" for row in self.rows if row["score"] == BEST})
        seeds = len(preset.seeds)
        over = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else f"of seed {preset.seeds[0]}"
        parts = [
            f"In percent but where a heading tells another unit; {over}.",
            "A star: not in the paper's table." if experiment.beside else "",
            CLEAR if any(name.startswith(("delta_", "best_")) for name in experiment.columns) else "",
            f"The best single score has the least AURC on held-out rows ({', '.join(best)})." if best else "",
            f"Left out: {'; '.join(sorted(lacking))}." if lacking else "",
            experiment.note,
            preset.note,
        ]
        return " ".join(filter(None, parts))


Shown = Iterator[tuple[str, Grid | Figure]]  # what is appended to the experiment's name, and what is shown


def table(found: Findings) -> Shown:
    """Show a line a row under a heading for each pair and set of images, then every seed with its intervals."""
    names = found.experiment.columns
    lines: list[list[Cell]] = []
    for some in grouped(found.rows, "pair", "where").values():
        lines.append([Cell(f"**{_block(found, some)}**"), *[Cell("")] * len(names)])
        for score, own in grouped(some, "score").items():
            lines.append([Cell(found.title(score)), *(cell(own, name) for name in names)])
    headings = [column(name).heading for name in names]
    yield "", Grid(found.experiment.title, ["score", *headings], lines, found.note)
    yield "-seeds", _seeds(found, headings)


def _block(found: Findings, rows: list[Row]) -> str:
    """Return a heading: the pair where there are several, the set of images, their number and the accuracy."""
    accuracy = mean_cell([row["accuracy"]["value"] for row in rows if row["score"] == MCP])
    pair = [rows[0]["pair"]] if len(found.pairs) > 1 else []
    where = [title_of(rows[0]["where"])] if found.experiment.where != (TEST,) else []
    return ", ".join([*pair, *where, f"{rows[0]['n']:,} images", f"accuracy {accuracy}"])


def _seeds(found: Findings, headings: list[str]) -> Grid:
    names = found.experiment.columns
    lines = [
        [Cell(f"{row['pair']}, {title_of(row['where'])}, {found.title(row['score'])}, seed {row['seed']}"),
         *(interval_cell(row.get(name), column(name).scale, column(name).sign) for name in names)]
        for row in found.rows
    ]  # fmt: skip
    note = "With 95 % bootstrap intervals over the test images; what the paper's code computes has none."
    return Grid(f"{found.experiment.title}: seed by seed", ["score", *headings], lines, note)


def matrix(found: Findings) -> Shown:
    """Show one column of values, a set of images a row and a line a column, and their means."""
    name = found.experiment.columns[0]
    scores = list(grouped(found.rows, "score"))
    lines = []
    for where, some in grouped(found.rows, "where").items():
        own = grouped(some, "score")
        accuracy = mean_cell([row["accuracy"]["value"] for row in own[MCP]])
        cells = [_with_arrows(own[score], name) for score in scores]
        lines.append([Cell(title_of(where)), accuracy, *cells])
    means = [_mean([row for row in found.rows if row["score"] == score], name) for score in scores]
    lines.append([Cell("**mean**"), Cell(""), *means])
    titles = ["images", "Acc ↑", *map(found.title, scores)]
    about = f"{column(name).heading[:-2]} in percent, mean over seeds; in brackets how many paired differences to MCP "
    about += f"lie clearly above (↑) and below (↓) 0. {found.rows[0]['n']:,} images each. {found.note}"
    yield "", Grid(found.experiment.title, titles, lines, about)


def _with_arrows(rows: list[Row], name: str) -> Cell:
    mean = cell(rows, name).text.split(" ")[0]
    return Cell(mean, "" if rows[0]["score"] == MCP else cell(rows, f"delta_{name}").aside)


def _mean(rows: list[Row], name: str) -> Cell:
    values = [row[name]["value"] for row in rows]
    known = [value for value in values if value is not None]
    return Cell(f"**{column(name).scale * float(np.mean(known)):.1f}**" if known else "–")


def histograms(found: Findings) -> Shown:
    """Show the confidences of the first seed's TP, FP, TN and FN: a row for each pair and set of images."""
    panels = []
    for pair, where in product(found.pairs, found.experiment.where):
        line = []
        for name, folder in found.first_seed(pair, where).items():
            scored, is_correct = confidences(folder)
            about = [pair.title, *([title_of(where)] if where != TEST else []), found.title(name)]
            title = ", ".join(about).replace(OURS, f"\N{NO-BREAK SPACE}{OURS.strip()}")
            line.append(OutcomePanel(title, scored.unit_confidence, is_correct))
        panels.append(line)
    yield "-histograms", outcomes(panels)


def risk_coverage(found: Findings) -> Shown:
    """Show selective risk against coverage of the first seed: a panel a pair, a curve a line."""
    panels = {
        pair.title: {found.title(name): curve_of(folder) for name, folder in found.first_seed(pair, where).items()}
        for pair, where in product(found.pairs, found.experiment.where[:1])
    }
    yield "-risk-coverage", risk_coverage_grid(panels)


def losses(found: Findings) -> Shown:
    """Show the losses against the trust logit."""
    yield "", loss_graphs(**found.experiment.settings)


def sweep(found: Findings) -> Shown:
    """Show loss, TPR and TNR on held-out rows against α⁻, then against α⁺."""
    files = [step.folder / SEARCH for step in sweeps_of(found.experiment, found.lab)]
    searches = [Search.of_json(read_json(file, "a search of slopes"), file) for file in files]
    panels = []
    for slope, sign in (("alpha_neg", "α⁻"), ("alpha_pos", "α⁺")):
        trials = [getattr(one, f"{slope}_trials") for one in searches]
        x = np.array([getattr(trial, slope) for trial in trials[0]])
        chosen = float(np.median([getattr(one, slope) for one in searches]))

        def values(name: str, trials: list[Any] = trials, scale: float = 1) -> Any:
            return scale * np.array([[getattr(trial, name) for trial in own] for own in trials])

        rates = {"TPR": values("tpr", scale=100), "TNR": values("tnr", scale=100)}
        panels += [SweepPanel(f"loss against {sign}", x, {"loss": values("loss")}, chosen, sign, "held-out loss"),
                   SweepPanel(f"TPR and TNR against {sign}", x, rates, chosen, sign, "%")]  # fmt: skip
    yield "-sweep", drawn_sweep(panels)


def gates(found: Findings) -> Shown:
    """Show what gates promise, keep and warn of."""
    yield from of_gates(found.lab, found.scores, found.experiment.title)


VIEWS: dict[str, Callable[[Findings], Shown]] = {
    "table": table,
    "matrix": matrix,
    "histograms": histograms,
    "risk_coverage": risk_coverage,
    "losses": losses,
    "sweep": sweep,
    "gates": gates,
}


def require_showable(experiment: Experiment) -> None:
    """Raise unless all that an experiment is to show is known: before hours of work, not after."""
    with located(experiment.name):
        for view in experiment.views:
            require_known("view", view, VIEWS)
        for name in experiment.columns:
            column(name)
        if "matrix" in experiment.views and not (experiment.columns and MCP in experiment.lines):
            raise SteepslopeError(f"expected a column and the line {MCP} for the view matrix", "columns")
        if "losses" in experiment.views:
            for name in experiment.settings:
                require_known("setting of the view losses:", name, inspect.signature(loss_graphs).parameters)
        if experiment.published is not None:
            published(experiment.published)


def write(found: Findings, out: Path, compare: bool = False) -> list[Grid]:
    """Write all that an experiment shows, and the page of the folder anew; return its main tables.

    With ``compare`` there is also a table of its numbers beside the paper's, where the paper prints such.
    """
    experiment, preset = found.experiment, found.lab.preset
    shown = {f"{experiment.name}{end}": one for view in experiment.views for end, one in VIEWS[view](found)}
    if compare and experiment.published is not None:
        rows = [{**row, "where": row["where"].split(":")[-2:][0]} for row in found.rows]
        data = "" if preset.is_paper_data else preset.name
        grid = comparison(experiment.published, rows, preset.stands_for, data)
        shown |= {} if grid is None else {f"{experiment.name}-compared": grid}
    about = {"title": experiment.title, "source": experiment.source, "preset": preset.name}
    write_results(out, experiment.name, about, shown, [_kept(row, experiment.columns) for row in found.rows])
    write_page(out, experiment_names())
    return [one for name, one in shown.items() if isinstance(one, Grid) and not name.endswith("-seeds")]


def _kept(row: Row, columns: Sequence[str]) -> Row:
    """Return what a file of rows keeps of one: what it is of, the accuracy, the areas, and what tables show."""
    names = ("score", "is", "seed", "oracle", "classifier", "where", "loss", "n", "accuracy", "auc", "aurc")
    return {name: row[name] for name in dict.fromkeys((*names, "delta_auc", "best_auc", *columns)) if name in row}
