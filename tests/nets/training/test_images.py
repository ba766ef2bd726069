"""Images are found by the ids of outputs, in the split that has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.nets.data._specs import parse_data
from steepslope.nets.training._images import ImageFinder
from tests.images import folder_of


class Doubled:
    """A finder's data set in which one image's id is there twice."""

    ids = ("a", "b", "a", "a", "c")


def test_an_id_that_is_there_twice_has_no_image() -> None:
    finder = ImageFinder(parse_data("digits:test"))
    finder.open = lambda split: Doubled()  # type: ignore[assignment]
    found = finder.places(["c", "a", "b", "d"])
    assert [None if one is None else one[1] for one in found] == [4, None, 1, None]


def test_images_are_found_in_the_split_with_the_most_of_them() -> None:
    digits = {split: parse_data(f"digits:{split}").open() for split in ("train", "test")}
    finder = ImageFinder(parse_data("digits"))
    wanted = [str(digits["train"].ids[5]), *map(str, digits["test"].ids[2:4])]
    found = finder.places(wanted)
    assert found[0] is None
    assert [one[1] for one in found if one is not None] == [2, 3]
    with pytest.raises(SteepslopeError, match="none with the id"):
        finder(wanted)


def test_a_split_is_named_where_files_of_two_have_the_same_names(tmp_path: Path) -> None:
    for split, n in (("train", 3), ("test", 2)):
        folder_of(tmp_path / split, n)
    spec, ids = f"imagefolder:{tmp_path}", ["ant/0001.png", "cow/0000.png"]
    with pytest.raises(SteepslopeError, match=f"found several: name it, as in {spec}:test"):
        ImageFinder(parse_data(spec))(ids)
    data, rows = ImageFinder(parse_data(f"{spec}:test"))(ids)
    assert (len(data), rows.tolist()) == (6, [1, 4])
    data, rows = ImageFinder(parse_data(spec))([*ids, "bee/0002.png"])  # one of them has all
    assert (len(data), rows.tolist()) == (9, [1, 6, 5])
