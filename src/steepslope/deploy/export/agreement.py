"""Whether an exported file decides as the gate itself does: both judge the same rows, and no decision may differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.deploy.export.exporting import Exported
from steepslope.deploy.export.gates import GROUP, groups_of
from steepslope.deploy.export.oracles import TRUST
from steepslope.deploy.export.preprocessing import IMAGES
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.outputs import ClassifierOutputs
from steepslope.utilities.extras import require_extra

ROWS = 8
TOLERANCE = 1e-3  # of a trust logit, or of its size where that is above 1: on noise, nets are less exact than on images
Arrays = Mapping[str, NDArray[Any]]


def require_agreement(exported: Exported) -> float:
    """Return by how much trust logits differ at most, on some random rows; raise if that is too much.

    The rows are images of noise where the file takes images, and else arrays of normal numbers.

    Raises
    ------
    SteepslopeError
        If a trust logit differs by more than 10⁻³, or a label at all.
    """
    onnxruntime = require_extra("onnxruntime", "onnx", "an export")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        exported.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = random_inputs(session, exported)
    names = [one.name for one in session.get_outputs()]
    found, expected = dict(zip(names, session.run(None, given), strict=True)), expected_outputs(exported, given)
    z = expected[TRUST]
    gap = float((np.abs(found[TRUST] - z) / np.maximum(1, np.abs(z))).max())
    same = "label" not in found or np.array_equal(found["label"], expected["label"])
    if not (gap <= TOLERANCE and same):
        raise SteepslopeError(f"ONNX Runtime's trust logits differ by {gap:.2g}, expected <= {TOLERANCE}", "export")
    return gap


def random_inputs(session: Any, exported: Exported) -> dict[str, NDArray[Any]]:
    """Return random rows for a session's inputs."""
    draw = np.random.default_rng(0)
    given: dict[str, NDArray[Any]] = {}
    for one in session.get_inputs():
        sizes = [
            size if isinstance(size, int) else ROWS if place == 0 else _side(exported)
            for place, size in enumerate(one.shape)
        ]
        if one.name == IMAGES:
            given[one.name] = draw.integers(0, 256, sizes, dtype=np.uint8)
        elif one.name == GROUP:
            assert exported.gate is not None
            given[one.name] = draw.integers(0, len(groups_of(exported.gate)), ROWS)
        else:
            given[one.name] = draw.normal(size=sizes).astype(np.float32)
    return given


def _side(exported: Exported) -> int:
    """Return a side of images that have to be resized."""
    assert exported.live is not None
    return max(exported.live.classifier.transform.size) + 9


def expected_outputs(exported: Exported, given: Arrays) -> dict[str, NDArray[Any]]:
    """Return what the gate, or the judge alone, finds itself of the same rows."""
    gate, judge = exported.gate, exported.judge
    groups = None
    if GROUP in given:
        assert gate is not None
        groups = np.array(groups_of(gate))[given[GROUP]]
    if IMAGES in given:
        assert gate is not None
        images = given[IMAGES] if given[IMAGES].shape[3] > 1 else given[IMAGES][..., 0]
        return _of_decisions(gate.predict(images, groups), gate)
    arrays = {name: array for name, array in given.items() if name != GROUP}
    if gate is None:
        return {TRUST: judge.confidence(ClassifierOutputs.of(arrays))}
    return _of_decisions(gate.decide(ClassifierOutputs.of(arrays, gate.classes), groups), gate)


def _of_decisions(decisions: Any, gate: Gate) -> dict[str, NDArray[Any]]:
    found = {name: getattr(decisions, name) for name in ("probability", "p_correct", "trust_logit", "accepted")}
    return {"label": decisions.labels, **found, "rejected": decisions.decision == "reject"}


__all__ = ["expected_outputs", "random_inputs", "require_agreement"]
