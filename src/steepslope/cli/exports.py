"""What is exported, from the names that a command line gives. It imports torch plainly."""

from collections.abc import Sequence

from steepslope.cli.results import require_runnable
from steepslope.errors import SteepslopeError
from steepslope.export.exporting import Exported, export_gate, export_oracle
from steepslope.export.file import Part
from steepslope.gate import Gate
from steepslope.gate.judge import Judge
from steepslope.gate.live import LiveNets
from steepslope.gate.storage import digest_of_gate
from steepslope.oracle import BaseOracle, FusedOracle, Oracle


def exported_from(
    gate: str | None,
    oracle: str | None,
    part: Part,
    classifier: str | None,
    auxiliary: str | None,
    backbones: Sequence[str],
) -> Exported:
    """Return the model of the gate, or of the oracle, in a folder."""
    if part != "all" or gate is None:
        given = [name for name, spec in (("classifier", classifier), ("auxiliary", auxiliary)) if spec is not None]
        if given:
            raise SteepslopeError("expected none, since this file holds no nets", given[0])
    if gate is None:
        assert oracle is not None
        require_runnable([oracle], backbones)
        return export_oracle(_judge_of(Oracle.load(oracle, backbones)))
    loaded = Gate.load(gate, backbones=backbones)
    live = LiveNets.of(loaded, classifier, auxiliary) if part == "all" and loaded.judge is not None else None
    return export_gate(loaded, part, live, digest_of_gate(gate))


def _judge_of(oracle: BaseOracle) -> Judge:
    if not isinstance(oracle, Oracle | FusedOracle):
        raise SteepslopeError("an oracle on images can only be exported with its nets: give a gate of it", "oracle")
    assert oracle.fitted_ is not None
    return Judge.of(oracle, oracle.fitted_.num_classes)
