"""TrustScore and nearest neighbours against trees and brute force, and what every score keeps to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KDTree

from steepslope import neighbors
from steepslope.errors import SteepslopeError
from steepslope.neighbors import Index
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP, SCORES, KNNDistance, Score, TrustScore
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


@pytest.mark.parametrize(("d", "num_classes"), [(1, 2), (3, 10), (64, 5), (128, 3)])
@pytest.mark.parametrize("entries", [2**25, 2_000])
def test_trust_score_is_that_of_trees(d: int, num_classes: int, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "CHUNK_ENTRIES", entries)
    training, outputs = random_pair(800, 150, d, num_classes)
    found = np.exp(TrustScore().fit(training).confidence(outputs))
    np.testing.assert_allclose(found, reference_trust_score(training, outputs), rtol=1e-5)


def test_trust_score_of_the_references_themselves() -> None:
    """A reference is its own nearest neighbour at distance 0, which is why the second counts."""
    training, _ = random_pair(300, 1, 8, 3)
    found = np.exp(TrustScore().fit(training).confidence(training))
    np.testing.assert_allclose(found, reference_trust_score(training, training), rtol=1e-4)


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
    distances, labels = Index.build(points, training.labels, 4).nearest(queries, 7)
    brute = np.linalg.norm(queries[:, None] - points[None], axis=2)
    order = brute.argsort(axis=1)[:, :7]
    np.testing.assert_allclose(distances, np.take_along_axis(brute, order, axis=1), rtol=1e-5)
    np.testing.assert_array_equal(labels, training.labels[order])
    index = Index.build(points, training.labels, 4)
    by_class, again, _ = index.search(queries, 2, 7)
    np.testing.assert_array_equal(again, distances)
    np.testing.assert_allclose(by_class, index.class_distances(queries, 2), rtol=1e-5)


def test_knn_distance_is_between_unit_vectors() -> None:
    training, outputs = random_pair(100, 20, 5, 3)
    points, queries = (one.require_features().astype(np.float64) for one in (training, outputs))
    cosine = (queries / np.linalg.norm(queries, axis=1)[:, None]) @ (points / np.linalg.norm(points, axis=1)[:, None]).T
    expected = -np.sqrt(np.sort(2 - 2 * cosine, axis=1)[:, 9])
    np.testing.assert_allclose(KNNDistance(k=10).fit(training).confidence(outputs), expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: TrustScore().confidence(make_outputs()), "trust_score is not fitted"),
        (lambda: KNNDistance().confidence(make_outputs()), "knn_distance is not fitted"),
        (lambda: KNNDistance(k=0), "k: expected a whole number >= 1, found 0"),
        (lambda: KNNDistance(k=401).fit(make_outputs()), "expected at least k = 401 references, found 400"),
        (
            lambda: TrustScore().fit(ClassifierOutputs(np.eye(2), np.arange(2))),
            "the outputs hold no features",
        ),
        (
            lambda: TrustScore().fit(ClassifierOutputs(np.eye(2), np.arange(2), np.array([[np.nan], [0.0]]))),
            "reference features: expected finite values",
        ),
        (
            lambda: TrustScore().fit(make_outputs()).confidence(ClassifierOutputs(np.eye(4), np.arange(4), np.eye(4))),
            "features: expected 6 columns, as in the reference, found 4",
        ),
    ],
)
def test_wrong_use_is_named(work: Any, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        work()


def fitted(name: str) -> Score:
    return SCORES[name]().fit(complete(make_outputs(seed=1)))


def complete(outputs: ClassifierOutputs) -> ClassifierOutputs:
    """Add dropout's array, the only evidence that a score needs and small outputs lack."""
    log_p = np.log(np.random.default_rng(0).dirichlet(np.ones(outputs.num_classes), len(outputs)))
    dropout = np.stack([log_p, np.ones_like(log_p)], axis=1)
    return ClassifierOutputs(outputs.logits, outputs.labels, outputs.features, outputs.ids, dropout=dropout)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_keeps_the_contract(name: str) -> None:
    outputs = complete(make_outputs())
    score = fitted(name)
    confidence = score.confidence(outputs)
    assert confidence.dtype == np.float64
    assert confidence.shape == (len(outputs),)
    assert np.isfinite(confidence).all()
    assert score.scale in ("logit", "rank")
    assert score.fits_on in ("nothing", "errors", "reference")
    for text in (type(score).__doc__, type(score).confidence.__doc__):
        assert text
    order = np.random.default_rng(2).permutation(len(outputs))
    arrays = {name: outputs.require(name)[order] for name in ("features", "dropout")}
    mixed = ClassifierOutputs(outputs.logits[order], outputs.labels[order], **arrays)
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


def test_mcp_is_a_score() -> None:
    assert SCORES["mcp"] is MCP
