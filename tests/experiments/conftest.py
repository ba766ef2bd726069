"""Experiments draw few resamples in tests: intervals have tests of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from steepslope.experiments import common


@pytest.fixture(scope="module", autouse=True)
def _few_resamples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "RESAMPLES", 20)
        yield
