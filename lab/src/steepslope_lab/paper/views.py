"""What an experiment shows: tables and figures. A new view is a function and an entry in ``VIEWS``.

What an experiment needs for its views is checked before hours of work, not after.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from steepslope.errors import SteepslopeError, located, read_fields, require_known
from steepslope.files import read_json
from steepslope.report import UNDEFINED, Cell, Grid
from steepslope_lab.paper.differences import differences_of_lines
from steepslope_lab.paper.experiment import Experiment, sweep_steps_of, wanted_lines_of
from steepslope_lab.paper.figures import (
    OutcomePanel,
    SweepPanel,
    loss_graphs,
    outcome_histograms,
    risk_coverage_grid,
    sweep_figure,
)
from steepslope_lab.paper.methods import KINDS, Wanted, confidences_of_line, curve_of_line, row_of_line, score_step
from steepslope_lab.paper.oracle_steps import SEARCH, SWEPT
from steepslope_lab.paper.preset import Pair, Preset
from steepslope_lab.paper.results import Drawing, write_results
from steepslope_lab.paper.tables import (
    BEST,
    COLUMNS,
    MCP,
    Row,
    cell_of_seeds,
    comparison_with_paper,
    grouped_rows,
    images_by_paper_name,
    interval_cell,
    mean_cell,
    published_numbers,
    table_column,
)
from steepslope_lab.paper.workspace import TEST, Case, Workspace, title_of_images
from steepslope_lab.search import Search, Trial

OURS = " *"  # after the name of a line that the paper's table does not have
TO_MCP = (
    "In brackets: in how many seeds the paired 95 % interval of the difference to MCP lies above (↑) or below (↓) 0."
)
CLEAR = "In brackets: in how many seeds the paired 95 % interval of a difference lies above (↑) or below (↓) 0."


@dataclass(frozen=True, eq=False)
class Findings:
    """An experiment whose steps are done."""

    experiment: Experiment
    work: Workspace

    @cached_property
    def scores(self) -> list[tuple[Wanted, Path]]:
        """The lines, for each pair, set of images and seed, and the folders of their confidences."""
        return [(one, score_step(self.work, one).folder) for one in wanted_lines_of(self.experiment, self.work)]

    @cached_property
    def rows(self) -> list[Row]:
        """A row for each of them."""
        return [
            {**row_of_line(folder), "oracle": one.pair.oracle, "pair": one.pair.title} for one, folder in self.scores
        ]

    def first_seed(self, pair: Pair, where: str) -> dict[str, Path]:
        """Return the folders of the first seed's confidences, by line."""
        case = Case(pair.oracle, pair.classifier, where, self.work.preset.seeds[0])
        return {one.name: folder for one, folder in self.scores if (one.pair, one.case) == (pair, case)}

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the experiment."""
        return self.work.preset.group(self.experiment.pairs) if self.experiment.lines else ()

    def title(self, line: str) -> str:
        """Return the name of a line, marked where it is not the paper's."""
        return line if line in self.experiment.paper else f"{line}{OURS}"

    @property
    def note(self) -> str:
        """What is to be known of all tables of the experiment."""
        seeds = self.work.preset.seeds
        over = f"mean ± standard deviation over {len(seeds)} seeds" if len(seeds) > 1 else f"of seed {seeds[0]}"
        has_differences = any(name.startswith(("delta_", "best_")) for name in self.experiment.columns)
        return _joined_notes(
            f"In percent but where a heading tells another unit; {over}.",
            CLEAR if has_differences and "table" in self.experiment.views else "",
            *self._remarks("table", self.experiment.lines),
        )

    def figure_note(self, names: Collection[str]) -> str:
        """Return what is to be known of a figure of some lines, which is of the first seed."""
        first, *others = self.work.preset.seeds
        which = f"Of seed {first}, the first of {len(others) + 1}." if others else f"Of seed {first}."
        return _joined_notes(which, *self._remarks("figure", names))

    def _remarks(self, what: str, names: Collection[str]) -> list[str]:
        """Return what is to be known of a table or figure because of its lines, its experiment and its preset."""
        preset, experiment = self.work.preset, self.experiment
        lacking = {f"{name} of {pair.classifier}, which has {reason}"
                   for pair in self.pairs for name, method in experiment.lines.items() if name in names
                   if (reason := KINDS[method["kind"]].lacks(method, preset.nets[pair.classifier]))}  # fmt: skip
        best = sorted({f"{row['is']}" for row in self.rows if row["score"] == BEST and BEST in names})
        return [
            f"A star: not in the paper's {what}." if {*names} - {*experiment.paper} else "",
            f"The best single score has the least AURC on held-out rows ({', '.join(best)})." if best else "",
            f"Left out: {'; '.join(sorted(lacking))}." if lacking else "",
            experiment.note,
            preset.note,
        ]


def _joined_notes(*parts: str) -> str:
    return " ".join(filter(None, parts))


Shown = Iterator[tuple[str, Grid | Drawing]]  # what is appended to the experiment's name, and what is shown


def table_view(found: Findings) -> Shown:
    """Show a line a row under a heading for each pair and set of images, then every seed with its intervals."""
    names = found.experiment.columns
    headings = ["score", *(table_column(name).heading for name in names)]
    lines: list[list[Cell]] = []
    for some in grouped_rows(found.rows, "pair", "where").values():
        lines.append([Cell(f"**{_heading_of_block(found, some)}**"), *[Cell("")] * len(names)])
        for score, own in grouped_rows(some, "score").items():
            lines.append([Cell(found.title(score)), *(cell_of_seeds(own, name) for name in names)])
    yield "", Grid(found.experiment.title, headings, lines, found.note)
    seeds = [
        [Cell(f"{row['pair']}, {title_of_images(row['where'])}, {found.title(row['score'])}, seed {row['seed']}"),
         *(interval_cell(row.get(name), table_column(name).scale, table_column(name).sign) for name in names)]
        for row in found.rows
    ]  # fmt: skip
    note = "With 95 % bootstrap intervals over the test images; what the paper's code computes has none."
    yield "-seeds", Grid(f"{found.experiment.title}: seed by seed", headings, seeds, note)


def _heading_of_block(found: Findings, rows: list[Row]) -> str:
    """Return a heading: the pair where there are several, the set of images, their number and the accuracy."""
    accuracy = mean_cell([row["accuracy"]["value"] for row in rows if row["score"] == MCP])
    pair = [rows[0]["pair"]] if len(found.pairs) > 1 else []
    where = [title_of_images(rows[0]["where"])] if found.experiment.where != (TEST,) else []
    return ", ".join([*pair, *where, f"{rows[0]['n']:,} images", f"accuracy {accuracy}"])


def matrix_view(found: Findings) -> Shown:
    """Show the first column alone, a set of images a row and a line a column; and the means over sets of images."""
    name, rows = found.experiment.columns[0], found.rows
    scores = list(grouped_rows(rows, "score"))
    lines = []
    for where, some in grouped_rows(rows, "where").items():
        by_score = grouped_rows(some, "score")
        accuracy = mean_cell([row["accuracy"]["value"] for row in by_score[MCP]])
        lines.append(
            [Cell(title_of_images(where)), accuracy, *(_mean_with_arrows(by_score[score], name) for score in scores)]
        )
    means = [_mean_over_images([row for row in rows if row["score"] == score], name) for score in scores]
    lines.append([Cell("**mean**"), Cell(""), *means])
    titles = ["images", "Acc ↑", *map(found.title, scores)]
    sizes = sorted({row["n"] for row in rows})
    counts = " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
    about = f"{table_column(name).heading}, on {counts} images each.", found.note, TO_MCP
    yield "", Grid(found.experiment.title, titles, lines, _joined_notes(*about))


def _mean_with_arrows(rows: list[Row], name: str) -> Cell:
    """Return the mean over seeds, and in how many of them the difference to MCP is clear, if that is measured."""
    difference = f"delta_{name}"
    is_compared = rows[0]["score"] != MCP and difference in COLUMNS
    return Cell(cell_of_seeds(rows, name).text, cell_of_seeds(rows, difference).aside if is_compared else "")


def _mean_over_images(rows: list[Row], name: str) -> Cell:
    """Return the mean ± standard deviation over seeds of each seed's mean over sets of images, in bold."""
    seeds = grouped_rows(rows, "seed").values()
    values = [[row[name]["value"] if row.get(name) else None for row in own] for own in seeds]
    means = [float(np.mean(np.array(own, dtype=np.float64))) for own in values]  # NaN where one is None
    mean = mean_cell(means, table_column(name).scale, table_column(name).sign)
    return mean if mean is UNDEFINED else Cell(f"**{mean.text}**")


def histograms_view(found: Findings) -> Shown:
    """Show the confidences of the first seed's TP, FP, TN and FN: a row for each pair and set of images.

    Lines are those that the experiment names as ``drawn``; all if it names none.
    """
    panels = []
    names = found.experiment.drawn or tuple(found.experiment.lines)
    for pair, where in product(found.pairs, found.experiment.where):
        line = []
        for name, folder in found.first_seed(pair, where).items():
            if name not in names:
                continue
            scored, is_correct = confidences_of_line(folder)
            about = [pair.title, *([title_of_images(where)] if where != TEST else []), found.title(name)]
            title = ", ".join(about).replace(OURS, f"\N{NO-BREAK SPACE}{OURS.strip()}")
            line.append(OutcomePanel(title, scored.unit_confidence, is_correct))
        panels.append(line)
    yield "-histograms", Drawing(outcome_histograms(panels), found.figure_note(names))


def risk_coverage_view(found: Findings) -> Shown:
    """Show selective risk against coverage of the first seed: a panel a pair, a curve a line."""
    panels = {
        pair.title: {found.title(name): curve_of_line(folder) for name, folder in found.first_seed(pair, where).items()}
        for pair, where in product(found.pairs, found.experiment.where[:1])
    }
    yield "-risk-coverage", Drawing(risk_coverage_grid(panels), found.figure_note(found.experiment.lines))


def losses_view(found: Findings) -> Shown:
    """Show the losses against the trust logit."""
    yield "", Drawing(loss_graphs(), found.experiment.note)


def sweep_view(found: Findings) -> Shown:
    """Show loss, TPR and TNR of the first seed on held-out rows against α⁻, then against α⁺ at the chosen α⁻."""
    work, experiment = found.work, found.experiment
    (step,), (pair,) = sweep_steps_of(experiment, work), work.preset.group(experiment.pairs)
    search = read_fields(Search, read_json(step.folder / SEARCH, "a search of slopes"), step.folder / SEARCH)
    alpha_neg = search.alpha_neg
    panels = [
        *_sweep_panels(search.alpha_neg_trials, "alpha_neg", alpha_neg, "α⁻"),
        *_sweep_panels(search.alpha_pos_trials, "alpha_pos", search.alpha_pos, "α⁺", f", at α⁻ = {alpha_neg:g}"),
    ]
    note = _joined_notes(
        f"Of seed {work.preset.seeds[0]}, {pair.title}, on held-out rows; the dashed line is its choice.",
        "α⁻ is swept with α⁺ = 1, then α⁺ with the chosen α⁻.",
        experiment.note,
        work.preset.note,
    )
    yield "-sweep", Drawing(sweep_figure(panels), note)


def _sweep_panels(
    trials: Sequence[Trial], slope: str, chosen: float, sign: str, more: str = ""
) -> Iterator[SweepPanel]:
    """Yield the panels of one slope: the loss, then TPR and TNR."""
    x, loss, tpr, tnr = (np.array([getattr(trial, name) for trial in trials]) for name in (slope, "loss", "tpr", "tnr"))
    yield SweepPanel(f"loss against {sign}{more}", x, {"loss": loss}, chosen, sign, "held-out loss")
    rates = {"TPR": 100 * tpr, "TNR": 100 * tnr}
    yield SweepPanel(f"TPR and TNR against {sign}{more}", x, rates, chosen, sign, "%")


def differences_view(found: Findings) -> Shown:
    """Show each line minus each above it, seed by seed."""
    yield from differences_of_lines(
        found.scores, found.experiment.columns, found.work.preset.resamples, found.experiment.title
    )


VIEWS: dict[str, Callable[[Findings], Shown]] = {
    "table": table_view,
    "matrix": matrix_view,
    "histograms": histograms_view,
    "risk_coverage": risk_coverage_view,
    "losses": losses_view,
    "sweep": sweep_view,
    "differences": differences_view,
}


BESIDE = ("-seeds", "-differences")  # ends of tables with intervals: files alone, not printed
# What a file of rows has of each, next to what tables show.
WRITTEN = ("score", "is", "seed", "oracle", "classifier", "where", "loss", "n", "accuracy", "auc", "aurc", "delta_auc",
           "best_auc")  # fmt: skip


def write_views(found: Findings, out: Path, compare: bool = False) -> list[Grid]:
    """Write all that an experiment shows; return its main tables.

    With ``compare`` there is also a table of its numbers next to the paper's, where the paper prints such; if no number
    can be compared, a table without rows, which is not written, says so in its title.
    """
    experiment, preset = found.experiment, found.work.preset
    shown = {f"{experiment.name}{end}": one for view in experiment.views for end, one in VIEWS[view](found)}
    remarks = []
    if compare and experiment.published is not None:
        theirs = [{**row, "where": images_by_paper_name(row["where"])} for row in found.rows]
        data = "" if preset.is_paper_data else preset.name
        grid = comparison_with_paper(experiment.published, theirs, preset.stands_for, data)
        if grid is None:
            nothing = "nothing to compare, the paper prints no number for a net of preset"
            remarks = [Grid(f"{experiment.title}: {nothing} {preset.name}", [""], [])]
        else:
            shown[f"{experiment.name}-compared"] = grid
    about = {"title": experiment.title, "source": experiment.source, "preset": preset.name}
    names = dict.fromkeys((*WRITTEN, *experiment.columns))
    rows = [{name: row[name] for name in names if name in row} for row in found.rows]
    write_results(out, experiment.name, about, shown, rows)
    main = [one for name, one in shown.items() if isinstance(one, Grid) and not name.endswith(BESIDE)]
    return [*main, *remarks]


OF_LINES = ("table", "matrix", "histograms", "risk_coverage", "differences")  # views that show scores
OF_ONE_PAIR = ("matrix", "sweep")  # views whose tables and figures have no room for several


def require_possible_views(experiment: Experiment, preset: Preset | None = None) -> None:
    """Raise unless all that an experiment is to show is known: before hours of work, not after.

    What depends on where it runs, such as the number of pairs, is looked at if there is a preset.

    Raises
    ------
    SteepslopeError
        If a view, column, setting or table of the paper is unknown, or a view lacks what it needs.
    """
    with located(experiment.name):
        for view in experiment.views:
            require_known("view", view, VIEWS)
            if view in OF_LINES and not experiment.lines:
                raise SteepslopeError(f"expected at least one line for the view {view}, found none", "paper")
        for name in experiment.columns:
            table_column(name)
        if "matrix" in experiment.views and not (experiment.columns and MCP in experiment.lines):
            raise SteepslopeError(f"expected a column and the line {MCP} for the view matrix", "columns")
        for name in experiment.drawn:
            require_known("line to draw", name, experiment.lines)
        if experiment.published is not None:
            published_numbers(experiment.published)
        if preset is not None:
            _require_preset_for_views(experiment, preset)


def _require_preset_for_views(experiment: Experiment, preset: Preset) -> None:
    """Raise unless the preset has what the views need: one pair for some, and what is swept."""
    for view in experiment.views:
        pairs = preset.group(experiment.pairs) if view in OF_ONE_PAIR else ()
        if len(pairs) > 1:
            found = ", ".join(pair.title for pair in pairs)
            raise SteepslopeError(f"expected one pair for the view {view}, found {found}", f"pairs: {experiment.pairs}")
    for name in SWEPT if "sweep" in experiment.views else ():
        if name not in preset.sweep:
            raise SteepslopeError(f"expected {name} for the view sweep, found none", f"preset {preset.name}: sweep")
