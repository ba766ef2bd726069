"""Hugging Face data sets, written by the library itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets as hub
import numpy as np
import pytest
from PIL import Image

from steepslope.errors import SteepslopeError, UnknownLabelsWarning
from steepslope.nets.data._class_names import ClassNames
from tests.images import PIXELS, opened, png, write_shard


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write folders of Parquet files, with splits and without, with the library itself."""
    home = tmp_path_factory.mktemp("hub")
    hub.disable_progress_bars()
    features = hub.Features({"image": hub.Image(), "label": hub.ClassLabel(names=["ant", "bee", "cow"])})
    rows: dict[str, list[Any]] = {"image": [Image.fromarray(pixels) for pixels in PIXELS], "label": [2, 0, 1, 1, 0, 2]}
    table = hub.Dataset.from_dict(rows, features=features)
    write_parquet(table, home / "both" / "train.parquet")
    write_parquet(table.select([3, 1]), home / "both" / "validation.parquet")
    write_parquet(table, home / "one" / "rows.parquet")
    other = rows | {"image": rows["image"][::-1]}
    write_parquet(hub.Dataset.from_dict(other, features=features), home / "other" / "rows.parquet")
    plain = hub.Dataset.from_dict(rows | {"second": rows["image"]}, hub.Features(features | {"second": hub.Image()}))
    missing = hub.Dataset.from_dict(rows | {"label": [None, 1, 1, 1, 1, 1]}, features=features)
    write_parquet(missing, home / "missing" / "rows.parquet")
    write_parquet(plain.cast_column("label", hub.Value("int64")), home / "plain" / "rows.parquet")
    table.save_to_disk(str(home / "saved"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub.config, "HF_DATASETS_CACHE", home / "cache")
        yield home
    hub.enable_progress_bars()


def write_parquet(table: Any, file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    table.to_parquet(str(file))


def test_hub_data_by_splits(hub_folder: Path) -> None:
    for spec, rows in (("both:validation", [3, 1]), ("one", range(6)), ("both:train", range(6))):
        images = opened(f"hf:{hub_folder}/{spec}")
        assert np.asarray(images.labels).tolist() == [[2, 0, 1, 1, 0, 2][row] for row in rows]
        np.testing.assert_array_equal(np.asarray(images.image(1)), PIXELS[rows[1]])
        assert len(images.ids) == len(set(images.ids)) == len(images)
    one = opened(f"hf:{hub_folder}/one").fingerprint()
    assert one == opened(f"hf:{hub_folder}/one").fingerprint()
    assert one != opened(f"hf:{hub_folder}/other").fingerprint()


def test_hub_columns_and_names(hub_folder: Path) -> None:
    images = opened(f"hf:{hub_folder}/plain?image=second&label=label")
    assert np.asarray(images.labels).tolist() == [2, 0, 1, 1, 0, 2]
    named = opened(f"hf:{hub_folder}/one", ClassNames(given={"cow": 0, "bee": 1, "ant": 5}))
    assert np.asarray(named.labels).tolist() == [0, 5, 1, 1, 5, 0]
    own = opened(f"hf:{hub_folder}/one", ClassNames(own={"cow": 7, "bee": 8, "ant": 9, "dog": 1}))
    assert np.asarray(own.labels).tolist() == [7, 9, 8, 8, 9, 7]
    other = opened(f"hf:{hub_folder}/one", ClassNames(own={"n01440764": 0}, num_classes=3))
    assert np.asarray(other.labels).tolist() == [2, 0, 1, 1, 0, 2]
    with pytest.raises(SteepslopeError, match=r"expected 5 classes, as many as the classifier has, found 3: .*--cl"):
        opened(f"hf:{hub_folder}/one", ClassNames(own={"n01440764": 0}, num_classes=5))
    with pytest.raises(SteepslopeError, match="the class 'cow' is none of the classifier's"):
        opened(f"hf:{hub_folder}/one", ClassNames(own={"yak": 0}))
    with pytest.warns(UnknownLabelsWarning, match="in 4 rows, the first of them row 0; .*'cow' .2.*'bee' .2"):
        unknown = opened(f"hf:{hub_folder}/one", ClassNames(own={"ant": 0}))
    assert np.asarray(unknown.labels).tolist() == [-1, 0, -1, -1, 0, -1]


def test_hub_folders_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for name, pixels in (("bee", PIXELS[0]), ("ant", PIXELS[1])):
        (tmp_path / "files" / "test" / name).mkdir(parents=True)
        (tmp_path / "files" / "test" / name / "1.png").write_bytes(png(pixels))
    images = opened(f"hf:{tmp_path}/files:test")
    assert np.asarray(images.labels).tolist() == [0, 1]
    np.testing.assert_array_equal(np.asarray(images.image(0)), PIXELS[1])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("both", "expected one of its splits (train, validation) after a colon, found none"),
        ("both:test", "expected one of its splits (train, validation) after a colon, found test"),
        ("one:test", "expected one of its splits (train) after a colon, found test"),
        ("saved", "found a folder of save_to_disk: open it with datasets.load_from_disk, and write it with"),
        ("plain", "expected one image column, found 2 among image, label, second; choose with ?image=NAME"),
        ("plain?image=second", "expected one label column, found 0"),
        ("plain?image=label&label=label", "expected images in the column 'label'"),
        ("plain?image=imag&label=label", "did you mean 'image'"),
        ("plain?image=image&label=second", "expected whole numbers in the column 'second'"),
        ("plain?colum=image", "unknown option of"),
        ("none", "no such folder"),
        ("missing", "expected whole numbers in the column 'label', found missing values"),
    ],
)
def test_wrong_hub_specs_are_named(argument: str, message: str, hub_folder: Path) -> None:
    with pytest.raises(SteepslopeError) as error:
        opened(f"hf:{hub_folder}/{argument}")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_spec_without_a_name_is_named() -> None:
    with pytest.raises(SteepslopeError, match="data spec 'hf:': expected a name"):
        opened("hf:")


def test_hub_images_without_labels(hub_folder: Path) -> None:
    """By their spec, and where all are -1, as in published test splits."""
    features = hub.Features({"image": hub.Image(), "caption": hub.Value("string")})
    rows: dict[str, list[Any]] = {"image": [Image.fromarray(pixels) for pixels in PIXELS], "caption": ["a"] * 6}
    write_parquet(hub.Dataset.from_dict(rows, features=features), hub_folder / "captions" / "rows.parquet")
    labelled = hub.Features({"image": hub.Image(), "label": hub.ClassLabel(names=["ant", "bee"])})
    hidden = {"image": rows["image"], "label": [-1] * 6}
    write_parquet(hub.Dataset.from_dict(hidden, features=labelled), hub_folder / "hidden" / "rows.parquet")
    for spec in ("captions?label=none", "hidden", "one?label=none", "plain?image=second&label=none"):
        images = opened(f"hf:{hub_folder}/{spec}")
        assert (images.labels, images.classes, len(images)) == (None, None, 6)
        assert images.fingerprint() != opened(f"hf:{hub_folder}/one").fingerprint()
    assert opened(f"hf:{hub_folder}/one").classes == ("ant", "bee", "cow")
    with pytest.raises(SteepslopeError, match=r"found 0 among .*, or \?label=none for images without labels"):
        opened(f"hf:{hub_folder}/plain?image=second")


def test_shards_of_webdataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "shards").mkdir()
    for number, label in enumerate((b"2", b"0")):
        files = {"a/0.png": png(PIXELS[number]), "a/0.cls": label}
        write_shard(tmp_path / "shards" / f"data-{number:03d}.tar", files)
    images = opened(f"hf:{tmp_path}/shards?label=cls")
    assert np.asarray(images.labels).tolist() == [2, 0]
    np.testing.assert_array_equal(np.asarray(images.image(1)), PIXELS[1])
