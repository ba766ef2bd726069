"""Resamples of many rows: what is done where distinct confidences are many gives what is done where they are few."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.metrics import _intervals as intervals, _ranking as ranking
from steepslope.metrics._intervals import resample, resample_all
from steepslope.metrics._measures import Measure, measures_at
from steepslope.metrics._ranking import Ranking, rank_rows
from steepslope.report._evaluation import COVERAGES, RISKS
from tests.metrics.references import Bools, Floats

N = 900
MEASURES: dict[str, Measure] = {
    **measures_at(0.2, 0.1),
    **{f"{point.given} {point.percent}": point.measure for point in (*COVERAGES, *RISKS)},
}
KINDS = ["apart", "some ties", "ties of errors", "many ties"]


def sample(kind: str, seed: int) -> tuple[Floats, Bools]:
    """Return confidences of which all, some or hardly any are distinct; most predictions are correct."""
    rng = np.random.default_rng(seed)
    is_correct = rng.random(N) < 0.8
    confidence = rng.normal(size=N) + is_correct
    if kind == "ties of errors":
        confidence[~is_correct] = confidence[~is_correct].round(1) + 1e-4
    elif kind != "apart":
        confidence = confidence.round(2 if kind == "some ties" else 1)
    return confidence, is_correct


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make so few rows count as many, in several parts of unequal length."""
    monkeypatch.setattr(ranking, "AT_ONCE", 20)
    monkeypatch.setattr(ranking, "BLOCK_GROUPS", 64)


def values(ranking: Ranking) -> dict[str, float]:
    return {name: measure(ranking) for name, measure in MEASURES.items()}


def drawn(seed: int) -> NDArray[np.intp]:
    return np.random.default_rng(seed).integers(N, size=N)


def times(rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    return np.bincount(rows, minlength=N).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_of_all_rows_are_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    few = values(rank_rows(*sample(kind, 0)).ranking())
    request.getfixturevalue("many")
    assert values(rank_rows(*sample(kind, 0)).ranking()) == pytest.approx(few, rel=1e-12)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_metrics_of_a_resample_are_those_of_its_rows(kind: str, seed: int, request: pytest.FixtureRequest) -> None:
    """The reference ranks the drawn rows themselves. AUPR-Success is lower, by less than ln(n) / n."""
    (confidence, is_correct), rows = sample(kind, seed), drawn(seed)
    expected = values(rank_rows(confidence[rows], is_correct[rows]).ranking())
    few = values(rank_rows(confidence, is_correct).ranking(times(rows)))
    assert few == pytest.approx(expected, rel=1e-12)
    request.getfixturevalue("many")
    found = values(rank_rows(confidence, is_correct).ranking(times(rows)))
    assert 0 <= expected.pop("aupr_success") - found.pop("aupr_success") + 1e-12 < np.log(N) / N
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("kind", KINDS)
def test_copies_of_a_lone_row_follow_each_other(kind: str) -> None:
    """AUPR-Success is exactly that of rows whose copies have confidences of their own, where none has company."""
    (confidence, is_correct), rows = sample(kind, 5), np.sort(drawn(5))
    _, group, size = np.unique(confidence, return_inverse=True, return_counts=True)
    copy = np.arange(N) - np.searchsorted(rows, rows)
    apart = confidence[rows] - np.where(size[group[rows]] == 1, 1e-9 * copy, 0)
    curves_of = rank_rows(apart, is_correct[rows]).ranking()
    expected = np.sum(
        np.diff(curves_of.correct_above, prepend=0) * curves_of.correct_above / np.maximum(curves_of.accepted, 1)
    )
    found = rank_rows(confidence, is_correct).ranking(times(rows)).precision_sum
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("clusters", [None, 300])
def test_resamples_are_the_rows_that_the_generator_draws(clusters: int | None) -> None:
    """The seeds, the blocks of replicates and the draws are those of the numbers that were published."""
    confidence, is_correct = sample("some ties", 1)
    codes = np.arange(N) if clusters is None else np.random.default_rng(9).permutation(N) % clusters
    found = resample(rank_rows(confidence, is_correct), MEASURES, 52, 7, None if clusters is None else codes)
    count = int(codes.max()) + 1
    for block, replicates in ((0, range(50)), (1, range(50, 52))):
        generator = np.random.default_rng([7, block])
        for place in replicates:
            members = [np.flatnonzero(codes == code) for code in generator.integers(count, size=count)]
            rows = np.concatenate(members)
            expected = values(rank_rows(confidence[rows], is_correct[rows]).ranking())
            assert {name: some[place] for name, some in found.replicates.items()} == pytest.approx(expected, rel=1e-12)


def test_draws_in_blocks_are_the_draws_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "BLOCK_DRAWS", 7)
    counts = intervals._resample_counts(N, np.random.default_rng(3))
    assert counts.tolist() == np.bincount(drawn(3), minlength=N).tolist()


@pytest.mark.parametrize("clusters", [None, 200])
def test_differences_of_scores_are_paired_on_both_routes(clusters: int | None, request: pytest.FixtureRequest) -> None:
    """Drawn together or one by one, replicates are the same; the routes give the same differences and limits."""
    confidence, is_correct = sample("apart", 2)
    codes = None if clusters is None else np.random.default_rng(4).integers(clusters, size=N)
    noisy = confidence + 0.1 * np.random.default_rng(3).normal(size=N)

    def ranked() -> list[ranking.RankedRows]:
        return [rank_rows(one, is_correct) for one in (confidence, noisy)]

    one_by_one = [resample(rows, MEASURES, 200, 0, codes) for rows in ranked()]
    request.getfixturevalue("many")
    together = resample_all([(rows, MEASURES) for rows in ranked()], 200, 0, codes)
    close = partial(pytest.approx, abs=np.log(N) / N)
    for name in MEASURES:
        shifts = one_by_one[0].replicates[name] - one_by_one[1].replicates[name]
        tolerance = np.log(N) / N if name == "aupr_success" else 1e-12
        both = together[0].replicates[name] - together[1].replicates[name]
        assert np.abs(both - shifts).max() <= tolerance
    few, large = (dict(some[0].minus(some[1])) for some in (one_by_one, together))
    assert few.keys() == large.keys()
    for name, one in few.items():
        assert large[name]["low"] == close(one["low"])
        assert large[name]["high"] == close(one["high"])
