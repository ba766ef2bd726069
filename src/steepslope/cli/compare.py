"""`steepslope compare`."""

from pathlib import Path

from steepslope.errors import SteepslopeError
from steepslope.files.artifact import made_by, stamp_of
from steepslope.files.progress import console
from steepslope.report.grid import shortest_tails


def compare(
    dir: tuple[str, ...],
    /,
    out: str = "runs/compare",
    names: tuple[str, ...] = (),
    baseline: str | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    replace: bool = False,
    json: bool = False,
) -> None:
    """Set reports side by side, of models, losses or months, and write compare.json, compare.md and compare.html.

    Where two reports are of the same rows, in any order, their differences are paired: both are resampled alike. Where
    they are not, the differences are unpaired, and their intervals are wider. The result says which kind each is, and
    why.

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
    made = made_by("compare", {**locals(), "dir": ()})
    from steepslope.cli.results import print_comparison, publish_comparison
    from steepslope.files.folders import locked
    from steepslope.report.comparison import compare_runs, require_comparable
    from steepslope.report.comparison_page import COMPARISON
    from steepslope.report.runs import read_run
    from steepslope.report.web.shell import library

    called, shown = names_of_runs(dir, names), shown_folders(dir)
    require_comparable(called, baseline)
    runs = [read_run(Path(folder), *words) for folder, *words in zip(dir, called, shown, strict=True)]
    stamps = {f"content of {name}": stamp_of(Path(folder)) for folder, name in zip(dir, called, strict=True)}
    made |= {"dir": list(shown), **stamps}
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
    paths = _resolved(folders)
    twice = next((folder for folder, path in zip(folders, paths, strict=True) if paths.count(path) > 1), None)
    if twice is not None:
        raise SteepslopeError("expected each report once, or a name for each (--names), found it twice", twice)
    return tuple(shortest_tails(paths))


def shown_folders(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Return folders as they are given, but of absolute paths the shortest tails that tell them apart.

    Results are passed on, and absolute paths reveal the machine and its user.

    >>> shown_folders(("runs/may", "/home/someone/runs/june"))
    ('runs/may', 'june')
    """
    paths = _resolved(folders)
    distinct = list(dict.fromkeys(paths))
    tails = dict(zip(distinct, shortest_tails(distinct), strict=True))
    given = zip(folders, paths, strict=True)
    return tuple(tails[path] if Path(folder).is_absolute() else folder for folder, path in given)


def _resolved(folders: tuple[str, ...]) -> list[str]:
    """Return absolute paths, without the first slash: no tail of them is absolute."""
    return [str(Path(folder).resolve()).lstrip("/") for folder in folders]
