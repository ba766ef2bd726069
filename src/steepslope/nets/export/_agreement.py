"""Whether an exported file decides as the gate itself does, on the same random rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.files import require_extra
from steepslope.gate import REJECT, Gate
from steepslope.nets.export._exporting import Exported
from steepslope.nets.export._file import IMAGES, Arrays
from steepslope.nets.export._gate_graph import GROUP, HANDED_OVER, TRUST, groups_in_graph
from steepslope.outputs import NO_CONFIDENCES, PROBABILITIES, VOTE, ClassifierOutputs, answer_logits, is_opinion_array

_ROWS = 8
# Of a trust logit, or of its size where that is above 1: on noise, nets are less exact than on images.
_TOLERANCE = 1e-3


def require_agreement(exported: Exported) -> float:
    """Return by how much trust logits differ at most, on some random rows; raise if any output is another.

    The rows are images of noise where the file takes images, and else arrays of normal numbers.

    Raises
    ------
    SteepslopeError
        If a number differs by more than 10⁻³, or a label or a decision at all.
    """
    onnxruntime = require_extra("onnxruntime", "nets", "an export")
    draw = np.random.default_rng(0)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        exported.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rows = {node.name: _random_input(node, exported, draw) for node in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, rows), strict=True))
    expected = _expected_export_outputs(exported, rows)
    differing = [name for name in names if not _outputs_agree(name, outputs, expected, exported.gate)]
    if differing:
        raise SteepslopeError(f"ONNX Runtime finds another {' and '.join(differing)} than the gate", "export")
    return _gap_of_outputs(outputs[TRUST], expected[TRUST])


def _gap_of_outputs(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return by how much numbers differ at most, relative to their size where that is above 1; 0 of equal ones."""
    gaps = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    return float(np.where(found == expected, 0, gaps).max())


def _outputs_agree(name: str, found: Arrays, expected: Arrays, gate: Gate | None) -> bool:
    """Return whether an output is the same; a decision may differ where the trust logit is that of a threshold."""
    if found[name].dtype.kind == "f":
        return _gap_of_outputs(found[name], expected[name]) <= _TOLERANCE
    differing = found[name] != expected[name]
    if name not in ("accepted", "rejected") or gate is None:
        return not differing.any()
    edges = list(gate.thresholds.values())
    if gate.rejection is not None:
        edges.append(gate.rejection.threshold)
    z = expected[TRUST]
    for edge in edges:
        if np.isfinite(edge):
            differing &= np.abs(z - edge) > _TOLERANCE * np.maximum(1, np.abs(z))
    return not differing.any()


def _random_input(node: Any, exported: Exported, draw: np.random.Generator) -> NDArray[Any]:
    """Return random rows for an input of a session; images have to be resized, unless the file fixes their size."""
    name = node.name
    sizes = [_ROWS]
    for size in node.shape[1:]:
        if not isinstance(size, int):
            assert exported.nets is not None
            size = max(exported.nets.classifier.transform.size) + 9
        sizes.append(size)
    if name == IMAGES:
        return draw.integers(0, 256, sizes, dtype=np.uint8)
    if name == GROUP:
        assert exported.gate is not None
        return draw.integers(0, len(groups_in_graph(exported.gate)), _ROWS)
    if name in exported.source.answers:
        return _random_answers(draw, sizes[1], exported.source.answers[name])
    if name.startswith(VOTE):
        return draw.integers(-1, exported.source.num_classes + 1, _ROWS)
    rows = draw.normal(size=sizes).astype(np.float32)
    if is_opinion_array(name):
        rows[0] = np.nan  # a row that lacks it
    return rows


def _random_answers(draw: np.random.Generator, classes: int, scale: str | None) -> NDArray[np.float32]:
    """Return made logits (_ROWS, K) of random answers, with confidences on a scale."""
    sure = None
    if scale != NO_CONFIDENCES:
        sure = draw.uniform(size=_ROWS)
        if scale not in (None, PROBABILITIES):
            sure = np.log(sure)
    return answer_logits(draw.integers(classes, size=_ROWS), sure, classes).astype(np.float32)


def _expected_export_outputs(exported: Exported, given: Arrays) -> dict[str, NDArray[Any]]:
    """Return what the gate, or the source alone, finds itself of the same rows."""
    gate = exported.gate
    source = exported.source
    arrays = {name: array for name, array in given.items() if name != GROUP}
    if gate is None:
        rows = ClassifierOutputs.of(arrays)
        outputs = {TRUST: source.confidence(rows)}
        handed_over = None if source.oracle is None else source.oracle.handed_over(rows)
        if handed_over is not None:
            outputs[HANDED_OVER] = handed_over
        return outputs
    groups = None
    if GROUP in given:
        groups = np.array(groups_in_graph(gate))[given[GROUP]]
    if exported.nets is not None:
        images = given[IMAGES]
        if images.shape[3] == 1:
            images = images[..., 0]
        decisions = exported.nets.predict_rows(images, groups)
    else:
        decisions = gate.decide_rows(ClassifierOutputs.of(arrays, gate.classes), groups)
    outputs = {"label": np.asarray(decisions.labels), "rejected": decisions.decision == REJECT}
    for name in ("probability", "p_correct", "trust_logit", "accepted", "handed_over"):
        outputs[name] = getattr(decisions, name)  # None where it is no output
    return outputs
