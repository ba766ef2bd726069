"""Scores of nearest neighbours against trees and brute force, and what every score keeps to."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import KDTree

from steepslope.numerics import _neighbors as neighbors
from steepslope.numerics._neighbors import Index
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES, TrustScore
from steepslope.scores._neighbors import KNNDistance
from tests.conftest import make_outputs


def random_pair(n: int, m: int, d: int, num_classes: int, seed: int = 0) -> tuple[ClassifierOutputs, ClassifierOutputs]:
    """Make references and queries with features far from the origin, where products of matrices round most."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(num_classes, d))
    made = []
    for size in (n, m):
        labels = rng.integers(num_classes, size=size)
        features = (100 + centres[labels] + rng.normal(size=(size, d))).astype(np.float32)
        made.append(ClassifierOutputs(rng.normal(size=(size, num_classes)), labels, features))
    return made[0], made[1]


def reference_trust_score(training: ClassifierOutputs, outputs: ClassifierOutputs) -> Any:
    """Follow the definition with one tree a class, in float64."""
    features = training.require_features().astype(np.float64)
    queries = outputs.require_features().astype(np.float64)
    distances = np.column_stack(
        [KDTree(features[training.labels == label]).query(queries, 2)[0][:, 1] for label in range(training.num_classes)]
    )
    own = distances[np.arange(len(outputs)), outputs.predictions]
    distances[np.arange(len(outputs)), outputs.predictions] = np.inf
    return distances.min(axis=1) / (own + 1e-12)


@pytest.mark.parametrize(("d", "num_classes", "entries"), [(1, 2, 2**25), (3, 10, 2_000), (128, 3, 2**25)])
def test_trust_score_is_that_of_trees(d: int, num_classes: int, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "CHUNK_ENTRIES", entries)
    training, outputs = random_pair(800, 150, d, num_classes)
    found = np.exp(TrustScore().fit(training).confidence(outputs))
    np.testing.assert_allclose(found, reference_trust_score(training, outputs), rtol=1e-5)


def test_rare_and_absent_classes_are_infinitely_far() -> None:
    features = np.arange(7, dtype=np.float32)[:, None]
    training = ClassifierOutputs(np.zeros((7, 4)), np.array([0, 0, 0, 1, 1, 1, 2]), features)
    outputs = ClassifierOutputs(np.eye(4)[[0, 2, 3]], np.zeros(3, int), np.zeros((3, 1), dtype=np.float32))
    confidence = TrustScore().fit(training).confidence(outputs)
    assert np.isfinite(confidence).all()
    assert confidence[0] == pytest.approx(np.log(4.0))  # class 1's second nearest is 4 away, class 0's 1
    assert confidence[1] == confidence[2] < -80  # predicted: a class with one reference, and one with none


def test_equal_features_tie() -> None:
    training, outputs = random_pair(50, 9, 4, 3)
    flat = ClassifierOutputs(training.logits, training.labels, np.ones((50, 4), dtype=np.float32))
    same = ClassifierOutputs(outputs.logits, outputs.labels, np.ones((9, 4), dtype=np.float32))
    assert (TrustScore().fit(flat).confidence(same) == 0).all()
    assert (KNNDistance(k=5).fit(flat).confidence(same) == 0).all()


@pytest.mark.parametrize("entries", [2**25, 500])
def test_nearest_neighbours_are_those_of_brute_force(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "CHUNK_ENTRIES", entries)
    training, outputs = random_pair(200, 40, 6, 4)
    points, queries = (one.require_features().astype(np.float64) for one in (training, outputs))
    index = Index.build(points, training.require_labels(), 4)
    brute = np.linalg.norm(queries[:, None] - points[None], axis=2)
    np.testing.assert_allclose(index.kth_distance(queries, 7), np.sort(brute, axis=1)[:, 6], rtol=1e-5)
    by_class, found = index.search(queries, (7, 3))
    nearest = training.require_labels()[brute.argsort(axis=1)]
    for number, count in enumerate((7, 3)):
        expected = (nearest[:, :count, None] == np.arange(4)).sum(axis=1)
        np.testing.assert_allclose(found[:, number], expected, atol=1e-12)
    np.testing.assert_allclose(by_class, index.class_distances(queries), rtol=1e-4)


def test_classes_of_any_size_are_searched_in_groups() -> None:
    """Of no reference or one a class has no second; sizes that no group divides leave single references over."""
    rng, sizes = np.random.default_rng(2), [0, 1, 2, 31, 47, 160, 1_700]
    labels = np.repeat(np.arange(len(sizes)), sizes)
    points, queries = rng.normal(size=(len(labels), 5)), rng.normal(size=(40, 5))
    brute = np.linalg.norm(queries[:, None] - points[None], axis=2)
    by_class, found = Index.build(points, labels, len(sizes)).search(queries, (50,))
    for label, size in enumerate(sizes):
        expected = np.sort(brute[:, labels == label], axis=1)[:, 1] if size > 1 else np.full(40, np.inf)
        np.testing.assert_allclose(by_class[:, label], expected, rtol=1e-4)
    nearest = labels[brute.argsort(axis=1)[:, :50]]
    expected_counts = (nearest[:, :, None] == np.arange(len(sizes))).sum(axis=1)
    np.testing.assert_allclose(found[:, 0], expected_counts, atol=1e-12)


def test_many_classes_are_searched_alike_however_many_rows_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """One class after another where rows are many, all at once where they are few; to the bit the same."""
    training, outputs = random_pair(4_000, 64, 8, 40)
    assert training.labels is not None
    index = Index.build(training.require_features(), training.labels, 40)
    together = index.search(outputs.require_features(), (10, 50))
    monkeypatch.setattr(neighbors, "ENOUGH", np.inf)
    monkeypatch.setattr(neighbors._Groups, "second_least", None)  # the way that is not to be taken
    for found, other in zip(together, index.search(outputs.require_features(), (10, 50)), strict=True):
        np.testing.assert_array_equal(found, other)


@pytest.mark.parametrize(("columns", "rank"), [(1, 1), (5, 5), (63, 2), (64, 1), (65, 5), (300, 2)])
def test_the_least_are_found_whatever_the_groups(columns: int, rank: int) -> None:
    """Of values with many ties: places that differ, of the least values in their order, and the next one."""
    values = np.random.default_rng(columns).integers(40, size=(30, columns)).astype(np.float32)
    places, following = neighbors._least_distances(values.T.copy(), rank)
    expected = np.sort(np.pad(values, ((0, 0), (0, 1)), constant_values=np.inf), axis=1)
    np.testing.assert_array_equal(np.take_along_axis(values, places, axis=1), expected[:, :rank])
    np.testing.assert_array_equal(following, expected[:, rank])
    assert all(len(set(row.tolist())) == rank for row in places)


def close_pairs(n: int, apart: float, norm: float) -> NDArray[np.float32]:
    """Make n points far from the origin, each with a twin close to it."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(n, 16)) * norm / 4
    return np.concatenate([points, points + apart * rng.normal(size=points.shape) / 4]).astype(np.float32)


def brute_force(queries: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float64]:
    gaps = queries[:, None].astype(np.float64) - points[None]
    return np.asarray(np.linalg.norm(gaps, axis=2))


@pytest.mark.parametrize("apart", [1e-3, 1e-2, 0.0])
def test_near_duplicates_are_told_apart(apart: float) -> None:
    """A query that is a reference, with a twin as near as rounding: the twin is second nearest, not the query."""
    points = close_pairs(60, apart, norm=80)
    labels = np.tile(np.arange(60) % 2, 2)
    index = Index.build(points, labels, 2)
    brute = brute_force(points, points)
    for label in range(2):
        expected = np.sort(brute[:, labels == label], axis=1)[:, 1]
        found = index.class_distances(points)[:, label]
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5 if apart else 1e-12)
    np.testing.assert_allclose(index.kth_distance(points, 2), np.sort(brute, axis=1)[:, 1], rtol=2e-3, atol=1e-5)


def test_collapsed_clusters_are_searched_exactly() -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(3, 32))
    points = (centres[np.arange(300) % 3] + 1e-4 * rng.normal(size=(300, 32))).astype(np.float32)
    index = Index.build(points, np.arange(300) % 3, 3)
    brute = np.sort(brute_force(points, points), axis=1)
    np.testing.assert_allclose(index.kth_distance(points, 50), brute[:, 49], rtol=1e-2)
    assert (index.kth_distance(points, 1) == 0).all()


def test_one_far_reference_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outlier's rounding is its own: no query is searched again for it."""
    training, outputs = random_pair(500, 30, 8, 2)
    points = training.require_features().copy()
    points[0] = 1e4
    index = Index.build(points, training.require_labels(), 2)
    again: list[int] = []
    exact = neighbors._exact_distances

    def counted(queries: Any, points: Any, chosen: Any) -> Any:
        again.append(int(chosen.sum()))
        return exact(queries, points, chosen)

    monkeypatch.setattr(neighbors, "_exact_distances", counted)
    found = index.class_distances(outputs.require_features())
    assert sum(again) < 5
    brute = brute_force(outputs.require_features(), points)
    expected = np.stack([np.sort(brute[:, training.labels == label], axis=1)[:, 1] for label in range(2)], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 50, 150])
def test_ties_share_the_last_places(count: int) -> None:
    """Features of few values: the expected number of each class over all orders of those tied."""
    rng = np.random.default_rng(2)
    points = rng.integers(2, size=(200, 4)).astype(np.float32)
    labels = np.sort(rng.integers(3, size=200))
    queries = rng.integers(2, size=(20, 4)).astype(np.float32)
    _, found = Index.build(points, labels, 3).search(queries, (count,))
    for row, distances in enumerate(brute_force(queries, points)):
        reach = np.sort(distances)[count - 1]
        inside, tied = distances < reach - 1e-9, np.abs(distances - reach) < 1e-9
        weights = inside + tied * (count - inside.sum()) / tied.sum()
        np.testing.assert_allclose(found[row, 0], np.bincount(labels, weights, minlength=3), atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=2), count)


def complete(outputs: ClassifierOutputs) -> ClassifierOutputs:
    """Add dropout's array, the only evidence that a score needs and small outputs lack."""
    log_p = np.log(np.random.default_rng(0).dirichlet(np.ones(outputs.num_classes), len(outputs)))
    dropout = np.stack([log_p, np.ones_like(log_p)], axis=1)
    return ClassifierOutputs(outputs.logits, outputs.labels, outputs.features, outputs.ids, dropout=dropout)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_keeps_the_contract(name: str) -> None:
    outputs = complete(make_outputs())
    score = SCORES[name]().fit(complete(make_outputs(seed=1)))
    confidence = score.confidence(outputs)
    assert confidence.dtype == np.float64
    assert confidence.shape == (len(outputs),)
    assert np.isfinite(confidence).all()
    assert score.scale in ("logit", "rank")
    assert score.fits_on in ("nothing", "errors", "reference")
    assert type(score).__doc__
    order = np.random.default_rng(2).permutation(len(outputs))
    arrays = {name: outputs.require(name)[order] for name in ("features", "dropout")}
    mixed = ClassifierOutputs(outputs.logits[order], outputs.require_labels()[order], further=arrays)
    np.testing.assert_allclose(score.confidence(mixed), confidence[order], rtol=1e-6)


@pytest.mark.parametrize("name", SCORES)
def test_no_score_depends_on_how_classes_are_numbered(name: str) -> None:
    """Renumber the classes of fit set and queries alike."""
    numbering = np.array([2, 0, 3, 1])

    def renumbered(outputs: ClassifierOutputs) -> ClassifierOutputs:
        logits, dropout = np.empty_like(outputs.logits), np.empty_like(outputs.require("dropout"))
        logits[:, numbering], dropout[:, :, numbering] = outputs.logits, outputs.dropout
        return ClassifierOutputs(logits, numbering[outputs.labels], outputs.features, dropout=dropout)

    seen, outputs = complete(make_outputs(seed=1)), complete(make_outputs())
    before = SCORES[name]().fit(seen).confidence(outputs)
    after = SCORES[name]().fit(renumbered(seen)).confidence(renumbered(outputs))
    np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-6)
