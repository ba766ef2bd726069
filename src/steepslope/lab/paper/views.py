"""What an experiment shows: tables and figures. A new view is a function and an entry in ``VIEWS``.

What an experiment needs for its views is checked before hours of work, not after.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.files.folders import read_json
from steepslope.lab.paper.differences import differences as of_lines
from steepslope.lab.paper.experiment import Experiment, sweeps_of, wanted_of
from steepslope.lab.paper.figures import (
    OutcomePanel,
    SweepPanel,
    loss_graphs,
    outcomes,
    risk_coverage_grid,
    sweep as drawn_sweep,
)
from steepslope.lab.paper.methods import KINDS, Wanted, confidences, curve_of, row_of, score_step
from steepslope.lab.paper.oracle_steps import SEARCH, SWEPT
from steepslope.lab.paper.preset import Pair, Preset
from steepslope.lab.paper.results import Drawing, write_results
from steepslope.lab.paper.tables import (
    BEST,
    COLUMNS,
    MCP,
    Row,
    cell,
    column,
    comparison,
    grouped,
    interval_cell,
    mean_cell,
    of_the_paper,
    published,
)
from steepslope.lab.paper.workspace import TEST, Case, Workspace, title_of
from steepslope.lab.search import Search, Trial
from steepslope.report.grid import UNDEFINED, Cell, Grid

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
        return [(one, score_step(self.work, one).folder) for one in wanted_of(self.experiment, self.work)]

    @cached_property
    def rows(self) -> list[Row]:
        """A row for each of them."""
        return [{**row_of(folder), "oracle": one.pair.oracle, "pair": one.pair.title} for one, folder in self.scores]

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
        return _joined(
            f"In percent but where a heading tells another unit; {over}.",
            CLEAR if has_differences and "table" in self.experiment.views else "",
            *self._remarks("table", self.experiment.lines),
        )

    def figure_note(self, names: Collection[str]) -> str:
        """Return what is to be known of a figure of some lines, which is of the first seed."""
        first, *others = self.work.preset.seeds
        which = f"Of seed {first}, the first of {len(others) + 1}." if others else f"Of seed {first}."
        return _joined(which, *self._remarks("figure", names))

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


def _joined(*parts: str) -> str:
    return " ".join(filter(None, parts))


Shown = Iterator[tuple[str, Grid | Drawing]]  # what is appended to the experiment's name, and what is shown


def table(found: Findings) -> Shown:
    """Show a line a row under a heading for each pair and set of images, then every seed with its intervals."""
    names = found.experiment.columns
    headings = ["score", *(column(name).heading for name in names)]
    lines: list[list[Cell]] = []
    for some in grouped(found.rows, "pair", "where").values():
        lines.append([Cell(f"**{_block(found, some)}**"), *[Cell("")] * len(names)])
        for score, own in grouped(some, "score").items():
            lines.append([Cell(found.title(score)), *(cell(own, name) for name in names)])
    yield "", Grid(found.experiment.title, headings, lines, found.note)
    seeds = [
        [Cell(f"{row['pair']}, {title_of(row['where'])}, {found.title(row['score'])}, seed {row['seed']}"),
         *(interval_cell(row.get(name), column(name).scale, column(name).sign) for name in names)]
        for row in found.rows
    ]  # fmt: skip
    note = "With 95 % bootstrap intervals over the test images; what the paper's code computes has none."
    yield "-seeds", Grid(f"{found.experiment.title}: seed by seed", headings, seeds, note)


def _block(found: Findings, rows: list[Row]) -> str:
    """Return a heading: the pair where there are several, the set of images, their number and the accuracy."""
    accuracy = mean_cell([row["accuracy"]["value"] for row in rows if row["score"] == MCP])
    pair = [rows[0]["pair"]] if len(found.pairs) > 1 else []
    where = [title_of(rows[0]["where"])] if found.experiment.where != (TEST,) else []
    return ", ".join([*pair, *where, f"{rows[0]['n']:,} images", f"accuracy {accuracy}"])


def matrix(found: Findings) -> Shown:
    """Show the first column alone, a set of images a row and a line a column; and the means over sets of images."""
    name, rows = found.experiment.columns[0], found.rows
    scores = list(grouped(rows, "score"))
    lines = []
    for where, some in grouped(rows, "where").items():
        by_score = grouped(some, "score")
        accuracy = mean_cell([row["accuracy"]["value"] for row in by_score[MCP]])
        lines.append([Cell(title_of(where)), accuracy, *(_with_arrows(by_score[score], name) for score in scores)])
    means = [_mean([row for row in rows if row["score"] == score], name) for score in scores]
    lines.append([Cell("**mean**"), Cell(""), *means])
    titles = ["images", "Acc ↑", *map(found.title, scores)]
    sizes = sorted({row["n"] for row in rows})
    counts = " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
    about = f"{column(name).heading}, on {counts} images each.", found.note, TO_MCP
    yield "", Grid(found.experiment.title, titles, lines, _joined(*about))


def _with_arrows(rows: list[Row], name: str) -> Cell:
    """Return the mean over seeds, and in how many of them the difference to MCP is clear, if that is measured."""
    difference = f"delta_{name}"
    is_compared = rows[0]["score"] != MCP and difference in COLUMNS
    return Cell(cell(rows, name).text, cell(rows, difference).aside if is_compared else "")


def _mean(rows: list[Row], name: str) -> Cell:
    """Return the mean ± standard deviation over seeds of each seed's mean over sets of images, in bold."""
    seeds = grouped(rows, "seed").values()
    values = [[row[name]["value"] if row.get(name) else None for row in own] for own in seeds]
    means = [float(np.mean(np.array(own, dtype=np.float64))) for own in values]  # NaN where one is None
    mean = mean_cell(means, column(name).scale, column(name).sign)
    return mean if mean is UNDEFINED else Cell(f"**{mean.text}**")


def histograms(found: Findings) -> Shown:
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
            scored, is_correct = confidences(folder)
            about = [pair.title, *([title_of(where)] if where != TEST else []), found.title(name)]
            title = ", ".join(about).replace(OURS, f"\N{NO-BREAK SPACE}{OURS.strip()}")
            line.append(OutcomePanel(title, scored.unit_confidence, is_correct))
        panels.append(line)
    yield "-histograms", Drawing(outcomes(panels), found.figure_note(names))


def risk_coverage(found: Findings) -> Shown:
    """Show selective risk against coverage of the first seed: a panel a pair, a curve a line."""
    panels = {
        pair.title: {found.title(name): curve_of(folder) for name, folder in found.first_seed(pair, where).items()}
        for pair, where in product(found.pairs, found.experiment.where[:1])
    }
    yield "-risk-coverage", Drawing(risk_coverage_grid(panels), found.figure_note(found.experiment.lines))


def losses(found: Findings) -> Shown:
    """Show the losses against the trust logit."""
    yield "", Drawing(loss_graphs(), found.experiment.note)


def sweep(found: Findings) -> Shown:
    """Show loss, TPR and TNR on held-out rows against α⁻, then against α⁺ at the α⁻ that the first seed chose."""
    files = [step.folder / SEARCH for step in sweeps_of(found.experiment, found.work)]
    searches = [Search.from_json(read_json(file, "a search of slopes"), file) for file in files]
    first = searches[0]
    alike = [one for one in searches if one.alpha_neg == first.alpha_neg]
    panels = [
        *_sweep_panels([one.alpha_neg_trials for one in searches], "alpha_neg", first.alpha_neg, "α⁻", ""),
        *_sweep_panels([one.alpha_pos_trials for one in alike], "alpha_pos", first.alpha_pos, "α⁺",
                       f", at α⁻ = {first.alpha_neg:g}"),
    ]  # fmt: skip
    yield "-sweep", Drawing(drawn_sweep(panels), _sweep_note(found, len(searches), len(alike)))


def _sweep_panels(
    trials: Sequence[Sequence[Trial]], slope: str, chosen: float, sign: str, more: str
) -> Iterator[SweepPanel]:
    """Yield the panels of one slope, from the trials of each seed: the loss, then TPR and TNR."""
    x = np.array([getattr(trial, slope) for trial in trials[0]])
    series = {name: np.array([[getattr(trial, name) for trial in own] for own in trials])
              for name in ("loss", "tpr", "tnr")}  # fmt: skip
    rates = {"TPR": 100 * series["tpr"], "TNR": 100 * series["tnr"]}
    yield SweepPanel(f"loss against {sign}{more}", x, {"loss": series["loss"]}, chosen, sign, "held-out loss")
    yield SweepPanel(f"TPR and TNR against {sign}{more}", x, rates, chosen, sign, "%")


def _sweep_note(found: Findings, count: int, alike: int) -> str:
    """Return what a sweep of so many seeds shows, of which so many chose the α⁻ of the first."""
    preset, (pair,) = found.work.preset, found.work.preset.group(found.experiment.pairs)
    first = preset.seeds[0]
    if count == 1:
        of, choice = f"Of seed {first}", "the dashed line is its choice"
    else:
        of = f"Mean and range over {count} seeds, against α⁺ over the {alike} that chose the α⁻ of seed {first}"
        choice = f"the dashed line is the choice of seed {first}"
    about = f"{of}, {pair.title}, on held-out rows; {choice}. α⁻ is swept with α⁺ = 1, then α⁺ with the chosen α⁻."
    return _joined(about, found.experiment.note, preset.note)


def differences(found: Findings) -> Shown:
    """Show each line minus each above it, seed by seed."""
    yield from of_lines(found.scores, found.experiment.columns, found.work.preset.resamples, found.experiment.title)


VIEWS: dict[str, Callable[[Findings], Shown]] = {
    "table": table,
    "matrix": matrix,
    "histograms": histograms,
    "risk_coverage": risk_coverage,
    "losses": losses,
    "sweep": sweep,
    "differences": differences,
}


BESIDE = ("-seeds", "-differences")  # ends of tables with intervals: files alone, not printed
# What a file of rows has of each, next to what tables show.
WRITTEN = ("score", "is", "seed", "oracle", "classifier", "where", "loss", "n", "accuracy", "auc", "aurc", "delta_auc",
           "best_auc")  # fmt: skip


def write(found: Findings, out: Path, compare: bool = False) -> list[Grid]:
    """Write all that an experiment shows; return its main tables.

    With ``compare`` there is also a table of its numbers next to the paper's, where the paper prints such; if no number
    can be compared, a table without rows, which is not written, says so in its title.
    """
    experiment, preset = found.experiment, found.work.preset
    shown = {f"{experiment.name}{end}": one for view in experiment.views for end, one in VIEWS[view](found)}
    remarks = []
    if compare and experiment.published is not None:
        theirs = [{**row, "where": of_the_paper(row["where"])} for row in found.rows]
        data = "" if preset.is_paper_data else preset.name
        grid = comparison(experiment.published, theirs, preset.stands_for, data)
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


def require_possible(experiment: Experiment, preset: Preset | None = None) -> None:
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
            column(name)
        if "matrix" in experiment.views and not (experiment.columns and MCP in experiment.lines):
            raise SteepslopeError(f"expected a column and the line {MCP} for the view matrix", "columns")
        for name in experiment.drawn:
            require_known("line to draw", name, experiment.lines)
        if experiment.published is not None:
            published(experiment.published)
        if preset is not None:
            _require_preset(experiment, preset)


def _require_preset(experiment: Experiment, preset: Preset) -> None:
    """Raise unless the preset has what the views need: one pair for some, and what is swept."""
    for view in experiment.views:
        pairs = preset.group(experiment.pairs) if view in OF_ONE_PAIR else ()
        if len(pairs) > 1:
            found = ", ".join(pair.title for pair in pairs)
            raise SteepslopeError(f"expected one pair for the view {view}, found {found}", f"pairs: {experiment.pairs}")
    for name in SWEPT if "sweep" in experiment.views else ():
        if name not in preset.sweep:
            raise SteepslopeError(f"expected {name} for the view sweep, found none", f"preset {preset.name}: sweep")
