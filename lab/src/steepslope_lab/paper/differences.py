"""Each line of a table minus each line above it, on the same images: paired differences with intervals."""

from collections.abc import Iterator, Sequence
from itertools import combinations, groupby
from pathlib import Path

from steepslope.metrics import METRICS, measures_at, rank_rows, resample_all
from steepslope.report import Cell, Grid, estimate_cell
from steepslope_lab.paper.methods import Wanted, confidences_of_line
from steepslope_lab.paper.tables import decimals_shown, table_column
from steepslope_lab.paper.workspace import Case, title_of_images

Scores = Sequence[tuple[Wanted, Path]]
NOTE = """The line named first minus the other, on the same test images, with paired 95 % bootstrap intervals over \
these. Thresholds play no part."""


def differences_of_lines(
    scores: Scores, columns: Sequence[str], resamples: int, title: str
) -> Iterator[tuple[str, Grid]]:
    """Show a row for each two lines of the same pair, images and seed; lines that all seeds share are in each."""
    shown = {name: table_column(name) for name in columns if name in METRICS and METRICS[name].threshold is None}
    measures = {name: one for name, one in measures_at(0.5, 0.5).items() if name in shown}
    rows = []
    for case, lines in cases_of_scores(scores):
        scored = [confidences_of_line(folder) for folder in lines.values()]
        ranked = [(rank_rows(one.confidence, right), measures) for one, right in scored]
        resampled = dict(zip(lines, resample_all(ranked, resamples, case.seed), strict=True))
        place = f"⟨{case.oracle}, {case.classifier}⟩, {title_of_images(case.where)}"
        for above, line in combinations(lines, 2):
            paired = resampled[line].minus(resampled[above])
            cells = [
                estimate_cell(paired[name], one.scale, "+", decimals_shown(one.scale)) for name, one in shown.items()
            ]
            rows.append([Cell(f"{place}, {line} − {above}, seed {case.seed}"), *cells])
    headings = ["lines", *(f"Δ{one.heading}" for one in shown.values())]
    yield "-differences", Grid(f"{title}: differences", headings, rows, NOTE)


def cases_of_scores(scores: Scores) -> Iterator[tuple[Case, dict[str, Path]]]:
    """Yield the folders of the lines by their names, for each pair, set of images and seed."""
    for (pair, where), some in groupby(scores, key=lambda one: (one[0].pair, one[0].case.where)):
        together = list(some)
        seeds = list(dict.fromkeys(one.case.seed for one, _ in together))
        for seed in seeds:
            # what all seeds share is there once, with the first one
            lines = {one.name: folder for one, folder in together if one.case.seed in (seeds[0], seed)}
            yield Case(pair.oracle, pair.classifier, where, seed), lines
