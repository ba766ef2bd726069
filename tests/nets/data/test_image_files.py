"""Folders of images and tables of paths: links, names of classes, columns, ids, and what is wrong with them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from steepslope.errors import SteepslopeError, UnknownLabelsWarning
from steepslope.nets.data._class_names import ClassNames
from steepslope.nets.data._images import Divisible
from steepslope.nets.data._transforms import Transform
from tests.images import PIXELS, folder_of, opened, png


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 2)
    (data / "ant" / "loop").symlink_to(data / "ant")
    (data / "ant" / "._0000.png").write_text("what a Mac leaves beside an image")
    assert len(opened(f"imagefolder:{data}")) == 6


def test_a_missing_class_folder_shifts_no_label(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 1, ("ant", "cow"))
    images = opened(f"imagefolder:{data}", ClassNames.by_label(["ant", "bee", "cow"]))
    assert (np.asarray(images.labels).tolist(), images.classes) == ([0, 2], ("ant", "bee", "cow"))


def test_names_give_the_order(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 1)
    images = opened(f"imagefolder:{data}", ClassNames.by_label(["cow", "bee", "ant"]))
    assert np.asarray(images.labels).tolist() == [2, 1, 0]
    with pytest.raises(SteepslopeError, match="expected a size of the classifier's input"):
        Transform((0, 0), (0.5,), (0.5,))(Image.new("L", (4, 4)))


@pytest.mark.parametrize("name", ["unknown", "-1"])
def test_a_folder_of_none_of_the_classes(tmp_path: Path, name: str) -> None:
    data = folder_of(tmp_path / "data", 1)
    shutil.copytree(data / "bee", data / name)
    expected = {"ant": 0, "bee": 1, "cow": 2, name: -1}
    given = [ClassNames.by_label(["ant", "bee", "cow"]), *([ClassNames(num_classes=3)] if name == "unknown" else [])]
    for names in given:
        images = opened(f"imagefolder:{data}", names)
        found = {
            str(id_).split("/")[0]: label for id_, label in zip(images.ids, np.asarray(images.labels), strict=True)
        }
        assert (found, images.classes) == (expected, ("ant", "bee", "cow"))
    assert sorted(np.asarray(opened(f"imagefolder:{data}").labels)) == [0, 1, 2, 3]  # a class of those to learn


FILES = ["0.png", "a b/1;ü.png", "2.npy"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "a b").mkdir()
    for name, pixels in zip(FILES, PIXELS, strict=False):
        (tmp_path / name).write_bytes(png(pixels))
    np.save(tmp_path / FILES[2], PIXELS[2])
    return tmp_path


def write(home: Path, **columns: Sequence[object]) -> Path:
    pq.write_table(pa.table(columns), home / "files.parquet")
    return home / "files.parquet"


def test_paths_are_relative_or_absolute(home: Path) -> None:
    paths = [*FILES, str(home / "0.png")]
    data = opened(f"paths:{write(home, path=paths)}")
    assert [*data.ids] == paths
    assert data.labels is None
    for row, number in enumerate((0, 1, 2, 0)):
        np.testing.assert_array_equal(np.asarray(data.image(row)), PIXELS[number])
    assert isinstance(data, Divisible)
    part = data.subset(np.array([3, 1]))
    assert [*part.ids] == [paths[3], paths[1]]
    np.testing.assert_array_equal(np.asarray(part.image(1)), PIXELS[1])
    assert part.fingerprint() != data.fingerprint() == opened(f"paths:{home}/files.parquet").fingerprint()


def test_a_url_is_refused_without_its_secrets(home: Path) -> None:
    table = write(home, path=["0.png", "https://me:secret@host/a.png?signature=secret"])
    message = r"files\.parquet: 'https://host/a\.png': expected files on a disk, found a URL: copy or mount"
    with pytest.raises(SteepslopeError, match=message):
        opened(f"paths:{table}")


def test_columns_of_other_names(home: Path) -> None:
    table = write(home, file=FILES, number=[7, 8, 9], animal=["bee", "ant", "2"], id=["x", "y", "z"])
    data = opened(f"paths:{table}?path=file&id=number&label=animal", ClassNames(own={"ant": 0, "bee": 1, "cow": 2}))
    assert ([*data.ids], np.asarray(data.labels).tolist()) == (["7", "8", "9"], [1, 0, 2])
    assert data.classes == ("ant", "bee", "cow")
    assert [*opened(f"paths:{table}?path=file").ids] == ["x", "y", "z"]


def test_a_table_has_rows_of_none_of_the_classes(home: Path) -> None:
    names = ClassNames(own={"ant": 0, "bee": 1})
    table = write(home, path=FILES, label=["bee", "unknown", "-1"])
    assert np.asarray(opened(f"paths:{table}", names).labels).tolist() == [1, -1, -1]
    with pytest.warns(UnknownLabelsWarning, match=r"files\.parquet: .* in row 1; .*'bea' .1; did you mean"):
        assert np.asarray(opened(f"paths:{write(home, path=FILES, label=['bee', 'bea', '0'])}", names).labels)[1] == -1
    assert np.asarray(opened(f"paths:{write(home, path=FILES, label=[1, -1, 0])}").labels).tolist() == [1, -1, 0]
    for labels in (["0", "yak", "1"], ["unknown", "yak", "1"]):  # without a known name, numbers alone are labels
        with pytest.raises(SteepslopeError, match=r"expected a whole number or a class's name .*, found 'yak'"):
            opened(f"paths:{write(home, path=FILES, label=labels)}", names)


def test_ids_in_csv_are_text(home: Path) -> None:
    (home / "files.csv").write_text('id,path,label\n007,"a b/1;ü.png",1\n"8, or so",0.png,0\n', encoding="utf-8")
    data = opened(f"paths:{home}/files.csv")
    assert ([*data.ids], np.asarray(data.labels).tolist()) == (["007", "8, or so"], [1, 0])
    np.testing.assert_array_equal(np.asarray(data.image(0)), PIXELS[1])


def test_what_is_wrong_is_named(home: Path) -> None:
    wrong: list[tuple[dict[str, list[object]], str, str]] = [
        ({"path": ["0.png", "0.png"]}, "", r"found '0\.png' 2 times \(where a path may be there twice"),
        ({"path": ["a", "b", "c"], "id": ["x", "y", "x"]}, "", r"expected each id once, found 'x' 2 times$"),
        ({"path": ["a", None]}, "", "expected text in column 'path', found none in row 1"),
        ({"path": ["a", ""]}, "", "found none in row 1"),
        ({"paths": ["a"]}, "", "unknown column of .* 'path': did you mean 'paths'"),
        ({"path": ["a"]}, "?id=name", "unknown column of .* 'name'"),
        ({"path": ["a"]}, "?column=name", "unknown option of .* 'column'"),
        ({"path": ["a"], "label": ["yak"]}, "", "expected a whole number or a class's name"),
        ({"path": []}, "", "expected a row an image, found none"),
    ]
    for columns, query, message in wrong:
        with pytest.raises(SteepslopeError, match=message):
            opened(f"paths:{write(home, **columns)}{query}")
    (home / "files.parquet").write_bytes(b"no table")
    with pytest.raises(SteepslopeError, match=r"files\.parquet: cannot be read as a Parquet file"):
        opened(f"paths:{home}/files.parquet")
    for name, message in {"none.csv": "no such file", "0.png": r"expected a \.parquet or \.csv file of paths"}.items():
        with pytest.raises(SteepslopeError, match=message):
            opened(f"paths:{home}/{name}")
