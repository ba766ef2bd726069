"""Labelled outputs prepared for a gate: one row of each thing, its group, and no row that lacks an opinion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.gate._confidence_source import ConfidenceSource, Origin
from steepslope.gate._decisions import GROUP, groups_by_costs, groups_to_decide_by
from steepslope.numerics import Bools, Counts
from steepslope.outputs import (
    GRADES,
    UNKNOWN,
    ClassifierOutputs,
    caution_on_equal_rows,
    one_of_each_copy,
    require_ids_once,
    rows_of_pairs,
    rows_together,
    warn_of_copies,
)
from steepslope.promise import (
    AnyGroups,
    CalibrationRows,
    LabelledRows,
    Objectives,
    caution_on_neglected_class,
    crossed_groups,
    names_of_crossed,
)

if TYPE_CHECKING:
    from steepslope.gate._gate import Gate


@dataclass(frozen=True, eq=False)
class PreparedRows:
    """The rows that a gate is calibrated on, with all that it keeps of where they come from.

    ``calibrating`` are one row of each thing, as far as no needed opinion is lacking, and ``outputs`` are theirs. The
    gate keeps its decisions on ``remembered``: also those that have no answer, as later rows may have none. ``by`` is
    what the groups are; None without groups. ``cautions`` are about whatever looks too good to be true.
    """

    source: ConfidenceSource
    origin: Origin
    objectives: Objectives
    outputs: ClassifierOutputs
    calibrating: LabelledRows
    remembered: LabelledRows
    by: str | None
    cautions: list[str]
    seed: int

    @classmethod
    def of(
        cls,
        source: ConfidenceSource,
        outputs: ClassifierOutputs,
        objectives: Objectives,
        origin: Origin,
        by: str | None,
        groups: AnyGroups | None,
        together: NDArray[np.generic] | None,
        seed: int,
    ) -> Self:
        """Prepare outputs; the arguments are those of :meth:`steepslope.gate.Gate.of`.

        Raises
        ------
        SteepslopeError
            If the source was fitted on some of the rows, another classifier made them, or the groups do not fit.
        """
        source.require_new(outputs)
        origin.require_classifier(outputs.classifier)
        if outputs.ids is not None:
            require_ids_once(outputs.ids, "outputs")
        if objectives.error_costs is not None:
            by = groups_by_costs(objectives.error_costs, by, groups, outputs)
        if by is None:
            by = names_of_crossed(groups)
        known = groups_to_decide_by(by, groups, outputs, outputs.classes)
        names = crossed_groups(known, len(outputs), by)
        if by is not None and names is None:
            raise SteepslopeError(f"expected predicted, or groups with that name, found {by!r} alone", "by")
        things = rows_together(outputs, together)
        if together is None:
            warn_of_copies(things)
        counted = things
        if names is not None:
            by = by or GROUP
            if objectives.is_of_groups_alone:
                counted = rows_of_pairs(things, names)
        once = one_of_each_copy(counted, seed)
        outputs = _rows_of_outputs(outputs, once)
        source = source.taking(outputs)
        rows = source.labelled(outputs, None if names is None else names[once])
        rows = replace(rows, things=things[once])
        is_complete = ~source.lacking(outputs.arrays)
        complete = _rows_of_outputs(outputs, np.flatnonzero(is_complete))
        is_unanswered = rows.extra["predicted"] == UNKNOWN
        return cls(
            source,
            origin.taken_by(source, complete),
            objectives,
            complete,
            calibrating=rows.subset(is_complete),
            remembered=rows.subset(is_unanswered | is_complete),
            by=by,
            cautions=[*caution_on_equal_rows(complete), *source.cautions(outputs)],
            seed=seed,
        )

    def caution(self, accepted: Bools) -> str:
        """Return the cautions about a gate, a line each, given which of the ``calibrating`` rows it accepts, (n,)."""
        lines = self.cautions
        if self.objectives.max_class_risk is None and self.outputs.classes != GRADES:
            lines = caution_on_neglected_class(self.calibrating, accepted) + lines
        return "\n".join(lines)


def decided_rows(gate: Gate, rows: LabelledRows) -> CalibrationRows:
    """Return a gate's decisions on rows, one of each thing: others depend on these."""
    if rows.things is not None:
        rows = rows.subset(one_of_each_copy(rows.things))
    accepted = gate.accepts(rows.confidence, rows.groups)
    if "predicted" in rows.extra:
        accepted &= rows.extra["predicted"] != UNKNOWN
    p_correct = gate.p_correct(rows.confidence)
    return CalibrationRows(p_correct, accepted, is_correct=rows.is_correct, **rows.extra)


def _rows_of_outputs(outputs: ClassifierOutputs, rows: Counts) -> ClassifierOutputs:
    """Return some rows of outputs, or the outputs themselves, which may be memory-mapped, if these are all rows."""
    if len(rows) == len(outputs):
        return outputs
    return outputs.subset(rows)
