"""The settings of oracles: shown in their signatures, written once, and cloned and changed by scikit-learn."""

import inspect
from dataclasses import fields
from typing import Annotated, Any

import numpy as np
import pytest
from sklearn.base import clone

from steepslope.errors import SteepslopeError, number
from steepslope.losses import LOSSES, cross_entropy, loss_parameters
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle._settings import FusedSettings, OracleSettings
from tests.conftest import make_outputs

ORACLES: dict[type[Any], type[Any]] = {Oracle: OracleSettings, FusedOracle: FusedSettings}
OTHERS: dict[str, Any] = {
    "loss": "focal", "alpha_pos": 2.5, "alpha_neg": 7, "gamma": 0.5, "beta": 0.9, "inputs": "features,logits",
    "head": "linear", "hidden": [64, 32], "epochs": 3, "learning_rate": 0.1,
    "errors": "crossfit", "seed": np.int64(5), "budget": "free",
}  # fmt: skip
SETTINGS = [(kind, name) for kind in ORACLES for name in OTHERS if name in inspect.signature(kind).parameters]


@pytest.mark.parametrize("kind", ORACLES)
def test_the_signature_is_that_of_the_settings_and_losses(kind: Any) -> None:
    """Losses that are added later need not stand in it: their parameters are taken as well."""
    assert Oracle.fused is FusedOracle
    parameters = inspect.signature(kind).parameters.values()
    shown = {one.name: one.default for one in parameters if one.kind is not one.VAR_KEYWORD}
    own = {one.name: one.default for one in fields(ORACLES[kind]) if one.name != "parameters"}
    of_losses = {name: default for loss in LOSSES for name, (default, _) in loss_parameters(loss).items()}
    assert shown == own | of_losses
    assert set(shown) <= set(OTHERS)


def test_losses_that_share_a_parameter_share_its_default() -> None:
    defaults = [(name, default) for loss in LOSSES for name, (default, _) in loss_parameters(loss).items()]
    assert len({name for name, _ in defaults}) == len(set(defaults))


@pytest.mark.parametrize(("kind", "name"), SETTINGS)
def test_clones_have_all_settings(kind: Any, name: str) -> None:
    oracle = kind(**{name: OTHERS[name]})
    again = clone(oracle)
    assert type(again) is kind
    assert again.get_params() == oracle.get_params() == {**kind().get_params(), name: OTHERS[name]}
    assert (again.settings, again.loss_settings) == (oracle.settings, oracle.loss_settings)
    assert repr(again) == repr(oracle) == f"{kind.__name__}({name}={OTHERS[name]!r})"
    assert kind().set_params(**{name: OTHERS[name]}).settings == oracle.settings


@pytest.mark.nets
def test_a_clone_is_not_fitted_and_neither_is_what_was_changed() -> None:
    outputs = make_outputs(300)
    oracle = Oracle(epochs=2).fit(outputs)
    for other in (clone(oracle), clone(oracle).fit(outputs).set_params(seed=3)):
        assert other.record_ is None
        with pytest.raises(SteepslopeError, match="this oracle is not fitted"):
            other.trust_logit(outputs)
    np.testing.assert_array_equal(clone(oracle).fit(outputs).trust_logit(outputs), oracle.trust_logit(outputs))


def test_settings_may_be_spelt_as_text() -> None:
    spelt = Oracle(hidden="64, 32", inputs="features, logits").settings
    assert spelt == Oracle(hidden=(64, 32), inputs=("features", "logits")).settings
    assert Oracle(hidden=8).settings == Oracle(hidden=(8,)).settings


NUMBERS = ["learning_rate", *(name for loss in LOSSES for name in loss_parameters(loss))]
REFUSED: list[tuple[type[Any], dict[str, Any], str]] = [
    (Oracle, {"loss": "steep_slop"}, "unknown loss 'steep_slop': did you mean 'steep_slope'"),
    (Oracle, {"head": "plane"}, "unknown head 'plane'"),
    (Oracle, {"inputs": "feature"}, "unknown input 'feature': did you mean 'features'"),
    (Oracle, {"inputs": ()}, "inputs: expected at least one, each once, found none"),
    (Oracle, {"inputs": "features,features"}, "inputs: expected at least one, each once, found features, features"),
    (Oracle, {"hidden": "64, many"}, "hidden: expected whole numbers, found '64, many'"),
    (Oracle, {"seed": 2**31}, "seed: expected a whole number from 0 to 2147483647, found 2147483648"),
    (Oracle, {"alpha_pos": "3"}, "alpha_pos: expected a number"),
    (Oracle, {"alpha_neg": float("nan")}, "alpha_neg: expected a number from 1e-06 to 80, found nan"),
    (Oracle, {"epoch": 3}, "unknown setting 'epoch': did you mean 'epochs'?"),
    *((Oracle, {name: -1}, f"{name}: expected a number ") for name in NUMBERS),
    (FusedOracle, {"alpha_neg": 0}, "alpha_neg: expected a number from"),
    (FusedOracle, {"bugdet": "free"}, "did you mean 'budget'"),
]


@pytest.mark.parametrize(("kind", "settings", "message"), REFUSED)
def test_bad_settings_are_named(kind: Any, settings: dict[str, Any], message: str) -> None:
    for use in (kind, kind().set_params):
        with pytest.raises(SteepslopeError, match=message):
            use(**settings)


@pytest.mark.parametrize("kind", ORACLES)
def test_parameters_of_a_loss_that_was_added_are_cloned(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def tempered(z: Any, target: Any, *, tau: Annotated[float, number(0.1, 10)] = 1.0) -> Any:
        return cross_entropy(z / tau, target)

    monkeypatch.setitem(LOSSES, "tempered", tempered)
    oracle = clone(kind(loss="tempered", tau=5.0))
    assert oracle.loss_settings.parameters == {"tau": 5.0}
    assert oracle.set_params(tau=2.0).loss_settings.parameters == {"tau": 2.0}
    assert repr(oracle) == f"{kind.__name__}(loss='tempered', tau=2.0)"
