"""`steepslope reproduce`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steepslope.cli import showing_first
from steepslope.errors import SteepslopeError, require, whole
from steepslope.files import say

if TYPE_CHECKING:
    from steepslope_lab.paper.experiment import Experiment
    from steepslope_lab.paper.workspace import Workspace

EVIDENCE, FROZEN, LIST = "evidence", "frozen", "list"


@showing_first("experiment", "preset", "data", "dry_run", "compare", "out")
def reproduce(
    experiment: str,
    /,
    preset: str = "digits",
    data: str | None = None,
    out: str | None = None,
    work: str | None = None,
    seeds: tuple[int, ...] | None = None,
    set: tuple[str, ...] = (),
    workers: int = 0,
    dry_run: bool = False,
    compare: bool = False,
) -> None:
    """Make a table or figure of the paper again: train, extract, shift, evaluate, and draw; what is there is kept.

    Killed and run again, it goes on. All experiments of a preset share their work: none trains or extracts again what
    another has made.

    Parameters
    ----------
    experiment
        table1, table2, table3, table-a1, figure2, figure3, figure4, appendix-d, appendix-d-shifts, appendix-e,
        appendix-f, appendix-g, appendix-h; all, which are these as far as the preset has them; on-features, severities,
        distortions; or a YAML file of one's own. evidence has presets of its own: what oracles gain on photos, texts,
        tables and sounds, next to what others propose.
    preset
        On what to run: digits (minutes), fashion-mnist (hours), mnist, cifar10, imagenet; cifar10-resnet20 and
        cifar10-resnet56, which have a public classifier; or a YAML file of one's own. For evidence: banking77, adult,
        spoken-digits and others, which --preset list names with their sources, or a YAML file; frozen makes the file on
        which the command benchmark judges scores, from a folder with a subfolder for each of its presets.
    data
        Data spec in place of the preset's; for imagenet imagefolder:DIR with the subfolders train and val, for
        cifar10-resnet20 and cifar10-resnet56 one with train and test. For evidence the folder of the data set's files.
    out
        Folder for tables and figures; by default runs/reproduce/PRESET, and runs/evidence, in which all of its presets
        share their tables.
    work
        Folder for all that is trained and extracted on the way; by default work in the folder for tables.
    seeds
        Seeds in place of the preset's: each has a classifier, where one is trained, and its own oracles.
    set
        Changes of the preset, as nets.vit.spec=timm:NAME or pairs.0.training.epochs=1, with commas between them;
        test_data=SPEC are test images of data without splits, styles=DIR those whose styles Table 3 takes, in place of
        scikit-learn's two photographs, and trained_stylizer=DIR a stylizer in place of one that is trained.
    workers
        Processes that decode images; 0 decodes in this one.
    dry_run
        Say what would be done, with every setting, and do nothing; not with evidence.
    compare
        Also show the paper's numbers, the differences, and whether ours lie within their spread.
    """
    from steepslope.files import require_no_file

    if experiment == EVIDENCE:
        for name, given in {"workers": workers, "dry-run": dry_run, "compare": compare}.items():
            if given:
                raise SteepslopeError("expected none with evidence", name)
        reproduce_evidence(
            preset, data, require_no_file(out or "runs/evidence"), work, seeds, changes_to_reproduce(set)
        )
        return
    from steepslope_lab.paper.experiment import ALL, experiment_names, read_experiment, steps_of_experiments
    from steepslope_lab.paper.preset import read_paper_preset
    from steepslope_lab.paper.steps import plan_lines, run_steps
    from steepslope_lab.paper.views import require_possible_views
    from steepslope_lab.paper.workspace import Workspace

    chosen = read_paper_preset(preset, changes_to_reproduce(set)).changed(data=data, seeds=seeds)
    folder = require_no_file(out or f"runs/reproduce/{chosen.name}")
    workspace = Workspace(chosen, Path(work) if work else folder / "work", say, require("workers", workers, whole(0)))
    names = experiment_names() if experiment == ALL else [experiment]
    experiments = [read_experiment(name) for name in names]
    if experiment == ALL:
        experiments = [one for one in experiments if one.source and (not one.lines or chosen.groups.get(one.pairs))]
    for one in experiments:
        require_possible_views(one, chosen)
    steps = steps_of_experiments(experiments, workspace, whole=dry_run)
    if dry_run:
        print("\n".join([*plan_lines(steps)]))  # all or none: what is wrong is found on the way
        return
    if not all(step.is_complete for step in steps):
        workspace.require_images()
    run_steps(steps, workspace)
    show_reproduced(experiments, workspace, folder, compare)


def show_reproduced(experiments: Sequence[Experiment], workspace: Workspace, out: Path, compare: bool) -> None:
    """Write all that experiments show, and print their tables."""
    from steepslope.report import grid_for_terminal
    from steepslope_lab.paper.views import Findings, write_views

    for one in experiments:
        for grid in write_views(Findings(one, workspace), out, compare):
            print(f"\n{grid.title}\n{grid_for_terminal(grid, grid.columns)}")
    print(f"tables and figures: {out}")


def reproduce_evidence(
    preset: str,
    data: str | None,
    out: Path,
    work: str | None,
    seeds: tuple[int, ...] | None,
    changes: Mapping[str, str],
) -> None:
    """Add the rows of a data set to the evidence in a folder, and print its tables; or list the presets, or freeze."""
    from steepslope.files import locked
    from steepslope.report import grid_for_terminal
    from steepslope_lab.benchmark.freeze import freeze_benchmark
    from steepslope_lab.benchmark.preset import evidence_preset_names, read_evidence_preset
    from steepslope_lab.benchmark.run import run_preset
    from steepslope_lab.benchmark.summary import write_summary

    if preset == LIST:
        print("\n".join(f"{name}: {read_evidence_preset(name).source}" for name in evidence_preset_names()))
        return
    if preset == FROZEN and data is not None:
        freeze_benchmark(Path(data), out, Path(work or out / "work"), say)
        return
    chosen = read_evidence_preset(preset, changes, seeds)
    if data is None:
        raise SteepslopeError(f"expected the folder with the files of {chosen.source}, found none", "data")
    run_preset(chosen, Path(data), out, Path(work or out / "work") / chosen.name, say)
    with locked(out):  # others may add their rows
        grids = write_summary(out)
    for grid in grids:
        print(f"\n{grid.title}\n{grid_for_terminal(grid, grid.columns)}")
    print(f"tables and a figure: {out}")


def changes_to_reproduce(words: tuple[str, ...]) -> Mapping[str, str]:
    """Return changes of a preset by their places.

    >>> changes_to_reproduce(("nets.vit.size=32",))
    {'nets.vit.size': '32'}
    """
    for word in words:
        if "=" not in word:
            raise SteepslopeError(f"expected PLACE=VALUE, such as nets.vit.size=224, found {word!r}", "set")
    return dict(word.split("=", 1) for word in words)
