"""Fit sets: who is whose reference, so that neither a row nor a copy of it is seen by its own label."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.evidence import EVIDENCE, fit_set as module
from steepslope.evidence.fit_set import FitSet
from steepslope.evidence.states import Evidence, Learning, State
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from steepslope.scores.score import Rows
from tests.conftest import make_complete
from tests.evidence.conftest import computed

LEARNING = [name for name, kind in EVIDENCE.items() if kind.opinions is not None and kind.learning is not None]


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


def was_seen(rows: Rows, state: State) -> Tensor:
    """Return, as if it were an opinion on all classes, whether a row is among the references, and how many they are."""
    seen = torch.isin(rows["features"][:, 0], torch.from_numpy(state["numbers"])).double()
    both = torch.stack([seen, torch.full_like(seen, state["rows"][0] / 1e4)], dim=1)
    return both[:, :, None].expand(-1, -1, rows["logits"].shape[1])


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Evidence:
    kind = Evidence(was_seen, ("features",), Learning(seen_numbers, lambda *_: None), was_seen)
    monkeypatch.setitem(EVIDENCE, "spy", kind)
    return kind


@pytest.mark.parametrize("copies", [0, 1, 3])
@pytest.mark.parametrize("references", [0, 70])
def test_no_row_and_no_copy_of_it_is_its_own_reference(copies: int, references: int, spy: Evidence) -> None:
    outputs = numbered(103, copies=copies)
    reference = numbered(references, 1000, copies, seed=1) if references else None
    fit_set = FitSet.of(outputs, reference, 5)
    opinions, state = fit_set.opinions("spy")
    assert opinions.shape == (103 * (1 + copies), 2, 3)
    assert (opinions[:, 0] == 0).all()
    counted = np.round(opinions[:, 1, 0] * 1e4)
    inside = np.bincount(fit_set.fold)[fit_set.fold]
    np.testing.assert_array_equal(counted, (103 + references) * (1 + copies) - inside)
    assert state is not None
    everything = [*range(103), *range(1000, 1000 + references)]
    np.testing.assert_array_equal(state["numbers"], np.repeat(everything, 1 + copies))


def test_copies_lie_in_the_fold_of_their_row(spy: Evidence) -> None:
    fit_set = FitSet.of(numbered(50), None, 3)
    numbers = fit_set.rows.require_features()[:, 0].astype(int)
    np.testing.assert_array_equal(numbers[:50], np.arange(50))
    np.testing.assert_array_equal(fit_set.fold, fit_set.fold[:50][numbers])
    assert (fit_set.rows.require_features()[50:, 1] > 5).all()
    for fold in range(5):  # rows that are right, and those that are not, are dealt evenly
        some = fit_set.outputs.is_correct[fit_set.fold[:50] == fold]
        assert abs(some.sum() - fit_set.outputs.is_correct.sum() / 5) < 1
        assert len(some) == 10


def test_the_spy_would_be_seen(spy: Evidence) -> None:
    """What learnt from all rows has seen each: the tests above can fail."""
    fit_set = FitSet.of(numbered(50), None, 3)
    assert (computed(was_seen, fit_set.rows, seen_numbers(fit_set.rows), "features")[:, 0] == 1).all()


def test_what_learns_slowly_learns_once_from_a_large_reference(spy: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spy.learning is not None
    monkeypatch.setitem(EVIDENCE, "spy", replace(spy, learning=replace(spy.learning, slow=True)))
    outputs = numbered(20)
    large, small = (FitSet.of(outputs, numbered(n, 1000, seed=1), 0) for n in (80, 79))
    opinions, state = large.opinions("spy")
    assert (opinions[:, 0] == 0).all()
    assert (np.round(opinions[:, 1] * 1e4) == 80 * 4).all()
    assert state is not None
    assert state["numbers"].min() == 1000
    _, state = small.opinions("spy")
    assert state is not None
    assert state["numbers"].min() == 0


@pytest.mark.parametrize("slow", [False, True])
def test_what_learns_from_what_is_familiar_sees_no_copies(
    slow: bool, spy: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spy.learning is not None
    monkeypatch.setitem(EVIDENCE, "spy", replace(spy, learning=replace(spy.learning, slow=slow, familiar=True)))
    fit_set = FitSet.of(numbered(20), numbered(90, 1000, seed=1), 0)
    opinions, state = fit_set.opinions("spy")
    assert len(opinions) == 80
    assert (opinions[:, 0] == 0).all()
    assert state is not None
    np.testing.assert_array_equal(state["numbers"], [*([] if slow else range(20)), *range(1000, 1090)])


def test_known_rows_are_the_references_or_else_the_fit_sets() -> None:
    outputs, reference = numbered(20), numbered(30, 1000, seed=1)
    for given, numbers in ((reference, range(1000, 1030)), (None, range(20))):
        rows, copies = FitSet.of(outputs, given, 0).known_rows()
        assert copies is not None
        np.testing.assert_array_equal(rows.require_features()[:, 0], numbers)
        np.testing.assert_array_equal(copies.require_features()[:, 0], np.repeat(numbers, 3))
    assert FitSet.of(numbered(20, copies=0), None, 0).known_rows()[1] is None


def test_of_too_many_references_the_least_sure_are_kept(spy: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six of ten that are no copies, and four that are: those of the lowest MCP of each kind."""
    assert spy.learning is not None
    monkeypatch.setitem(EVIDENCE, "spy", replace(spy, learning=replace(spy.learning, most=10)))
    outputs, reference = numbered(30, copies=1), numbered(40, 1000, copies=1, seed=1)
    _, state = FitSet.of(outputs, reference, 0).opinions("spy")
    assert state is not None
    expected: list[float] = []
    for logits, count in (("logits", 6), ("augmented_logits", 4)):
        rows = [np.asarray(one.require(logits)).reshape(-1, 3) for one in (outputs, reference)]
        highest = np.exp(np.concatenate(rows))
        order = np.argsort(highest.max(axis=1) / highest.sum(axis=1))[:count]
        expected += [float(np.concatenate([np.arange(30), np.arange(1000, 1040)])[one]) for one in order]
    np.testing.assert_array_equal(state["numbers"], np.sort(expected))


def test_most_references_are_spread_over_the_training_rows(spy: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REFERENCES", 5)
    fit_set = FitSet.of(numbered(20), numbered(41, 1000, seed=1), 0)
    assert fit_set.reference is not None
    assert fit_set.known == 5
    numbers = fit_set.reference.require_features()[:, 0]
    np.testing.assert_array_equal(numbers, [*range(1000, 1041, 10), *np.repeat(range(1000, 1041, 10), 3)])


def test_all_copies_count_a_tenth() -> None:
    for copies in (1, 4):
        weights = FitSet.of(numbered(50, copies=copies), None, 0).weights
        assert weights[:50].tolist() == [1] * 50
        assert weights[50:].sum() == pytest.approx(5)
        assert np.ptp(weights[50:]) == 0
    assert FitSet.of(numbered(50, copies=0), None, 0).weights.tolist() == [1] * 50


def test_neighbours_of_the_reference_and_of_other_folds() -> None:
    """A class that the reference lacks is known from other folds; the counts are those of scikit-learn."""
    outputs = make_complete(200, seed=2)
    reference = make_complete(150, seed=1)
    reference = reference.subset(np.flatnonzero(reference.labels != 2))
    fit_set = FitSet.of(outputs, reference, 0)
    opinions, _ = fit_set.opinions("neighbors")
    classes = np.argsort(-outputs.logits, axis=1)
    for fold in range(5):
        inside, others = (np.flatnonzero(where) for where in (fit_set.fold == fold, fit_set.fold != fold))
        known = np.concatenate([reference.require_features(), outputs.require_features()[others]])
        labels = np.concatenate([reference.require_labels(), outputs.require_labels()[others]])
        tree = NearestNeighbors(n_neighbors=50).fit(known)
        nearest = labels[tree.kneighbors(outputs.require_features()[inside], return_distance=False)]
        fractions = np.log(((nearest[:, :, None] == np.arange(4)).sum(axis=1) + 3 / 4) / 53)
        expected = np.take_along_axis(fractions, classes[inside], axis=1)
        np.testing.assert_allclose(opinions[inside, 1], expected, atol=1e-5)
    of_lacking = opinions[:, 1][classes == 2]
    is_lacking = outputs.labels == 2
    assert of_lacking[is_lacking].mean() > of_lacking[~is_lacking].mean() + 0.3


@pytest.mark.parametrize("name", LEARNING)
def test_no_kind_knows_random_labels(name: str, short_nets: None) -> None:
    """Labels without any relation to features: an opinion on the own label is as good as one on any other."""
    rng = np.random.default_rng(3)
    features, labels = rng.normal(size=(500, 6)), rng.integers(4, size=500)
    outputs = ClassifierOutputs(rng.normal(size=(500, 4)), labels, features, auxiliary=features[:, :5])
    fit_set = FitSet.of(outputs, None, 0)
    opinions, state = fit_set.opinions(name)
    kind = EVIDENCE[name]
    assert kind.opinions is not None
    assert state is not None
    classes = np.argsort(-outputs.logits, axis=1)
    others = computed(kind.opinions, outputs, state, *kind.arrays)
    leaking = np.take_along_axis(others, classes[:, None], axis=2)
    own = (classes == labels[:, None])[:, None]

    def excess(part: NDArray[Any]) -> NDArray[np.float64]:
        """Return how much surer each opinion is of the own label than of all classes, in standard errors."""
        gaps = np.where(own, part, 0).sum(axis=2) - part.mean(axis=2)
        return np.asarray(gaps.mean(axis=0) / (gaps.std(axis=0) / np.sqrt(500)))

    assert (np.abs(excess(opinions)) < 4).all()
    assert excess(leaking).max() > 4


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


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (make_complete(61, seed=4).subset(slice(40)), "reference: expected other rows, found 40 in both"),
        (make_complete(61, seed=4).changed(ids=None), "reference: expected other rows, found the same rows"),
        (make_complete(61, num_classes=3, seed=1), "reference: expected the fit set's 4 classes, found 3"),
    ],
)
def test_wrong_references_are_named(reference: ClassifierOutputs, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        FitSet.of(make_complete(61, seed=4), reference, 0)


def test_the_order_of_the_least_sure_is_that_of_mcp() -> None:
    """What the tests above call least sure is what MCP ranks last."""
    outputs = numbered(30)
    highest = np.exp(outputs.logits).max(axis=1) / np.exp(outputs.logits).sum(axis=1)
    np.testing.assert_array_equal(np.argsort(MCP().confidence(outputs)), np.argsort(highest))
