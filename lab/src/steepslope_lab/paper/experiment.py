"""A table or figure as data, a YAML file in ``catalogue/``: which lines, on which images, in which columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.files import dataclass_from_yaml, read_yaml
from steepslope.nets.data import parse_data
from steepslope_lab.paper.methods import KINDS, Method, Wanted, method_of_line, score_step
from steepslope_lab.paper.oracle_steps import sweep_step
from steepslope_lab.paper.steps import Step, steps_in_order
from steepslope_lab.paper.tables import MCP
from steepslope_lab.paper.workspace import ADVERSARIAL, STYLIZED, TEST, Case, Workspace
from steepslope_lab.shifts.corruptions import PAPER_CORRUPTIONS
from steepslope_lab.shifts.distortions import DISTORTIONS

FOLDER = Path(__file__).parent / "catalogue"
ALL = "all"
ORDER = ("table1", "table2", "table3", "table-a1", "figure2", "figure3", "figure4")  # then the others by name
ALL_OF = {"corrupt": (PAPER_CORRUPTIONS, range(1, 6)), "distort": (tuple(DISTORTIONS), range(2))}
LISTS = ("paper", "ours", "where", "views", "columns", "drawn")  # fields of an experiment's file
KNOWN_IMAGES = (TEST, STYLIZED, ADVERSARIAL)
Lines = dict[str, Method]  # the name of a line -> where its confidences come from


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One table or figure, or several that go together.

    ``source`` is its place in the paper, or empty. ``pairs`` are a group of the preset's; ``where`` are sets of images:
    test, stylized, adversarial, or a shift such as corrupt:fog:5, in which * stands for all. The lines of
    ``paper`` are those of the paper's own table, those of ``ours`` are not. ``views`` show them, tables in ``columns``,
    and histograms those that are ``drawn``, by default all; ``published`` names the paper's own numbers.
    """

    name: str
    title: str
    source: str = ""
    views: tuple[str, ...] = ("table",)
    pairs: str = ALL
    where: tuple[str, ...] = ("test",)
    paper: Lines = field(default_factory=dict)
    ours: Lines = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    published: str | None = None
    drawn: tuple[str, ...] = ()
    note: str = ""

    @property
    def lines(self) -> Lines:
        """All lines, MCP's first."""
        both = {**self.paper, **self.ours}
        return {name: both[name] for name in sorted(both, key=lambda name: name != MCP)}


def experiment_names() -> list[str]:
    """Return the names of all experiments of the catalogue: the paper's tables, its figures, its appendices, others."""
    names = [path.stem for path in FOLDER.glob("*.yaml")]
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def read_experiment(name: str) -> Experiment:
    """Read an experiment of the catalogue by its name, or from a YAML file of one's own.

    >>> read_experiment("table1").source
    'Table 1'

    Raises
    ------
    SteepslopeError
        If there is none of that name, or a field or line is unknown; the message has the closest name.
    """
    is_file = name.endswith((".yaml", ".yml"))
    if not is_file:
        require_known("experiment", name, [*experiment_names(), ALL])
    path = Path(name) if is_file else FOLDER / f"{name}.yaml"
    with located(name if is_file else path.name):
        content = read_yaml(path)
        for key in LISTS:
            if not isinstance(content.get(key, []), list):
                raise SteepslopeError(f"expected a list, found {content[key]!r}", key)
        images = [one for where in content.get("where", ["test"]) for one in expanded_images(where)]
        for one in images:
            if one.split(":")[0] in ALL_OF:
                parse_data(f"{one}/digits")  # the data play no part
            else:
                require_known("set of images", one, (*KNOWN_IMAGES, "corrupt:KIND:SEVERITY"))
        lines = {key: _lines_of_entries(content.get(key, [])) for key in ("paper", "ours")}
        return dataclass_from_yaml(
            Experiment, {**content, **lines, "where": images, "name": path.stem}, "an experiment"
        )


def expanded_images(where: str) -> list[str]:
    """Return the sets of images that a name with * stands for: the paper's corruptions, or our distortions.

    >>> expanded_images("test"), expanded_images("distort:blur:*")
    (['test'], ['distort:blur:0', 'distort:blur:1'])
    >>> len(expanded_images("corrupt:*:5")), len(expanded_images("corrupt:*:*"))
    (15, 75)
    """
    if "*" not in where:
        return [where]
    if where.count(":") != 2:
        raise SteepslopeError(f"expected SHIFT:KIND:SEVERITY, such as corrupt:*:5, found {where}", "where")
    shift, kind, level = where.split(":")
    require_known(f"shift of {where}:", shift, ALL_OF)
    kinds, levels = ALL_OF[shift]
    return [f"{shift}:{one}:{of}" for one in (kinds if kind == "*" else [kind])
            for of in (levels if level == "*" else [level])]  # fmt: skip


def _lines_of_entries(entries: list[Any]) -> Lines:
    """Return lines by name: an entry is a name in ``METHODS``, or one name with its settings."""
    named = [entry if isinstance(entry, dict) else {str(entry): None} for entry in entries]
    return {str(name): method_of_line(str(name), settings) for entry in named for name, settings in entry.items()}


def wanted_lines_of(experiment: Experiment, work: Workspace) -> list[Wanted]:
    """Return the lines of an experiment, for each pair and set of images, of each seed.

    Lines that a classifier cannot have are left out, and where all seeds share a score, it is there once.
    """
    preset = work.preset
    wanted: list[Wanted] = []
    pairs = preset.group(experiment.pairs) if experiment.lines else ()
    for pair, where, (name, method) in product(pairs, experiment.where, experiment.lines.items()):
        net = preset.nets[pair.classifier]
        kind = KINDS[method["kind"]]
        seeds = preset.seeds if kind.learns or net.is_seeded else preset.seeds[:1]
        cases = [Case(pair.oracle, pair.classifier, where, seed) for seed in seeds]
        wanted += [Wanted(name, method, pair, case) for case in cases if not kind.lacks(method, net)]
    return wanted


def steps_of_experiments(experiments: Sequence[Experiment], work: Workspace, whole: bool = False) -> list[Step]:
    """Return the steps to some experiments, each after those that it needs; see :func:`steps_in_order`."""
    scores = [score_step(work, wanted) for one in experiments for wanted in wanted_lines_of(one, work)]
    return steps_in_order([*scores, *(step for one in experiments for step in sweep_steps_of(one, work))], whole)


def sweep_steps_of(experiment: Experiment, work: Workspace) -> list[Step]:
    """Return the sweep of the first seed for each pair, of an experiment that shows one."""
    pairs = work.preset.group(experiment.pairs) if "sweep" in experiment.views else ()
    return [sweep_step(work, pair, work.preset.seeds[0]) for pair in pairs]
