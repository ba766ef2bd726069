"""What scores refuse, in one line: wrong use, by the contract of all, and states that none can have learnt."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES, MaxLogitPNorm, MCDropout, Score, TrustScore
from steepslope.scores._moments import MahalanobisRatio
from steepslope.scores._neighbors import KNNDistance
from tests.conftest import make_outputs

OUTPUTS = make_outputs()
OF_FEATURES = [name for name, kind in SCORES.items() if "features" in kind.arrays]


def broken(row: int) -> ClassifierOutputs:
    """Return outputs whose features are not finite in a row."""
    features = OUTPUTS.require_features().copy()
    features[row, 1] = np.nan
    return OUTPUTS.changed(features=features)


@pytest.mark.parametrize("name", [name for name, kind in SCORES.items() if kind.fits_on != "nothing"])
def test_what_it_was_not_fitted_for_is_refused(name: str) -> None:
    score = SCORES[name]()
    with pytest.raises(SteepslopeError, match=f"{type(score).__name__} is not fitted: call fit"):
        score.confidence(OUTPUTS)
    with pytest.raises(SteepslopeError, match=f"{type(score).__name__}: fitted for 4 classes, found 3"):
        score.fit(OUTPUTS).confidence(make_outputs(num_classes=3))


@pytest.mark.parametrize("name", OF_FEATURES)
def test_other_features_are_refused(name: str) -> None:
    score = SCORES[name]().fit(OUTPUTS)
    with pytest.raises(SteepslopeError, match="features: expected finite values, found others"):
        SCORES[name]().fit(broken(3))
    with pytest.raises(SteepslopeError, match="features: expected finite values, found others in row 7"):
        score.confidence(broken(7))
    with pytest.raises(SteepslopeError, match="features: expected 6 columns, found 4"):
        score.confidence(OUTPUTS.changed(features=np.ones((400, 4))))
    for use in (SCORES[name]().fit, score.confidence):
        with pytest.raises(SteepslopeError, match="the outputs hold no features"):
            use(OUTPUTS.changed(features=None))


def wrong(value: Any) -> Any:
    """Hide a value's type from the type checker, which knows the right ones."""
    return value


USES: list[tuple[Callable[[], object], str]] = [
    (lambda: MCDropout().confidence(OUTPUTS), "the outputs hold no dropout"),
    (lambda: MaxLogitPNorm().fit(make_outputs(num_classes=2)), "expected at least 3 classes, found 2"),
    (lambda: KNNDistance(k=0), "k: expected a whole number >= 1, found 0"),
    (lambda: KNNDistance(k=wrong(2.5)), "k: expected a whole number >= 1, found 2.5"),
    (lambda: KNNDistance(k=401).fit(OUTPUTS), "expected at least k = 401 references, found 400"),
]


@pytest.mark.parametrize(("use", "message"), USES)
def test_wrong_use_is_named(use: Callable[[], object], message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        use()


OF_ARRAYS: list[type[Score]] = [TrustScore, MahalanobisRatio]
STATES = {kind: kind().fit(OUTPUTS).state() for kind in OF_ARRAYS}
INDEX = "expected an index of references of 4 classes"


CHANGED: list[tuple[type[Score], str, Callable[[NDArray[Any]], Any], str]] = [
    (MahalanobisRatio, "centre", lambda centre: centre[:, None], "expected arrays"),
    (TrustScore, "points", lambda points: points.astype("float64"), INDEX),
    (TrustScore, "points", lambda points: points[:, 0], INDEX),
    (TrustScore, "centre", lambda centre: centre[:2], INDEX),
    (TrustScore, "starts", lambda starts: starts[:4], INDEX),
    (TrustScore, "starts", lambda starts: starts[::-1].copy(), INDEX),
    (TrustScore, "points", lambda points: points * np.nan, "all finite"),
]


@pytest.mark.parametrize(("kind", "name", "change", "message"), CHANGED)
def test_a_changed_state_is_refused(
    kind: type[Score], name: str, change: Callable[[NDArray[Any]], Any], message: str
) -> None:
    state = STATES[kind]
    with pytest.raises(SteepslopeError, match=message):
        kind.restored({**state, name: change(state[name])}, 4)
    with pytest.raises(SteepslopeError, match=r"expected .*found"):
        kind.restored({other: array for other, array in state.items() if other != name}, 4)
    with pytest.raises(SteepslopeError, match=r"expected .*found"):
        kind.restored(state, 5)


@pytest.mark.parametrize(
    ("kind", "state", "message"),
    [
        (MaxLogitPNorm, {"power": np.ones(2)}, r"expected arrays power \(float64 1\), all finite, found"),
        (MaxLogitPNorm, {"power": np.array([2.5])}, "power: expected a whole number from -1 to 10, found 2.5"),
    ],
)
def test_a_state_that_was_never_learnt_is_refused(kind: type[Score], state: dict[str, Any], message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        kind.restored(state, 4)
