"""Names of classes: what the user, the classifier and the data have to say of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.nets.data._class_names import ClassNames, read_classes, wordnet_labels

PETS = {"cat": 0, "dog": 1}


def test_who_knows_the_names() -> None:
    assert ClassNames(num_classes=2).agreed(None, "data") is None
    assert ClassNames(num_classes=2).agreed(("cat", "dog"), "data") == ("cat", "dog")
    assert ClassNames(own=PETS, num_classes=2).agreed(None, "data") == ("cat", "dog")
    assert ClassNames(own=PETS, num_classes=2).agreed(("cat", "dog"), "data") == ("cat", "dog")
    words = tuple(f"a thing {label}" for label in range(1000))
    ids = ClassNames(own=wordnet_labels(), num_classes=1000).agreed(words, "data")
    assert ids is not None
    assert ids[0] == "n01440764"


@pytest.mark.parametrize(
    ("names", "found", "message"),
    [
        (ClassNames(own=PETS), ("dog", "cat"), "data: expected the classifier's classes, 0 is 'cat', found 'dog'"),
        (ClassNames(own=PETS), ("cat",), "data: expected the classifier's classes, 2 of them, found 1"),
        (ClassNames(num_classes=3), ("cat", "dog"), "data: expected 3 classes, as many as .* found 2"),
        (ClassNames(given={"dog": 0, "cat": 1}, own=PETS), None, "expected class 1 .* to be 'dog', found it as 0"),
        (ClassNames(given={"cat": 0}, num_classes=2), None, "data: expected 2 classes, as many as .* found 1"),
    ],
)
def test_names_that_do_not_agree(names: ClassNames, found: tuple[str, ...] | None, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        names.agreed(found, "data")


def test_names_are_read_from_folders_that_know_them(tmp_path: Path) -> None:
    for record in ("manifest.json", "classifier.json"):
        folder = tmp_path / record.removesuffix(".json")
        folder.mkdir()
        (folder / record).write_text(json.dumps({"classes": ["cat", "dog"]}))
        assert read_classes(folder) == PETS
    (tmp_path / "manifest" / "manifest.json").write_text(json.dumps({"classes": None}))
    with pytest.raises(SteepslopeError, match=r"manifest\.json: expected names of classes, found none"):
        read_classes(tmp_path / "manifest")
