"""What stands beside each decision, and which outputs are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from steepslope.errors import ChangedWarning, RepeatedRowsWarning, SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._decisions import Decisions
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from tests.conftest import make_complete, make_outputs
from tests.promise.references import SHARES, make_rows


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate.of(MCP(), make_outputs(2_000), 0.2, seed=1)


@pytest.fixture(scope="module")
def unseen() -> ClassifierOutputs:
    return make_outputs(300, seed=1)


def test_columns_are_what_their_names_say(gate: Gate, unseen: ClassifierOutputs) -> None:
    found = gate.decide(unseen, top=3)
    probabilities = softmax(unseen.logits.astype(np.float64), axis=1)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    np.testing.assert_array_equal(found.labels, unseen.predictions)
    np.testing.assert_array_equal(found.top_labels, order[:, :3])
    np.testing.assert_allclose(found.top_probability, np.sort(probabilities, axis=1)[:, ::-1][:, :3])
    np.testing.assert_allclose(found.probability, probabilities.max(axis=1))
    np.testing.assert_array_equal(found.trust_logit, MCP().confidence(unseen))
    np.testing.assert_array_equal(found.accepted, found.trust_logit >= gate.threshold)
    np.testing.assert_array_equal(found.decision, np.where(found.accepted, "accept", "review"))
    np.testing.assert_array_equal(found.p_correct, gate.p_correct(found.trust_logit))
    assert found.coverage == found.accepted.mean()
    assert 0 < found.coverage < 1


def test_the_table_has_a_row_a_prediction(gate: Gate, unseen: ClassifierOutputs) -> None:
    table = gate.decide(unseen, top=2).table()
    columns = ["id", "label", "probability", "p_correct", "trust_logit", "accepted", "decision"]
    assert [*table] == [*columns, "stopped", "label_2", "probability_2"]
    assert table["id"].tolist() == unseen.require("ids").tolist()
    assert [*gate.decide(unseen, when_changed="warn").table()] == [*gate.decide_rows(unseen).table()] == columns
    bare = gate.decide(unseen.changed(ids=None, labels=None)).table()
    assert bare["id"].tolist() == [str(row) for row in range(300)]


def test_ties_of_logits_go_to_the_first(gate: Gate) -> None:
    """Also where more classes are asked for than there are."""
    found = gate.decide(ClassifierOutputs([[1.0, 1.0, 0.0, 1.0], [0.0, 2.0, 2.0, 2.0]]), top=99)
    assert found.top_labels.tolist() == [[0, 1, 3, 2], [1, 2, 3, 0]]
    with pytest.raises(SteepslopeError, match="top: expected a whole number >= 1"):
        gate.decide(ClassifierOutputs([[1.0, 1.0, 0.0, 1.0]]), top=0)


def test_large_logits_do_not_overflow(gate: Gate) -> None:
    found = gate.decide(ClassifierOutputs([[1e30, 0.0, 0.0, 0.0], [-1e30, 0.0, 0.0, 0.0]]), top=2)
    assert np.isfinite([found.probability, found.p_correct, found.trust_logit]).all()
    assert found.probability[0] == 1


def test_other_classes_are_refused(gate: Gate, unseen: ClassifierOutputs) -> None:
    with pytest.raises(SteepslopeError, match="outputs: expected 4 classes, as the gate was calibrated for, found 5"):
        gate.decide(make_outputs(num_classes=5))
    named = Gate.of(MCP(), make_outputs(2_000).named("abcd"), 0.2)
    with pytest.raises(SteepslopeError, match="the gate"):
        named.decide(unseen.named("abdc"))
    assert named.decide(unseen).table()["label"].tolist()[0] in "abcd"
    assert gate.decide(unseen.named("abcd")).classes == ("a", "b", "c", "d")


def test_groups_are_the_predicted_classes_by_the_gates_own_names(unseen: ClassifierOutputs) -> None:
    gate = Gate.of(MCP(), make_outputs(4_000), 0.3, by="predicted")
    found = gate.decide(unseen)
    limits = np.array([gate.thresholds[str(label)] for label in unseen.predictions])
    np.testing.assert_array_equal(found.accepted, found.trust_logit >= limits)
    assert found.accepted.any()
    np.testing.assert_array_equal(gate.decide(unseen.named("abcd")).accepted, found.accepted)


def test_groups_of_ones_own_have_to_be_given(unseen: ClassifierOutputs) -> None:
    groups = np.arange(4_000) % 2
    gate = Gate.of(MCP(), make_outputs(4_000), 0.3, groups=groups, by="camera")
    assert gate.decide(unseen, np.zeros(300, int)).coverage > 0
    with pytest.warns(ChangedWarning, match="the share of the accepted"):
        assert not gate.decide(unseen, np.full(300, 7)).accepted.any()  # no calibration row was of this


def test_groups_are_never_left_out_in_silence(unseen: ClassifierOutputs) -> None:
    with pytest.raises(SteepslopeError, match=r"by: expected predicted, or groups .* found 'site' alone"):
        Gate.of(MCP(), unseen, by="site")
    with pytest.raises(SteepslopeError, match="groups: expected none, since the predicted classes are the groups"):
        Gate.of(MCP(), unseen, by="predicted", groups=np.zeros(300, int))


@pytest.mark.nets
def test_trust_logits_split_by_evidence(unseen: ClassifierOutputs, gate: Gate) -> None:
    oracle = Oracle(epochs=1).fit(make_outputs(500, seed=5))
    own = Gate.of(oracle, make_outputs(2_000), 0.3)
    found = own.decide(unseen, explain=True)
    np.testing.assert_allclose(sum(found.explained.values()), found.trust_logit, atol=1e-6)
    assert [*found.table()][-1].startswith("explain_")
    for other in (gate, Gate.of(Oracle(epochs=1, hidden=(4,)).fit(make_outputs(500, seed=5)), make_outputs(2_000))):
        assert not other.decide(unseen).explained
        with pytest.raises(SteepslopeError, match="explain: expected an oracle whose trust logit can be split"):
            other.decide(unseen, explain=True)


@pytest.mark.nets
def test_the_hand_over_is_told(gates: Path) -> None:
    outputs = ClassifierOutputs.load(gates / "outputs" / "test")
    found = Gate.load(gates / "auxiliary").decide(outputs, explain=True)
    assert found.handed_over is not None
    assert ((found.handed_over >= 0) & (found.handed_over <= 1)).all()
    assert "handed_over" in found.table()
    with pytest.raises(SteepslopeError, match="auxiliary"):
        Gate.load(gates / "auxiliary").decide(outputs.changed(auxiliary=None))


@pytest.mark.nets
def test_rows_that_the_oracle_was_fitted_on_are_refused() -> None:
    fit_set, other = make_complete(300, seed=2), make_complete(200, seed=3)
    oracle = Oracle(epochs=1).fit(fit_set)
    names = ("logits", "labels", "features", "ids")
    mixed = ClassifierOutputs.of(
        {name: np.concatenate([fit_set.arrays[name][:5], other.arrays[name]]) for name in names}
    )
    for rows, seen in ((fit_set, "300 of 300"), (mixed, "5 of 205")):
        with pytest.raises(SteepslopeError, match=f"outputs: expected rows that nothing was fitted on, found {seen}"):
            Gate.of(oracle, rows)
    for rows in (fit_set.changed(ids=None), mixed.changed(ids=None).subset(slice(5))):
        with pytest.raises(SteepslopeError, match=r"nothing \(rows without ids are told apart .* give ids= for both\)"):
            Gate.of(oracle, rows)
    assert Gate.of(oracle, other).n == 200


def test_no_predictions_have_no_coverage(gate: Gate, unseen: ClassifierOutputs) -> None:
    one = gate.decide(unseen.subset(slice(0, 1)))
    names = ("p_correct", "trust_logit", "decision", "top_labels", "top_probability")
    nothing = Decisions(*(getattr(one, name)[:0] for name in names))
    assert nothing.coverage == 0
    assert not len(nothing.table()["id"])


def test_groups_of_copies_may_be_a_list() -> None:
    rows = make_rows(1_000, SHARES, 0)
    twice = rows.subset(np.concatenate([np.arange(1_000), np.arange(500)]))
    with pytest.warns(RepeatedRowsWarning, match="500 of 1,500"):
        gate = Gate.of(MCP(), twice, max_risk=0.4, by="parity", groups=["even", "odd"] * 750)
    assert set(gate.thresholds) == {"even", "odd"}
    assert sum(one.n for one in gate.certificates) == 1_000 - round(2 * np.sqrt(1_000))
