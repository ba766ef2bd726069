"""Whether an exported file decides as the gate itself does, on the same random rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.files import require_extra
from steepslope.gate import REJECT, Gate
from steepslope.nets.export._exporting import Exported
from steepslope.nets.export._file import IMAGES
from steepslope.nets.export._gate_graph import GROUP, HANDED_OVER, TRUST, groups_in_graph
from steepslope.outputs import NO_CONFIDENCES, PROBABILITIES, VOTE, ClassifierOutputs, answer_logits, is_opinion_array

ROWS = 8
TOLERANCE = 1e-3  # of a trust logit, or of its size where that is above 1: on noise, nets are less exact than on images
Arrays = Mapping[str, NDArray[Any]]


def require_agreement(exported: Exported) -> float:
    """Return by how much trust logits differ at most, on some random rows; raise if any output is another.

    The rows are images of noise where the file takes images, and else arrays of normal numbers.

    Raises
    ------
    SteepslopeError
        If a number differs by more than 10⁻³, or a label or a decision at all.
    """
    onnxruntime = require_extra("onnxruntime", "nets", "an export")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        exported.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rows = random_export_inputs(session, exported)
    names = [one.name for one in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, rows), strict=True))
    expected = expected_export_outputs(exported, rows)
    differing = [name for name in names if not _outputs_agree(name, outputs, expected, exported.gate)]
    if differing:
        raise SteepslopeError(f"ONNX Runtime finds another {' and '.join(differing)} than the gate", "export")
    return _gap_of_outputs(outputs[TRUST], expected[TRUST])


def _gap_of_outputs(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return by how much numbers differ at most, relative to their size where that is above 1; 0 of equal ones."""
    return float(np.where(found == expected, 0, np.abs(found - expected) / np.maximum(1, np.abs(expected))).max())


def _outputs_agree(name: str, found: Arrays, expected: Arrays, gate: Gate | None) -> bool:
    """Return whether an output is the same; a decision may differ where the trust logit is that of a threshold."""
    if found[name].dtype.kind == "f":
        return _gap_of_outputs(found[name], expected[name]) <= TOLERANCE
    differing = found[name] != expected[name]
    if name not in ("accepted", "rejected") or gate is None:
        return not differing.any()
    edges = [*gate.thresholds.values(), *([] if gate.rejection is None else [gate.rejection.threshold])]
    z = expected[TRUST][differing]
    near = [np.abs(z - edge) <= TOLERANCE * np.maximum(1, np.abs(z)) for edge in edges if np.isfinite(edge)]
    return bool(np.any(near, axis=0).all()) if near else not differing.any()


def random_export_inputs(session: Any, exported: Exported) -> dict[str, NDArray[Any]]:
    """Return random rows for a session's inputs; images have to be resized, unless the file fixes their size."""
    draw = np.random.default_rng(0)
    side = 0 if exported.nets is None else max(exported.nets.classifier.transform.size) + 9
    rows: dict[str, NDArray[Any]] = {}
    for one in session.get_inputs():
        sizes = [ROWS, *(size if isinstance(size, int) else side for size in one.shape[1:])]
        if one.name == IMAGES:
            rows[one.name] = draw.integers(0, 256, sizes, dtype=np.uint8)
        elif one.name == GROUP:
            assert exported.gate is not None
            rows[one.name] = draw.integers(0, len(groups_in_graph(exported.gate)), ROWS)
        elif one.name in exported.source.answers:
            rows[one.name] = _random_answers(draw, sizes[1], exported.source.answers[one.name])
        elif one.name.startswith(VOTE):
            rows[one.name] = draw.integers(-1, exported.source.num_classes + 1, ROWS)
        else:
            rows[one.name] = draw.normal(size=sizes).astype(np.float32)
            if is_opinion_array(one.name):
                rows[one.name][0] = np.nan  # a row that lacks it
    return rows


def _random_answers(draw: np.random.Generator, classes: int, scale: str | None) -> NDArray[np.float32]:
    """Return made logits (ROWS, K) of random answers, with confidences on a scale."""
    sure = None if scale == NO_CONFIDENCES else draw.uniform(size=ROWS)
    if sure is not None and scale not in (None, PROBABILITIES):
        sure = np.log(sure)
    return answer_logits(draw.integers(classes, size=ROWS), sure, classes).astype(np.float32)


def expected_export_outputs(exported: Exported, given: Arrays) -> dict[str, NDArray[Any]]:
    """Return what the gate, or the source alone, finds itself of the same rows."""
    gate, source = exported.gate, exported.source
    arrays = {name: array for name, array in given.items() if name != GROUP}
    if gate is None:
        rows = ClassifierOutputs.of(arrays)
        handed_over = None if source.oracle is None else source.oracle.handed_over(rows)
        return {TRUST: source.confidence(rows), **({} if handed_over is None else {HANDED_OVER: handed_over})}
    groups = np.array(groups_in_graph(gate))[given[GROUP]] if GROUP in given else None
    if exported.nets is not None:
        images = given[IMAGES] if given[IMAGES].shape[3] > 1 else given[IMAGES][..., 0]
        decisions = exported.nets.predict_rows(images, groups)
    else:
        decisions = gate.decide_rows(ClassifierOutputs.of(arrays, gate.classes), groups)
    names = ("probability", "p_correct", "trust_logit", "accepted", "handed_over")
    shown = {name: getattr(decisions, name) for name in names if getattr(decisions, name) is not None}
    return {"label": decisions.labels, **shown, "rejected": decisions.decision == REJECT}
