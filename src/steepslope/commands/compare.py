"""`steepslope compare`."""

from pathlib import Path

from steepslope.errors import SteepslopeError
from steepslope.utilities.progress import console
from steepslope.utilities.results import made_by
from steepslope.utilities.short_names import shortest_tails


def compare(
    dir: tuple[str, ...],
    /,
    out: str,
    names: tuple[str, ...] = (),
    baseline: str | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    replace: bool = False,
    json: bool = False,
) -> None:
    """Set reports side by side, of models, losses or months, and write compare.json, compare.md and compare.html.

    Where two reports are of the same rows, in any order, their differences are paired: both are resampled alike. Where
    they are not, the differences are unpaired, and wider. It is said which, and why.

    Parameters
    ----------
    dir
        Folders of two or more reports that evaluate or demo made.
    out
        Folder for the results.
    names
        Names of the runs, one for each folder, with commas between them; by default their folders' names, with as much
        of the path before these as tells them apart.
    baseline
        Name of the run that all others are compared with; by default the first.
    bootstrap
        Number of resamples for the intervals of the differences; 0 leaves the intervals out.
    seed
        Seed of the resamples.
    replace
        Replace a comparison that the folder holds already, made with other options or of other reports.
    json
        Print one JSON document in place of the table: the folder for the results, and what compare.json holds.
    """
    made = made_by("compare", locals())
    from steepslope.commands.results import print_comparison, publish_comparison
    from steepslope.evaluation.comparison import compare_runs, require_comparable
    from steepslope.report.comparison_page import COMPARISON
    from steepslope.report.stored import read_run
    from steepslope.report.web.shell import library
    from steepslope.utilities.locks import locked

    called = names_of_runs(dir, names)
    require_comparable(called, baseline)
    runs = [read_run(Path(folder), name) for folder, name in zip(dir, called, strict=True)]
    with locked(out):
        if COMPARISON.is_complete(out, made, replace):
            if json:
                print_comparison(Path(out))
            console().print(f"{out}: already complete")
            return
        library()  # is ready when the page is
        publish_comparison(compare_runs(runs, baseline, bootstrap=bootstrap, seed=seed), Path(out), made, json)


def names_of_runs(folders: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return a name for each folder: those that are given, or else what tells the folders' paths apart.

    >>> names_of_runs(("runs/may/report", "runs/june/report"), ())
    ('may/report', 'june/report')
    """
    if names:
        if len(names) != len(folders):
            raise SteepslopeError(f"expected a name for each of {len(folders)} folders, found {len(names)}", "names")
        return names
    paths = [str(Path(folder).resolve()) for folder in folders]
    twice = next((folder for folder, path in zip(folders, paths, strict=True) if paths.count(path) > 1), None)
    if twice is not None:
        raise SteepslopeError("expected each report once, or a name for each (--names), found it twice", twice)
    return tuple(shortest_tails(paths))
