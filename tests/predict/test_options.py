"""What can be chosen about a cluster."""

from __future__ import annotations

import pytest

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.predict.options import ClusterOptions


def test_addresses() -> None:
    for address in (None, "auto", "10.0.0.1:6379", "head.cluster.local:6379", "[fd00::1]:6379"):
        assert ClusterOptions(address=address).address == address


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "spark"}, "engine: expected local or ray, found 'spark'"),
        ({"address": "ray://head:10001"}, "address: expected auto or HOST:PORT"),
        ({"address": "head"}, "address: expected auto or HOST:PORT"),
        ({"actors": 0}, "actors: expected a whole number >= 1"),
        ({"cpus": 0.5}, "cpus: expected a whole number >= 1"),
        ({"gpus": -1}, "gpus: expected a number"),
        ({"retries": -1}, "retries: expected a whole number >= 0"),
    ],
)
def test_others_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        ClusterOptions(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--outputs x.npz --out found.csv", "engine: expected --data with ray"),
        ("--data images:. --out -", "out: expected a file to write to with ray"),
    ],
)
def test_what_a_cluster_is_no_use_for(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"predict --gate none --engine ray {words}".split()) == 2
    assert message in capsys.readouterr().err
