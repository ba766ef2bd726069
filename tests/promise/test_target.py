"""A mix of classes that is estimated on rows without labels: how well, what is promised of it, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from steepslope import ClassifierOutputs, Gate
from steepslope.errors import SteepslopeError
from steepslope.gate.storage import GATE
from steepslope.promise.target import Target
from steepslope.scores import MCP
from tests.files.sealing import seal_again
from tests.promise.test_importance import MIX, SHARES, make_rows


def names_of(outputs: ClassifierOutputs) -> tuple[np.ndarray, np.ndarray]:
    names = np.array(outputs.label_names)
    return names[outputs.require_labels()], names[outputs.predictions]


def target_of(rows: ClassifierOutputs, coming: ClassifierOutputs) -> Target:
    return Target.of(*names_of(rows), names_of(coming)[1])


def test_the_mix_is_estimated_within_its_errors() -> None:
    distances = []
    for seed in range(60):
        target = target_of(make_rows(2_000, SHARES, seed), make_rows(2_000, [*MIX.values()], 1_000 + seed))
        found = target.moments(np.eye(3)[target.true])
        np.testing.assert_allclose(found.means, target.shares, atol=1e-12)
        distances.append((found.means - [*MIX.values()]) / np.sqrt(np.diag(found.covariance)))
    assert np.mean(distances) == pytest.approx(0, abs=0.3)
    assert np.std(distances) == pytest.approx(1, abs=0.2)


def test_a_gate_for_rows_without_labels(tmp_path: Path) -> None:
    rows, coming = make_rows(4_000, SHARES, 7), make_rows(3_000, [*MIX.values()], 8)
    gate = Gate.of(MCP(), rows, max_risk=0.1, target=coming.changed(labels=None))
    estimated = gate.promises[0].weighted
    assert estimated is not None
    assert estimated.mix == pytest.approx(MIX, abs=0.05)
    assert (
        "in the same mix as 3,000 target rows without labels, which are drawn as the predictions to come ("
        in gate.sentences()
    )
    decisions = gate.decide(coming)
    assert decisions.coverage == pytest.approx(gate.coverage, abs=0.05)
    assert (~coming.is_correct[decisions.accepted]).mean() <= 0.12
    assert gate.risk_bound <= 0.1
    gate.save(tmp_path)
    assert Gate.load(tmp_path).sentences() == gate.sentences()
    card = json.loads((tmp_path / "gate.json").read_text())
    card["certificates"][0]["weighted"]["asymptotic"] = True
    (tmp_path / "gate.json").write_text(json.dumps(card))
    seal_again(GATE, tmp_path)
    with pytest.raises(SteepslopeError, match="expected an exact promise, found an asymptotic one: calibrate again"):
        Gate.load(tmp_path)


def test_where_too_much_is_wrong_nothing_is_promised() -> None:
    gate = Gate.of(MCP(), make_rows(1_000, SHARES, 7), max_risk=0.001, target=make_rows(500, [*MIX.values()], 8))
    assert gate.threshold == np.inf
    assert "too many are wrong, or rows are too few" in gate.advice
    assert "takes some hundreds of rows of each class, a named one (class_mix) fewer" in gate.advice


def changed_rows(kind: str) -> ClassifierOutputs:
    rows = make_rows(2_000, SHARES, 8)
    if kind == "surer":
        return rows.changed(logits=rows.logits * 1.5)
    if kind == "fewer than none":  # nothing is predicted as a; by errors alone, some would be
        return make_rows(2_000, [0.0, 0.5, 0.5], 8).changed(logits=rows.logits - np.array([9.0, 0.0, 0.0]))
    draw = np.random.default_rng(0)
    unknown = draw.random(2_000) < 0.3
    return rows.changed(logits=np.where(unknown[:, None], draw.normal(size=(2_000, 3)), rows.logits))


@pytest.mark.parametrize("kind", ["surer", "unknown inputs", "fewer than none"])
def test_what_no_mix_explains_is_refused(kind: str) -> None:
    with pytest.raises(SteepslopeError, match="target: no mix of the classes explains"):
        Gate.of(MCP(), make_rows(4_000, SHARES, 7), target=changed_rows(kind))


def test_changes_of_the_mix_are_seldom_refused() -> None:
    refused = 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        rows, coming = make_rows(3_000, SHARES, seed), make_rows(2_000, draw.dirichlet(np.ones(3)).tolist(), seed + 100)
        try:
            target_of(rows, coming).require_explained(MCP().confidence(rows), MCP().confidence(coming))
        except SteepslopeError:
            refused += 1
    assert refused <= 2


def test_few_rows_and_like_classes_are_refused() -> None:
    rows, coming = make_rows(1_000, SHARES, 7), make_rows(1_000, SHARES, 8)
    with pytest.raises(SteepslopeError, match="expected at least 200 rows, found 100"):
        Gate.of(MCP(), rows, target=coming.subset(slice(0, 100)))
    with pytest.raises(SteepslopeError, match="at least 30 calibration rows of each class, to estimate a mix"):
        Gate.of(MCP(), make_rows(1_000, [0.6, 0.395, 0.005], 7), target=coming)
    blind = rows.changed(logits=rows.logits * np.array([1.0, 1.0, 0.0]) - np.array([0.0, 0.0, 99.0]))
    with pytest.raises(SteepslopeError, match="found rows of c, which never is: name the mix"):
        Gate.of(MCP(), blind, target=coming.changed(logits=coming.logits - np.array([0.0, 0.0, 99.0])))
    alike = np.repeat([["a", "b", "a", "b"]], 100, axis=0).ravel()
    with pytest.raises(SteepslopeError, match="expected predictions that tell the classes apart"):
        Target.of(np.repeat(["a", "b"], 200), alike, alike)
    of_two = make_rows(1_000, [0.5, 0.5, 0.0], 9)
    with pytest.raises(SteepslopeError, match="found none of c"):
        Gate.of(MCP(), of_two, target=coming)
    with pytest.raises(SteepslopeError, match="target: rows: expected other rows, found the same rows"):
        Gate.of(MCP(), rows, target=rows)
    with pytest.raises(SteepslopeError, match="target: expected ClassifierOutputs, found list"):
        Gate.of(MCP(), rows, target=[1, 2])  # type: ignore[arg-type]
    with pytest.raises(SteepslopeError, match="target: expected 3 classes, as of the calibration rows, found 2"):
        Gate.of(MCP(), rows, target=ClassifierOutputs(np.zeros((300, 2))))
    with pytest.raises(SteepslopeError, match="class_mix: expected a promised risk alone, found target beside it"):
        Gate.of(MCP(), rows, class_mix=MIX, target=coming)
