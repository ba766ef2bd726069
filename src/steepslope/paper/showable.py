"""What an experiment must name and have before hours of work are done for what it shows."""

from steepslope.checks import Check, require
from steepslope.errors import SteepslopeError, located, require_known
from steepslope.losses import parameters_of
from steepslope.paper.columns import MCP, column
from steepslope.paper.experiment import Experiment
from steepslope.paper.lab import TEST
from steepslope.paper.preset import Preset
from steepslope.paper.published import published
from steepslope.paper.views import VIEWS

GATED = ("score", "best", "fused")  # kinds of lines that can have a gate
OF_ONE_PAIR = ("matrix", "sweep", "gates")  # views whose tables and figures have no room for several
SWEPT = ("negatives", "positives", "criterion")  # what a preset's sweep needs
SLOPE = parameters_of("steep_slope")["alpha_pos"][1]
SETTINGS: dict[str, dict[str, Check]] = {
    "losses": {
        "alphas": Check(
            f"a list of pairs, each {SLOPE.expected}",
            lambda value: (
                isinstance(value, list)
                and all(isinstance(one, list) and len(one) == 2 and all(map(SLOPE.allows, one)) for one in value)
            ),
        ),
        "gamma": parameters_of("focal")["gamma"][1],
    },
    "histograms": {
        "lines": Check("a list of at least one line", lambda value: isinstance(value, list) and len(value) > 0)
    },
}  # by view, what may stand in an experiment's settings


def require_showable(experiment: Experiment, preset: Preset | None = None) -> None:
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
        for name in experiment.columns:
            column(name)
        if "matrix" in experiment.views and not (experiment.columns and MCP in experiment.lines):
            raise SteepslopeError(f"expected a column and the line {MCP} for the view matrix", "columns")
        _require_settings(experiment)
        if "gates" in experiment.views:
            _require_gates(experiment)
        if experiment.published is not None:
            published(experiment.published)
        if preset is not None:
            _require_preset(experiment, preset)


def _require_settings(experiment: Experiment) -> None:
    """Raise unless each setting is one of a view, with a value that it may have."""
    known = {name: check for view in experiment.views for name, check in SETTINGS.get(view, {}).items()}
    for name, value in experiment.settings.items():
        require_known(f"setting of the view {', '.join(experiment.views)}:", name, known)
        require(name, value, known[name])
    if "histograms" in experiment.views:
        for name in experiment.settings.get("lines", ()):
            require_known("line of the view histograms:", name, experiment.lines)


def _require_gates(experiment: Experiment) -> None:
    """Raise unless there are clean images, of which promises are made, and lines that can have a gate."""
    if TEST not in experiment.where:
        raise SteepslopeError(f"expected {TEST} among the sets of images for the view gates", "where")
    for name, method in experiment.lines.items():
        if method["kind"] not in GATED:
            raise SteepslopeError(
                f"expected a line of kind {', '.join(GATED)} for the view gates, found {method['kind']}", name
            )


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
