"""Experiments as they are read: sets of images that one name stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.paper.experiment import experiment_names, read_experiment


@pytest.mark.parametrize("name", experiment_names())
def test_all_of_the_catalogue_can_be_read(name: str) -> None:
    assert read_experiment(name).name == name


def test_a_star_stands_for_all_kinds_or_levels(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text('title: own\nwhere: [test, "corrupt:fog:*", "corrupt:*:5"]\n')
    where = read_experiment(str(path)).where
    assert where[:6] == ("test", *(f"corrupt:fog:{severity}" for severity in range(1, 6)))
    assert (len(where), len(read_experiment("table-a1").where)) == (1 + 5 + 15, 15)


@pytest.mark.parametrize("where", ["corrupt:fogg:*", "corrupt:*:9", "corrupt:*", "wild:*:5"])
def test_images_that_are_unknown_are_named(where: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f'title: own\nwhere: ["{where}"]\n')
    with pytest.raises(SteepslopeError, match=r"own\.yaml: .*(unknown|expected)"):
        read_experiment(str(path))
