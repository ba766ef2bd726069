"""Settings in YAML files: how a change reaches its place."""

from __future__ import annotations

from typing import Any

import pytest

from steepslope.errors import SteepslopeError
from steepslope.utilities.yaml_files import set_at


def _content() -> dict[str, Any]:
    return {"nets": {"vit": {"size": 384}}, "stages": [{"epochs": 500}, {"epochs": 20}], "seeds": [0, 1]}


def test_changes_reach_into_mappings_and_lists() -> None:
    content = _content()
    set_at(content, "nets.vit.mean", 0.5)
    set_at(content, "stages.1.epochs", 2)
    set_at(content, "seeds.0", 7)
    assert content == {
        "nets": {"vit": {"size": 384, "mean": 0.5}},
        "stages": [{"epochs": 500}, {"epochs": 2}],
        "seeds": [7, 1],
    }


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("net.vit.size", "unknown place in 'net.vit.size': 'net': did you mean 'nets'? Known: nets, seeds, stages"),
        ("stages.2.epochs", "unknown place in 'stages.2.epochs': '2': Known: 0, 1"),
        ("stages.last.epochs", "unknown place in 'stages.last.epochs': 'last': Known: 0, 1"),
        ("seeds.2", "unknown place in 'seeds.2': '2': Known: 0, 1"),
        ("nets.vit.size.width", "nets.vit.size.width: expected names and values below size, found int"),
    ],
)
def test_places_that_are_not_there_are_named(place: str, message: str) -> None:
    content = _content()
    with pytest.raises(SteepslopeError) as raised:
        set_at(content, place, 1)
    assert str(raised.value) == message
    assert content == _content()
