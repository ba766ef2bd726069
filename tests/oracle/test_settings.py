"""The settings of oracles: shown in their signatures, written once, and cloned and changed by scikit-learn."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Annotated, Any

import numpy as np
import pytest
from sklearn.base import clone
from torch import Tensor

from steepslope.checks import number
from steepslope.errors import SteepslopeError
from steepslope.losses import LOSSES, cross_entropy, parameters_of
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle.settings import FusedSettings, OracleSettings
from tests.conftest import make_outputs

ORACLES: dict[type[Any], type[Any]] = {Oracle: OracleSettings, FusedOracle: FusedSettings}
OTHERS: dict[str, Any] = {
    "loss": "focal", "alpha_pos": 2.5, "alpha_neg": 7, "gamma": 0.5, "beta": 0.9, "inputs": "features,logits",
    "head": "linear", "hidden": [64, 32], "epochs": 3, "batch_size": 10, "learning_rate": 0.1, "weight_decay": 0,
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
    of_losses = {name: default for loss in LOSSES for name, (default, _) in parameters_of(loss).items()}
    assert shown == own | of_losses
    assert set(shown) <= set(OTHERS)


def test_losses_that_share_a_parameter_share_its_default() -> None:
    defaults = [(name, default) for loss in LOSSES for name, (default, _) in parameters_of(loss).items()]
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


def test_a_clone_is_not_fitted_and_neither_is_what_was_changed() -> None:
    outputs = make_outputs(300)
    oracle = Oracle(epochs=2).fit(outputs)
    for other in (clone(oracle), clone(oracle).fit(outputs).set_params(seed=3)):
        assert other.record_ is None
        with pytest.raises(SteepslopeError, match="this oracle is not fitted"):
            other.trust_logit(outputs)
    np.testing.assert_array_equal(clone(oracle).fit(outputs).trust_logit(outputs), oracle.trust_logit(outputs))


@pytest.mark.parametrize("kind", ORACLES)
def test_changes_are_checked(kind: Any) -> None:
    with pytest.raises(ValueError, match="unknown setting 'sed': did you mean 'seed'"):
        kind().set_params(sed=3)
    with pytest.raises(SteepslopeError, match="alpha_neg: expected a number"):
        kind().set_params(alpha_neg=-1)
    with pytest.raises(SteepslopeError, match="unknown head 'plane'"):
        Oracle().set_params(head="plane")


@pytest.mark.parametrize("kind", ORACLES)
def test_parameters_of_a_loss_that_was_added_are_cloned(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def tempered(z: Tensor, target: Tensor, *, tau: Annotated[float, number(0.1, 10)] = 1.0) -> Tensor:
        return cross_entropy(z / tau, target)

    monkeypatch.setitem(LOSSES, "tempered", tempered)
    oracle = clone(kind(loss="tempered", tau=5.0))
    assert oracle.loss_settings.parameters == {"tau": 5.0}
    assert oracle.set_params(tau=2.0).loss_settings.parameters == {"tau": 2.0}
    assert repr(oracle) == f"{kind.__name__}(loss='tempered', tau=2.0)"
