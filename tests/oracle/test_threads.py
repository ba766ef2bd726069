"""A fused oracle is fitted and asked on one thread, whatever the process is set to, and leaves that as it was."""

from collections.abc import Callable
from typing import Any

import pytest

from steepslope.oracle import FusedOracle, _fused_fit as fused_fit
from tests.conftest import make_complete
from tests.numerics.test_threads import settings, several, usual

FIT_SET = make_complete(300, seed=2)
__all__ = ["several"]


def watched(function: Callable[..., Any], seen: list[Any]) -> Callable[..., Any]:
    """Return a function that also notes how many threads it meets."""

    def noting(*given: Any, **options: Any) -> Any:
        seen.append(settings())
        return function(*given, **options)

    return noting


def test_a_fit_computes_on_one_thread(several: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    for name in ("evidence_of_all_rows", "best_pool", "fit_calibration"):
        monkeypatch.setattr(fused_fit, name, watched(getattr(fused_fit, name), seen))
    oracle = FusedOracle(budget="free").fit(FIT_SET)
    assert len(seen) >= 2
    assert seen == [usual(1)] * len(seen)
    assert settings() == usual(several)
    for ask in (oracle.trust_logit, oracle.confidence, oracle.p_correct, oracle.trusts, oracle.explain):
        seen.clear()
        assert len(ask(FIT_SET)) > 0
        assert seen == [usual(1)] * len(seen)
        assert seen
        assert settings() == usual(several)
