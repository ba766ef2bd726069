"""What settings may be is data: every setting refuses what its check does not allow, and takes NumPy's numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from steepslope.errors import Check, SteepslopeError, choice, each, number, optional, plain, require, whole
from steepslope.losses import LossSettings
from steepslope.metrics import evaluate
from steepslope.nets.classifiers import _options as training
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._augmentation import Augmented
from steepslope.nets.data._specs import holdout_split, parse_data
from steepslope.nets.extraction import _options as extraction
from steepslope.nets.predict import _options as cluster
from steepslope.nets.training import _request as request
from steepslope.oracle import FusedOracle, Oracle, _settings as oracles
from steepslope.predict import _options as predict
from steepslope.promise import _objectives as objectives
from steepslope.scores._neighbors import KNNDistance
from steepslope_lab.shifts import options as shifts
from tests.conftest import make_outputs

uint8: Any = np.uint8  # to mypy, NumPy's integers are no int
int64: Any = np.int64
float32: Any = np.float32
INTEGERS = (uint8, int64)
SETTINGS: dict[str, tuple[Callable[..., Any], Mapping[str, Check]]] = {
    "fused oracle": (oracles.FusedSettings, oracles.FUSED_CHECKS),
    "oracle": (oracles.OracleSettings, oracles.COLUMN_CHECKS),
    "finetuning": (request.Finetuning, request.CHECKS),
    "classifier": (training.ClassifierTraining, training._CLASSIFIER_CHECKS),
    "machines": (extraction.Machines, extraction._MACHINE_CHECKS),
    "extraction": (extraction.ExtractionOptions, extraction._EXTRACTION_CHECKS),
    "predictions": (predict.PredictOptions, predict.CHECKS),
    "cluster": (cluster.ClusterOptions, cluster.CLUSTER_CHECKS),
    "objectives": (objectives.Objectives, objectives.OBJECTIVE_CHECKS),
    "shift": (shifts.WritingOptions, shifts.WRITING_CHECKS),
    "recolouring": (shifts.RecolorOptions, shifts.RECOLOR_CHECKS),
    "stylizer": (shifts.StylizerTraining, shifts.STYLIZER_CHECKS),
}  # options of commands, with what each may be
NAMED = [(kind, name) for kind, (_, checks) in SETTINGS.items() for name in checks if name != "hidden"]
ODD: tuple[Any, ...] = (-1, 0, 1, 2.5, 1e12, -1e12, 2**31, float("nan"), True, None)
ODD += ("odd", "1", (), (0,), ("odd",), [1])


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_every_setting_refuses_what_its_check_does_not_allow(kind: str, name: str) -> None:
    make, checks = SETTINGS[kind]
    refused = [value for value in ODD if not checks[name].allows(value)]
    assert refused
    for value in refused:
        with pytest.raises(SteepslopeError) as caught:
            make(**{name: value})
        assert str(caught.value).startswith(f"{name}: expected ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("check", "allowed", "refused"),
    [
        (whole(2, 4), (2, 4), (1, 5, 2.5, True, "3", None)),
        (whole(0), (0, 10**12), (-1, 0.0)),
        (number(0.5, 2), (0.5, 1, 2.0), (0.49, 2.01, float("nan"), True, "1")),
        (number(), (-1e300, float("inf")), (float("nan"), None)),
        (choice("a", "b"), ("a", "b"), ("c", None, 1)),
        (optional(whole(1)), (None, 1), (0, "")),
        (each(whole(1)), ((), (1, 2)), ((0,), [1], 1, None)),
    ],
)
def test_checks_allow_up_to_their_limits(check: Check, allowed: tuple[Any, ...], refused: tuple[Any, ...]) -> None:
    assert all(check.allows(value) for value in allowed)
    assert not any(check.allows(value) for value in refused)


@pytest.mark.parametrize("kind", INTEGERS)
def test_every_class_of_settings_is_plain(kind: Any) -> None:
    one = kind(2)
    made = (
        training.ClassifierTraining(epochs=one, batch_size=one, seed=one, flip=np.True_, rotate=float32(0.5)),  # type: ignore[arg-type]
        extraction.ExtractionOptions(passes=one, augment=one, batch_size=one, shard_rows=one, devices=one),
        request.FinetuneRequest(
            oracle="net:digits-net", outputs="some", epochs=one, hidden=(one,), seed=one, workers=one
        ),
        FusedOracle(seed=one, alpha_neg=one).settings,
        Oracle(seed=one, epochs=one, hidden=one, alpha_neg=one, alpha_pos=one).settings,
        Augmented(parse_data("digits").load_into_memory("test"), one),
        LossSettings("focal", {"gamma": float32(2)}),
    )
    for settings in made:
        values = {name: value for name, value in vars(settings).items() if name not in ("data", "parameters")}
        json.dumps({**values, **getattr(settings, "parameters", {})})
        assert not [name for name, value in values.items() if isinstance(value, np.generic)]


def test_functions_take_them_too() -> None:
    outputs = make_outputs()
    margin = outputs.logits[:, 0].astype(np.float64)
    small = evaluate(margin, outputs.is_correct, bootstrap=uint8(200), seed=uint8(7))
    assert small == evaluate(margin, outputs.is_correct, bootstrap=200, seed=7)
    fitted, _ = holdout_split(1000, uint8(200), int64(42))
    np.testing.assert_array_equal(fitted, holdout_split(1000, 200, 42)[0])
    found, expected = (KNNDistance(k).fit(outputs).confidence(outputs) for k in (uint8(5), 5))
    np.testing.assert_array_equal(found, expected)


def test_a_classifier_s_input_is_the_same() -> None:
    changed = load_classifier("net:digits-net").with_transform(int64(8), float32(0.5), int64(1))
    assert (changed.transform.size, changed.transform.mean, changed.transform.std) == ((8, 8), (0.5,), (1.0,))
    assert {type(value) for value in (*changed.transform.size, *changed.transform.std)} == {int, float}


def test_what_is_no_such_number_is_refused_still() -> None:
    assert plain([int64(3)]) == [3]  # a list is not looked into, and no setting
    for value in (np.float64(2), np.True_, np.ones(2), "2", None):
        with pytest.raises(SteepslopeError, match=r"^k: expected a whole number >= 1, found "):
            require("k", value, whole(1))
    with pytest.raises(SteepslopeError, match=r"^rate: expected a number from 0 to 1, found nan"):
        require("rate", float32("nan"), number(0, 1))
