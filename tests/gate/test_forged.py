"""A card whose digest was made to match may hold anything: it is refused in one line, or decides as it says."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope import FusedOracle, Gate
from steepslope.errors import SteepslopeError
from steepslope.files._artifact import DIGEST, MADE
from steepslope.files._folders import digest_of
from steepslope.gate._storage import GATE
from steepslope.scores import MCP
from tests.conftest import make_outputs

WRONG: tuple[Any, ...] = (
    None, True, 0, -1, 0.5, 10**30, float("nan"), float("inf"), "", "no such name", [], [1], [[]], {}, {"a": 1},
)  # fmt: skip
TRIED = 400  # of some 1,400 forgeries
ROWS, NEW = make_outputs(600), make_outputs(40, seed=2)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where there is a value in JSON; of lists, the first and the last only."""
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    if isinstance(value, list):
        for place in sorted({0, len(value) - 1} if value else ()):
            yield from places(value[place], (*path, place))


def forge(card: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a card in which one value is another, or missing if that is ``...``."""
    forged = copy.deepcopy(card)
    inside: Any = forged
    for key in path[:-1]:
        inside = inside[key]
    if value is ...:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return forged


def write_forged(folder: Path, card: dict[str, Any]) -> None:
    """Write a card with a digest to match."""
    sealed = {name: value for name, value in card.items() if name not in (DIGEST, MADE)}
    (folder / GATE.card).write_text(json.dumps({**sealed, DIGEST: digest_of(sealed), MADE: {}}), encoding="utf-8")


def made_gate(kind: str) -> Gate:
    """Return a gate by a score with a group for each class, or one by an oracle with two risks."""
    if kind == "score":
        return Gate.of(MCP(), ROWS, 0.3, by="predicted")
    return Gate.of(FusedOracle(budget="free").fit(make_outputs(300, seed=1)), ROWS, (0.3, 0.4))


@pytest.mark.filterwarnings("ignore")  # such a gate may find that all has changed
@pytest.mark.parametrize("kind", ["score", "oracle"])
def test_wrong_values_are_one_line(kind: str, tmp_path: Path) -> None:
    made_gate(kind).save(tmp_path / "gate")
    card = json.loads((tmp_path / "gate" / GATE.card).read_text())
    content = {name: value for name, value in card.items() if name not in (DIGEST, MADE, "version")}
    forgeries = [(path, value) for path in places(content) for value in (..., *WRONG)]
    draw = np.random.default_rng(0).permutation(len(forgeries))[:TRIED]
    refused = []
    for path, value in (forgeries[number] for number in draw):
        write_forged(tmp_path / "gate", forge(card, path, value))
        try:
            gate = Gate.load(tmp_path / "gate")
            gate.sentences()
            gate.decide(NEW)
        except SteepslopeError as error:  # any other is a failure
            refused.append(str(error))
    assert len(refused) > TRIED / 2
    assert not [line for line in refused if "\n" in line]


@pytest.mark.parametrize("kind", ["score", "oracle"])
def test_a_threshold_that_the_calibration_rows_contradict_is_refused(kind: str, tmp_path: Path) -> None:
    """With the digest made to match, such a gate once accepted all and still showed its certificate."""
    made_gate(kind).save(tmp_path / "gate")
    card = json.loads((tmp_path / "gate" / GATE.card).read_text())
    honest = Gate.load(tmp_path / "gate")
    given = next(place for place, one in enumerate(honest.certificates) if one.is_given and one.coverage < 1)
    write_forged(tmp_path / "gate", forge(card, ("certificates", given, "threshold"), -5.0))
    with pytest.raises(SteepslopeError, match=r"expected the threshold that accepted .* calibration rows, found -5"):
        Gate.load(tmp_path / "gate")
