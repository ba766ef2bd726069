"""A fused oracle on disk: the same to the bit, and what is damaged is named with its file."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from steepslope.errors import SteepslopeError
from steepslope.files._folders import read_json
from steepslope.oracle import Oracle
from steepslope.oracle._fused import FusedOracle
from steepslope.oracle._storage import FIT_ROWS, ORACLE
from tests.files.sealing import seal_again
from tests.oracle.conftest import UNSEEN

CARD, WEIGHTS, STATES = "oracle.json", "oracle.safetensors", "evidence.safetensors"
Arrays = dict[str, Any]


@pytest.mark.slow
def test_it_is_saved_to_the_bit(
    oracle: FusedOracle, free: FusedOracle, with_auxiliary: FusedOracle, tmp_path: Path
) -> None:
    unseen = UNSEEN.subset(slice(300))
    for one in (oracle, free, with_auxiliary):
        one.save(tmp_path / "o")  # each in the place of the one before
        loaded = Oracle.load(tmp_path / "o")
        assert isinstance(loaded, FusedOracle)
        assert loaded.settings == one.settings
        for name in ("summary", "missing", "copies", "usual_handover"):
            ours, theirs = getattr(loaded.fitted_, name), getattr(one.fitted_, name)
            assert repr(ours) == repr(theirs), name
        np.testing.assert_array_equal(loaded.trust_logit(unseen), one.trust_logit(unseen))
        np.testing.assert_array_equal(loaded.p_correct(unseen), one.p_correct(unseen))
        for name, part in loaded.explain(unseen).items():
            np.testing.assert_array_equal(part, one.explain(unseen)[name])
        again = loaded.handed_over(unseen)
        assert (again is None) == (one.handed_over(unseen) is None)


def test_it_keeps_only_what_a_prediction_needs(free: FusedOracle, tmp_path: Path) -> None:
    free.save(tmp_path)
    kept = {name.partition("/")[0] for name in load_file(tmp_path / STATES)}
    assert free.fitted_ is not None
    assert kept == {*free.fitted_.inputs, "handover", "surroundings"} - {"logits"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([CARD, WEIGHTS, STATES, FIT_ROWS])
    (tmp_path / "plain").touch()
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1  # whoever reads new files reads the weights


def damage_card(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    card = read_json(folder / CARD, "an oracle")
    change(card)
    (folder / CARD).write_text(json.dumps(card), encoding="utf-8")  # which writes NaN, unlike our own
    with suppress(ValueError):  # for NaN
        seal_again(ORACLE, folder)


def in_fitted(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda card: card["fitted"].update(values)


def in_pool(name: str = "pool", **values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda card: card["fitted"][name].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.update(version=1), "expected version 6 of the format, found 1"),
        (lambda card: card.update(kind="fusd"), "did you mean 'fused'"),
        (lambda card: card.pop("fitted"), "the field 'fitted' is missing"),
        (lambda card: card.pop("settings"), "the field 'settings' is missing"),
        (lambda card: card["settings"].update(budget="cheap"), "budget: expected auto or free"),
        (in_fitted(offset=float("nan")), "was changed after it was written"),  # NaN cannot be sealed
        (in_fitted(num_classes=7), "expected what .* learnt, found nothing or something else"),
        (in_fitted(gains={"free": 3}), "expected the fit of a fused oracle"),
        (in_fitted(fallback=None), "expected a pool of inputs with their widths"),
        (in_pool(inputs=["logit"], widths=[1]), "did you mean 'logits'"),
        (in_pool(inputs=["logits"], widths=[1]), r"expected arrays weights \(float64 1\)"),
    ],
)
def test_damaged_cards_are_named(
    change: Callable[[dict[str, Any]], Any], message: str, with_auxiliary: FusedOracle, tmp_path: Path
) -> None:
    with_auxiliary.save(tmp_path)
    damage_card(tmp_path, change)
    with pytest.raises(SteepslopeError, match=message) as caught:
        Oracle.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def without(name: str) -> Callable[[Arrays], Any]:
    return lambda arrays: arrays.pop(name)


def first_to(name: str, value: float) -> Callable[[Arrays], Any]:
    def change(arrays: Arrays) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name].flat[0] = value

    return change


def shorter(name: str) -> Callable[[Arrays], Any]:
    return lambda arrays: arrays.update({name: arrays[name][:-1].copy()})


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (WEIGHTS, without("pool/weights"), "expected arrays weights .*, others .*, all finite, found"),
        (WEIGHTS, first_to("fallback/others", np.inf), "expected finite numbers, found others in"),
        (STATES, without("neighbors/centre"), "expected what neighbors learnt"),
        (STATES, shorter("neighbors/starts"), "expected what neighbors learnt"),
        (STATES, shorter("handover/centre"), "hand-over: expected arrays basis"),
    ],
)
def test_damaged_arrays_are_named(
    file: str, change: Callable[[Arrays], Any], message: str, with_auxiliary: FusedOracle, tmp_path: Path
) -> None:
    with_auxiliary.save(tmp_path)
    arrays = load_file(tmp_path / file)
    change(arrays)
    save_file(arrays, tmp_path / file)
    with pytest.raises(SteepslopeError, match=f"{file}: expected the file written with oracle.json, found another"):
        Oracle.load(tmp_path)
    seal_again(ORACLE, tmp_path)
    with pytest.raises(SteepslopeError, match=message) as caught:
        Oracle.load(tmp_path)
    assert str(tmp_path / file) in str(caught.value)
    assert "\n" not in str(caught.value)
