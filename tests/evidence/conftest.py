"""Nets that learn for a few steps alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from steepslope.numerics import small_net


@pytest.fixture(scope="module")
def short_nets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_net, "LEAST_STEPS", 60)
        patch.setattr(small_net, "EPOCHS", 1)
        yield
