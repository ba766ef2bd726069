"""Shifted images on disk: read back as they were, resumed after a kill, and never mixed with others."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.nets.data._class_names import ClassNames
from steepslope.nets.data._image_files import CARD
from steepslope.nets.data._images import SHEET, Images
from steepslope.nets.data._shifted import Shifted
from steepslope.nets.data._transforms import Transform, transform_for_data
from steepslope_lab.shifts.corruptions import Corruption
from steepslope_lab.shifts.options import WritingOptions
from steepslope_lab.shifts.writing import shifted_file_names, write_shifted
from tests.conftest import kill_once_there
from tests.images import folder_of, opened

HERE = WritingOptions(workers=0)


def data(n: int = 6, ids: list[str] | None = None, classes: tuple[str, ...] | None = None) -> Images:
    pixels = np.random.default_rng(0).integers(256, size=(n, 10, 12), dtype=np.uint8)
    return Images(pixels, np.arange(n) % 3, np.array(ids or [f"test/{row}" for row in range(n)]), classes)


def tree(folder: Path) -> dict[str, str]:
    """Return the digests of all files but locks."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class Brighter:
    """A shift to floats, in blocks of four, that counts how often it is called."""

    block, size, title, recipe = 4, None, "brighter", {"method": "brighter"}
    calls = 0

    def __call__(self, images: Any, ids: Any, labels: Any, brought_to: Any) -> list[Any]:
        self.calls += 1
        return [np.atleast_3d(np.asarray(image, dtype=np.float32)) / 510 + np.float32(0.25) for image in images]


def test_images_are_read_back_as_they_were(tmp_path: Path) -> None:
    shifted = Shifted(data(classes=("ant", "bee", "cow")), Corruption("fog", 3))
    write_shifted(shifted, "mine", tmp_path, HERE)
    found = opened(f"imagefolder:{tmp_path}")
    assert found.classes == ("ant", "bee", "cow")
    assert list(found.ids) == [f"{name}/test/{row}.png" for name, rows in (("ant", (0, 3)), ("bee", (1, 4)),
                               ("cow", (2, 5))) for row in rows]  # fmt: skip
    for place, row in enumerate((0, 3, 1, 4, 2, 5)):
        assert np.array_equal(np.asarray(found.image(place)), np.asarray(shifted.image(row)))
    card = json.loads((tmp_path / CARD).read_text())
    assert (card["kind"], card["severity"], card["seed"], card["images"]) == ("fog", 3, 0, 6)
    assert card["versions"]["imagecorruptions-imaug"]
    with Image.open(tmp_path / SHEET) as sheet:
        assert sheet.width > 500


@pytest.mark.parametrize(
    ("labels", "ids", "names"),
    [
        ([0, 1], ["ant/a.jpg", "bee/b.PNG"], ["ant/a.png", "bee/b.png"]),
        ([0, 0], ["ant/a.jpg", "ant/a.png"], ["ant/a.jpg.png", "ant/a.png.png"]),
        ([0, 1], ["/etc/x", "../y/.z"], ["ant/etc/x.png", "bee/_./y/_z.png"]),
        ([0, 1], ["photo.v1", "ant"], ["ant/photo.v1.png", "bee/ant.png"]),
    ],
)
def test_ids_become_names_inside_the_folder(labels: list[int], ids: list[str], names: list[str]) -> None:
    some = Images(np.zeros((2, 4, 4), np.uint8), np.array(labels), np.array(ids), ("ant", "bee"))
    assert [str(path) for path in shifted_file_names(some, "png")] == names


def test_classes_come_back_in_their_order_and_with_their_names(tmp_path: Path) -> None:
    """Names that no folder can have are written down, as are the labels of classes without an image here."""
    classes = ("zebra", "T-shirt/top", "mule", "ant")
    write_shifted(Shifted(data(classes=classes), Corruption("fog", 3)), "mine", tmp_path, HERE)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"zebra", "T-shirt_top", "mule"}
    found = opened(f"imagefolder:{tmp_path}")
    assert found.classes == classes
    assert {str(name).split("/")[0]: int(label) for name, label in zip(found.ids, found.labels, strict=True)} == {  # type: ignore[arg-type]
        "zebra": 0, "T-shirt_top": 1, "mule": 2,
    }  # fmt: skip
    other = ClassNames({name: label for label, name in enumerate(("ant", "mule", "T-shirt/top", "zebra"))})
    assert sorted(set(opened(f"imagefolder:{tmp_path}", other).labels.tolist())) == [1, 2, 3]  # type: ignore[union-attr]
    images = Images(np.zeros((2, 4, 4), np.uint8), np.array([3, 10]), np.array(["a", "b"]))
    write_shifted(Shifted(images, Corruption("fog", 3)), "mine", tmp_path / "numbers", HERE)
    assert opened(f"imagefolder:{tmp_path}/numbers").labels.tolist() == [3, 10]  # type: ignore[union-attr]


@pytest.mark.parametrize("classes", [None, ("zebra", "T-shirt/top", "mule", "ant")])
def test_images_of_none_of_the_classes_come_back_as_such(tmp_path: Path, classes: tuple[str, ...] | None) -> None:
    images = Images(np.zeros((3, 4, 4), np.uint8), np.array([3, -1, 1]), np.array(["a", "b", "c"]), classes)
    write_shifted(Shifted(images, Corruption("fog", 3)), "mine", tmp_path, HERE)
    found = opened(f"imagefolder:{tmp_path}")
    names = {
        str(name).rpartition("/")[2]: label for name, label in zip(found.ids, np.asarray(found.labels), strict=True)
    }
    assert names == {"a.png": 3, "b.png": -1, "c.png": 1}
    assert found.classes == classes


@pytest.mark.parametrize("classes", [("a/b", "a_b", "c"), ("crane", "Crane", "c"), (".x", "_x", "c")])
def test_two_classes_in_one_folder_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(SteepslopeError, match="expected classes whose folders differ, found "):
        shifted_file_names(data(classes=classes), "png")


def test_images_of_a_size_are_taken_as_they_are_from_disk_too(tmp_path: Path) -> None:
    transform = Transform((8, 8), (0.0,), (1.0,), "crop", 0.5)
    shifted = Shifted(data(), Corruption("fog", 3, crop=8))
    write_shifted(shifted, "mine", tmp_path, HERE)
    found = opened(f"imagefolder:{tmp_path}")
    assert (
        transform_for_data(found, transform)
        == transform_for_data(shifted, transform)
        == transform.changed(resize="exact")
    )
    assert found.fingerprint() != replace(found, brought_to=None).fingerprint()  # type: ignore[type-var]


def test_images_that_lay_there_before_are_not_taken_for_shifted_ones(tmp_path: Path) -> None:
    write_shifted(Shifted(data(), Corruption("fog", 3)), "mine", tmp_path, HERE)
    (tmp_path / CARD).unlink()
    with pytest.raises(SteepslopeError, match=r"0/test/0.png: expected no image here without a shift.json next to it"):
        write_shifted(Shifted(data(), Corruption("fog", 3, seed=5)), "mine", tmp_path, HERE)


def test_floats_are_rounded_in_png_and_kept_in_npy(tmp_path: Path) -> None:
    shifted = Shifted(data(), Brighter())
    write_shifted(shifted, "mine", tmp_path / "png", HERE)
    write_shifted(shifted, "mine", tmp_path / "npy", WritingOptions(format="npy"))
    rounded, exact = (opened(f"imagefolder:{tmp_path}/{name}") for name in ("png", "npy"))
    wanted = np.asarray(shifted.image(3))  # the second of the first class
    assert np.array_equal(np.asarray(exact.image(1)), wanted)
    assert np.abs(np.asarray(rounded.image(1))[..., None] / 255 - wanted).max() <= 0.5 / 255 + 1e-6


def test_an_unreadable_image_stops(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "photos", 3)
    (source / "bee" / "0001.png").write_bytes(b"no image")
    shifted = Shifted(opened(f"imagefolder:{source}"), Brighter())
    with pytest.raises(SteepslopeError, match=r"bee/0001.png: cannot be read as an image"):
        write_shifted(shifted, "mine", tmp_path / "out", HERE)
    assert not (tmp_path / "out" / CARD).exists()


def test_blocks_are_shifted_once_and_whole(tmp_path: Path) -> None:
    """Going on after a lost image shifts the whole block again: what it becomes may depend on its neighbours."""
    shift = Brighter()
    write_shifted(Shifted(data(10), shift), "mine", tmp_path, HERE)
    assert shift.calls == 3
    before = tree(tmp_path)
    (tmp_path / "0" / "test" / "0.png").unlink()
    (tmp_path / "1" / ".partial-killed.png").write_bytes(b"half")
    again = Brighter()
    write_shifted(Shifted(data(10), again), "mine", tmp_path, HERE)
    assert again.calls == 1
    assert tree(tmp_path) == before


@pytest.mark.slow
def test_killed_and_run_again_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    def command(out: str, workers: int) -> list[str]:
        words = "shift corrupt --data digits:test --kind glass_blur,fog --severity 2 --workers"
        return [*words.split(), str(workers), "--out", str(tmp_path / out)]

    assert main(command("whole", 0)) == 0
    for name in ("0", "9"):  # as far as the first image of a class
        killed = [sys.executable, "-m", "steepslope", *command("killed", 2)]
        kill_once_there(killed, tmp_path / "killed" / "glass_blur" / "2" / name)
    assert not (tmp_path / "killed" / "fog" / "2" / CARD).exists()
    assert main(command("killed", 2)) == 0
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")
