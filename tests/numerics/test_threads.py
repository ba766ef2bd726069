"""On how many threads blocks compute, what is as before afterwards, and that slices change nothing."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_info, threadpool_limits

from steepslope.errors import SteepslopeError
from steepslope.numerics import _threads as threads
from steepslope.numerics._linear import principal_components
from steepslope.numerics._neighbors import Index
from steepslope.numerics._threads import in_slices, single_thread


def settings() -> list[int]:
    """Return the number of threads of every BLAS library."""
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


def usual(count: int) -> list[int]:
    return [count] * len(settings())


@pytest.fixture(params=[2, 5])
def several(request: pytest.FixtureRequest) -> Iterator[int]:
    """Let the process have so many threads everywhere, whatever the environment says."""
    count: int = request.param
    with threadpool_limits(count, user_api="blas"):
        yield count
        assert settings() == usual(count)


def test_a_block_computes_on_one_thread(several: int) -> None:
    with single_thread():
        assert settings() == usual(1)
        with single_thread():
            assert settings() == usual(1)
        assert settings() == usual(1)
    assert settings() == usual(several)


def test_all_is_as_before_after_an_error(several: int) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), single_thread():
            raise ZeroDivisionError
        assert settings() == usual(several)


def test_a_function_computes_on_one_thread(several: int) -> None:
    assert single_thread()(settings)() == usual(1)
    assert settings() == usual(several)


LATE = """
from threadpoolctl import threadpool_info
from steepslope.numerics._threads import single_thread
with single_thread():
    before = len(threadpool_info())
import scipy.linalg
with single_thread():
    inside = [one["num_threads"] for one in threadpool_info()]
assert len(inside) > before, "nothing was loaded later"
assert set(inside) == {1}, inside
assert {one["num_threads"] for one in threadpool_info()} == {2}
"""


def test_a_library_that_is_loaded_later_computes_on_one_thread_too() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], env={**os.environ, "OPENBLAS_NUM_THREADS": "2"}, check=False)
    assert done.returncode == 0


def test_blocks_of_several_python_threads_end_in_any_order(several: int) -> None:
    """The first block to open is the first to close, while another goes on computing on one thread."""
    opened, closed, seen = threading.Event(), threading.Event(), dict[str, Any]()

    def second() -> None:
        with single_thread():
            opened.set()
            assert closed.wait(10)
            seen["inside"] = settings()
        seen["after"] = settings()

    with ThreadPoolExecutor(1) as pool:
        with single_thread():
            other = pool.submit(second)
            assert opened.wait(10)
        closed.set()
        other.result()
    assert seen == {"inside": usual(1), "after": usual(several)}


@pytest.mark.parametrize(("large", "expected"), [(100, [slice(0, 10)]), (99, [slice(0, 4), slice(4, 8), slice(8, 10)])])
@pytest.mark.parametrize("inside", [False, True])
def test_large_work_is_cut_into_slices_of_one_thread_each(
    large: int, expected: list[slice], inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "LARGE", large + 1)

    def work(rows: slice) -> tuple[slice, Any]:
        return rows, settings()

    with threadpool_limits(3, user_api="blas"):
        if inside:
            with single_thread():
                found = in_slices(work, 10, 100)
        else:
            found = in_slices(work, 10, 100)
        assert [rows for rows, _ in found] == expected
        assert [seen for _, seen in found] == [usual(1)] * len(expected)
        assert settings() == usual(3)


def test_there_are_no_more_slices_than_rows_or_threads() -> None:
    def count(n: int, usual: int) -> int:
        with threadpool_limits(usual, user_api="blas"):
            return len(in_slices(lambda rows: rows, n, 1e12))

    assert (count(100, 3), count(2, 3), count(100, 1), count(100, 64)) == (3, 2, 1, threads.MOST_THREADS)
    assert in_slices(lambda rows: rows, 0, 0) == [slice(0, 0)]


@pytest.fixture
def in_three_slices(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cut all work into three slices."""
    monkeypatch.setattr(threads, "LARGE", 0)
    with threadpool_limits(3, user_api="blas"):
        yield


@pytest.mark.usefixtures("in_three_slices")
def test_neighbors_that_are_sought_in_slices_are_the_nearest() -> None:
    rng = np.random.default_rng(0)
    points, labels, queries = rng.normal(size=(60, 4)), np.arange(60) % 3, rng.normal(size=(10, 4))
    index, exact = Index.build(points, labels, 3), cdist(queries, points)
    by_class = np.stack([np.sort(exact[:, labels == label])[:, 1] for label in range(3)], axis=1)
    nearest = np.stack([np.bincount(labels[row.argsort()[:5]], minlength=3) for row in exact])
    distances, counts = index.search(queries, (5,))
    np.testing.assert_allclose(distances, by_class, rtol=1e-5)
    np.testing.assert_array_equal(counts[:, 0], nearest)
    np.testing.assert_allclose(index.kth_distance(queries, 7), np.sort(exact)[:, 6], rtol=1e-5)
    queries[8, 1] = np.nan
    with pytest.raises(SteepslopeError, match="found others in row 8"):
        index.kth_distance(queries, 7)


@pytest.mark.usefixtures("in_three_slices")
def test_components_that_are_summed_in_slices_are_those_of_all_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    mean, directions, variances = principal_components(rows, 5)
    np.testing.assert_allclose(mean, rows.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(directions * variances @ directions.T, np.cov(rows.T), atol=1e-6)
