"""Fit sets: who is whose reference, so that neither a row nor a copy of it is seen by its own label."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.oracle.evidence import EVIDENCE, _fit_set as module
from steepslope.oracle.evidence._fit_set import FitSet
from steepslope.oracle.evidence._states import Evidence, Learning, State
from steepslope.outputs import ClassifierOutputs
from steepslope.scores._score import Rows
from tests.conftest import make_complete
from tests.oracle.evidence.conftest import computed


def numbered(n: int, start: int = 0, copies: int = 3, seed: int = 0) -> ClassifierOutputs:
    """Make rows whose first feature is their number, also in their copies; nothing tells classes apart."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(start, start + n, dtype=np.float64)
    features = np.column_stack([numbers, rng.normal(size=n)])
    augmented = np.repeat(features[:, None], copies, axis=1)
    augmented[:, :, 1] += 10  # a copy is known by its second feature
    arrays = {"augmented_features": augmented, "augmented_logits": rng.normal(size=(n, copies, 3))} if copies else {}
    return ClassifierOutputs(rng.normal(size=(n, 3)), rng.integers(3, size=n), features).changed(**arrays)


def seen_numbers(outputs: ClassifierOutputs) -> State:
    """Learn the numbers of all references."""
    return {"numbers": np.sort(outputs.require_features()[:, 0]), "rows": np.array([len(outputs)])}


def was_seen(rows: Rows, state: State) -> NDArray[Any]:
    """Return, as if it were an opinion on all classes, whether a row is among the references, and how many they are."""
    seen = np.isin(rows["features"][:, 0], state["numbers"]).astype(np.float64)
    both = np.stack([seen, np.full_like(seen, state["rows"][0] / 1e4)], axis=1)
    return np.repeat(both[:, :, None], rows["logits"].shape[1], axis=2)


def install(monkeypatch: pytest.MonkeyPatch, **learning: Any) -> None:
    """Add the spy as a kind of evidence."""
    kind = Evidence(was_seen, ("features",), Learning(seen_numbers, lambda *_: None, **learning), was_seen)
    monkeypatch.setitem(EVIDENCE, "spy", kind)


def told(fit_set: FitSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the spy's opinions on a fit set, and the numbers that it knows in the end."""
    opinions, state = fit_set.opinions("spy")
    assert state is not None
    return opinions, state["numbers"]


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.mark.parametrize("copies", [0, 1, 3])
@pytest.mark.parametrize("references", [0, 70])
def test_no_row_and_no_copy_of_it_is_its_own_reference(copies: int, references: int, spy: None) -> None:
    outputs = numbered(103, copies=copies)
    reference = numbered(references, 1000, copies, seed=1) if references else None
    fit_set = FitSet.of(outputs, reference, 5)
    opinions, numbers = told(fit_set)
    assert opinions.shape == (103 * (1 + copies), 2, 3)
    assert (opinions[:, 0] == 0).all()
    counted = np.round(opinions[:, 1, 0] * 1e4)
    inside = np.bincount(fit_set.fold)[fit_set.fold]
    np.testing.assert_array_equal(counted, (103 + references) * (1 + copies) - inside)
    everything = [*range(103), *range(1000, 1000 + references)]
    np.testing.assert_array_equal(numbers, np.repeat(everything, 1 + copies))


def test_copies_lie_in_the_fold_of_their_row(spy: None) -> None:
    fit_set = FitSet.of(numbered(50), None, 3)
    numbers = fit_set.rows.require_features()[:, 0].astype(int)
    np.testing.assert_array_equal(numbers[:50], np.arange(50))
    np.testing.assert_array_equal(fit_set.fold, fit_set.fold[:50][numbers])
    assert (fit_set.rows.require_features()[50:, 1] > 5).all()
    for fold in range(5):  # rows that are right, and those that are not, are dealt evenly
        some = fit_set.outputs.is_correct[fit_set.fold[:50] == fold]
        assert abs(some.sum() - fit_set.outputs.is_correct.sum() / 5) < 1
        assert len(some) == 10


def test_the_spy_would_be_seen(spy: None) -> None:
    """What learnt from all rows has seen each: the tests above can fail."""
    fit_set = FitSet.of(numbered(50), None, 3)
    assert (computed(was_seen, fit_set.rows, seen_numbers(fit_set.rows), "features")[:, 0] == 1).all()


def test_what_needs_no_labels_is_learnt_once_for_all_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[ClassifierOutputs] = []

    def shared(outputs: ClassifierOutputs) -> State:
        learnt.append(outputs)
        return {"shared": np.array([len(learnt)])}

    def fit(outputs: ClassifierOutputs, shared: State) -> State:
        return {**seen_numbers(outputs), **shared}

    monkeypatch.setitem(
        EVIDENCE, "spy", Evidence(was_seen, ("features",), Learning(fit, lambda *_: None, shared=shared), was_seen)
    )
    opinions, state = FitSet.of(numbered(50), numbered(30, 1000, seed=1), 3).opinions("spy")
    assert state is not None
    assert (opinions[:, 0] == 0).all()
    assert state["shared"] == [1]
    assert (len(learnt), len(learnt[0]), learnt[0].labels) == (1, 4 * 80, None)


def test_what_learns_slowly_learns_once_from_a_large_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four times the rows as many references; in two folds of twice as many, and in five of fewer."""
    install(monkeypatch, slow=True)
    for count, most_left_out, least_number in ((80, 20, 1000), (79, 12, 0), (40, 12, 0), (39, 4, 0)):
        opinions, numbers = told(FitSet.of(numbered(20), numbered(count, 1000, seed=1), 0))
        assert (opinions[:, 0] == 0).all()
        assert np.round(opinions[:, 1] * 1e4).min() == (20 + count - most_left_out) * 4
        assert numbers.min() == least_number


@pytest.mark.parametrize("slow", [False, True])
def test_what_learns_from_what_is_familiar_sees_no_copies(slow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, slow=slow, familiar=True)
    fit_set = FitSet.of(numbered(20), numbered(90, 1000, seed=1), 0)
    opinions, numbers = told(fit_set)
    assert len(opinions) == 80
    assert (opinions[:, 0] == 0).all()
    np.testing.assert_array_equal(numbers, [*([] if slow else range(20)), *range(1000, 1090)])


def test_known_rows_are_the_references_or_else_the_fit_sets() -> None:
    outputs, reference = numbered(20), numbered(30, 1000, seed=1)
    for given, numbers in ((reference, range(1000, 1030)), (None, range(20))):
        rows, copies = FitSet.of(outputs, given, 0).known_rows()
        assert copies is not None
        np.testing.assert_array_equal(rows.require_features()[:, 0], numbers)
        np.testing.assert_array_equal(copies.require_features()[:, 0], np.repeat(numbers, 3))
    assert FitSet.of(numbered(20, copies=0), None, 0).known_rows()[1] is None


def test_of_too_many_references_the_least_sure_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six of ten that are no copies, and four that are: those of the lowest MCP of each kind."""
    install(monkeypatch, most=10)
    outputs, reference = numbered(30, copies=1), numbered(40, 1000, copies=1, seed=1)
    _, numbers = told(FitSet.of(outputs, reference, 0))
    expected: list[float] = []
    for logits, count in (("logits", 6), ("augmented_logits", 4)):
        rows = [np.asarray(one.require(logits)).reshape(-1, 3) for one in (outputs, reference)]
        highest = np.exp(np.concatenate(rows))
        order = np.argsort(highest.max(axis=1) / highest.sum(axis=1))[:count]
        expected += [float(np.concatenate([np.arange(30), np.arange(1000, 1040)])[one]) for one in order]
    np.testing.assert_array_equal(numbers, np.sort(expected))


def test_most_references_are_spread_over_the_training_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REFERENCES", 5)
    fit_set = FitSet.of(numbered(20), numbered(41, 1000, seed=1), 0)
    assert fit_set.reference is not None
    assert fit_set.num_references == 5
    numbers = fit_set.reference.require_features()[:, 0]
    np.testing.assert_array_equal(numbers, [*range(1000, 1041, 10), *np.repeat(range(1000, 1041, 10), 3)])


def test_all_copies_count_a_tenth() -> None:
    for copies in (1, 4):
        weights = FitSet.of(numbered(50, copies=copies), None, 0).weights
        assert weights[:50].tolist() == [1] * 50
        assert weights[50:].sum() == pytest.approx(5)
        assert np.ptp(weights[50:]) == 0
    assert FitSet.of(numbered(50, copies=0), None, 0).weights.tolist() == [1] * 50


def test_what_copies_lack_is_thought_of_rows_alone() -> None:
    outputs = make_complete(60, seed=4)
    copied = outputs.changed(augmented_logits=np.repeat(outputs.logits[:, None], 2, axis=1))
    fit_set = FitSet.of(copied, None, 0)
    assert len(fit_set.rows) == 180
    assert fit_set.lacking(EVIDENCE["views"]) is None
    part, state = fit_set.opinions("views")
    assert state is None
    assert len(part) == 60
    own, _ = fit_set.opinions("logits")
    np.testing.assert_array_equal(own[60:], np.repeat(own[:60], 2, axis=0))


def test_what_cannot_be_had_says_why() -> None:
    outputs = make_complete(61, seed=4)
    alone = FitSet.of(outputs, None, 0)
    assert alone.lacking(EVIDENCE["neighbors"]) == "fewer than 50 references"
    assert FitSet.of(outputs, make_complete(2, seed=1), 0).lacking(EVIDENCE["neighbors"]) is None
    bare = make_complete(300, seed=1).changed(auxiliary=None)
    assert (
        FitSet.of(outputs, bare, 0).lacking(EVIDENCE["second_opinion"])
        == "no auxiliary in the reference or in its copies"
    )
    assert FitSet.of(bare, outputs, 0).lacking(EVIDENCE["second_opinion"]) == "no auxiliary in the outputs"
    more = replace(EVIDENCE["logits"], least_classes=5)
    assert alone.lacking(more) == "for 5 classes and more"


# many rows, of which some are judged


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a hundred rows be many, and a tenth of these be judged."""
    for name, value in {"MANY_ROWS": 100, "JUDGED_ROWS": 20, "JUDGED_ERRORS": 5}.items():
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("copies", [0, 2])
def test_judged_rows_are_seen_by_what_learnt_from_all_others(
    copies: int, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, slow=slow)
    outputs = numbered(200, copies=copies)
    fit_set = FitSet.of(outputs, None, 0)
    assert fit_set.learnt is not None
    judged = fit_set.outputs.require_features()[:, 0]
    assert len(judged) == fit_set.num_clean == 20
    others = np.setdiff1d(np.arange(200), judged)
    assert len(others) == fit_set.num_learnt == 180
    opinions, numbers = told(fit_set)
    assert len(opinions) == 20 * (1 + copies)
    assert (opinions[:, 0] == 0).all()
    np.testing.assert_array_equal(np.round(opinions[:, 1] * 1e4), 180 * (1 + copies))
    assert set(numbers) == set(range(200))  # in the end it learns from the judged rows as well
    np.testing.assert_array_equal(np.unique(fit_set.known_rows()[0].require_features()[:, 0]), others)


@pytest.mark.usefixtures("few_are_many")
def test_what_learns_slowly_does_not_learn_again_for_a_few_rows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, slow=True)
    monkeypatch.setattr(module, "NEARLY_ALL", 9)
    _, numbers = told(FitSet.of(numbered(200), None, 0))
    assert len(set(numbers)) == 180


@pytest.mark.usefixtures("few_are_many")
def test_rows_that_belong_together_are_judged_together() -> None:
    outputs = numbered(300)
    codes = np.arange(300) // 3
    fit_set = FitSet.of(outputs, None, 0, codes)
    judged = fit_set.outputs.require_features()[:, 0].astype(int)
    assert (np.bincount(codes[judged])[np.unique(codes[judged])] == 3).all()
    assert len(judged) >= 20


@pytest.mark.usefixtures("few_are_many")
def test_the_judged_rows_hold_both_kinds_however_rare_one_is() -> None:
    for errors in (1, 3, 40, 297):
        is_correct = np.random.default_rng(errors).permutation(300) >= errors
        is_judged = module._rows_to_judge(is_correct, np.arange(300), 0)
        assert 20 <= is_judged.sum() <= 100
        assert 0 < is_correct[is_judged].sum() < is_judged.sum()


@pytest.mark.usefixtures("few_are_many")
def test_what_is_learnt_from_stops_growing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LEARNT", 50)
    assert FitSet.of(numbered(200), None, 0).num_learnt == 50
    monkeypatch.setattr(module, "MOST_VALUES", 280)  # 2 features, 3 logits, a label, and copies of both
    assert FitSet.of(numbered(200, copies=1), None, 0).num_learnt == 280 // (6 + 5)
