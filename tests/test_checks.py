"""Settings that come as NumPy's numbers are what they would be as Python's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.checks import number, plain, require, whole
from steepslope.errors import SteepslopeError
from steepslope.losses import LossSettings
from steepslope.metrics import evaluate
from steepslope.nets.classifiers.specs import load_classifier
from steepslope.nets.classifiers.training import recipe_for, train_classifier
from steepslope.nets.data.augmentation import Augmented
from steepslope.nets.data.specs import holdout_split, parse_dataset
from steepslope.nets.extraction.options import ExtractionOptions
from steepslope.nets.training.request import FinetuneRequest
from steepslope.oracle import FusedOracle, Oracle
from steepslope.scores import KNNDistance
from tests.conftest import make_outputs

uint8: Any = np.uint8  # to mypy, NumPy's integers are no int
int64: Any = np.int64
float32: Any = np.float32
INTEGERS = (uint8, int64)


@pytest.mark.parametrize("kind", INTEGERS)
def test_an_oracle_is_the_same(kind: Any, tmp_path: Path) -> None:
    """np.uint8(3) once became 253 where the steep slope loss negates it, and PyTorch took no such batch size."""
    outputs = make_outputs(300)
    settings: dict[str, Any] = {"seed": 3, "epochs": 2, "batch_size": 50, "hidden": 4, "alpha_neg": 3, "alpha_pos": 1}
    own = Oracle(**settings).fit(outputs)
    numpy = Oracle(**{name: kind(value) for name, value in settings.items()}).fit(outputs)
    np.testing.assert_array_equal(numpy.trust_logit(outputs), own.trust_logit(outputs))
    numpy.save(tmp_path)
    assert Oracle.load(tmp_path).loss_settings == own.loss_settings


@pytest.mark.parametrize("kind", INTEGERS)
def test_every_class_of_settings_is_plain(kind: Any) -> None:
    one = kind(2)
    made = (
        recipe_for("digits-net", epochs=one, batch_size=one, seed=one, flip=np.True_, rotate=float32(0.5)),
        ExtractionOptions(passes=one, augment=one, augment_seed=one, batch_size=one, shard_rows=one, devices=one),
        FinetuneRequest(oracle="net:digits-net", outputs="some", epochs=one, hidden=(one,), seed=one, workers=one),
        FusedOracle(seed=one, alpha_neg=one).settings,
        Augmented(parse_dataset("digits").load_into_memory("test"), one, ("blur",), one),
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


def test_a_classifier_and_its_input_are_the_same(tmp_path: Path) -> None:
    kept: list[list[bytes]] = []
    kinds: dict[str, Any] = {"own": int, "numpy": np.int64}
    for name, kind in kinds.items():
        recipe = recipe_for("digits-net", epochs=kind(1), batch_size=kind(64), seed=kind(1))
        train_classifier("digits-net", "digits", tmp_path / name, recipe, kind(400), kind(42))
        kept.append([(tmp_path / name / file).read_bytes() for file in ("classifier.json", "classifier.safetensors")])
    assert kept[0] == kept[1]
    changed = load_classifier(f"checkpoint:{tmp_path / 'own'}").with_transform(int64(8), float32(0.5), int64(1))
    assert (changed.transform.size, changed.transform.mean, changed.transform.std) == ((8, 8), (0.5,), (1.0,))
    assert {type(value) for value in (*changed.transform.size, *changed.transform.std)} == {int, float}


def test_what_is_no_such_number_is_refused_still() -> None:
    assert plain([int64(3)]) == [3]  # a list is not looked into, and no setting
    for value in (np.float64(2), np.True_, np.ones(2), "2", None):
        with pytest.raises(SteepslopeError, match=r"^k: expected a whole number >= 1, found "):
            require("k", value, whole(1))
    with pytest.raises(SteepslopeError, match=r"^rate: expected a number from 0 to 1, found nan"):
        require("rate", float32("nan"), number(0, 1))
