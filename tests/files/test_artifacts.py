"""Each kind of artifact keeps one contract: complete, of other making, replaced, killed, locked and damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from steepslope.cli._main import main
from steepslope.files._folders import LOCK, locked
from steepslope.nets.training._loop import HISTORY
from steepslope.numerics import _small_net as small_net
from tests.conftest import contents as all_contents, make_outputs, write_idx

Change = Callable[[Path], None]  # other contents of the inputs, under the same names


def _change(path: Path, after: bytes = b"") -> None:
    """Change one bit of a file, after some bytes or near its end, and give it the times that it had."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[content.index(after) + len(after) if after else -44] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _changed(name: str, after: bytes = b"") -> Change:
    return lambda inputs: _change(inputs / name, after)


def _replaced_image(inputs: Path) -> None:
    """Put another file in the place of an image, with its size and times."""
    path = inputs / "photos" / "ant" / "0.bmp"
    other = Path(shutil.copy2(path, path.with_suffix(".tmp")))
    _change(other)
    other.replace(path)


OTHER_IMAGE = _changed("photos/ant/0.bmp")


def _swapped_folders(inputs: Path) -> None:
    for old, new in (("ant", "x"), ("bee", "ant"), ("x", "bee")):
        (inputs / "photos" / old).rename(inputs / "photos" / new)


@dataclass(frozen=True)
class Kind:
    """A command that makes an artifact of {i}, the inputs, in {o}; an option with another value; and its card there."""

    card: str
    other: str
    command: str
    changes: tuple[Change, ...] = (_changed("outputs/logits.npy"),)
    inside: str = ""  # where in {o} the artifact is

    @property
    def replaces(self) -> bool:
        """Whether the command can be told to replace another artifact; else its folder has to be deleted."""
        return self.command.split()[0] not in ("extract", "shift")

    def words(self, inputs: Path, out: Path, *options: str) -> list[str]:
        return [*self.command.format(i=inputs, o=out).split(), *options]


PHOTOS = (_swapped_folders, OTHER_IMAGE)
PREDICT, TINY = "predict --gate {i}/gate --out {o}/p.csv", "module:tests.tiny_nets:tiny"
KINDS: dict[str, Kind] = {
    "oracle": Kind("oracle.json", "--seed 1", "fit --oracle paper --outputs {i}/outputs --epochs 1 --out {o}"),
    "fused": Kind("oracle.json", "--seed 1", "fit --budget free --outputs {i}/outputs --out {o}"),
    "gate": Kind("gate.json", "--delta 0.1", "calibrate --outputs {i}/outputs --max-risk 0.3 --out {o}"),
    "report": Kind("made.json", "--bootstrap 10", "evaluate --outputs {i}/outputs --bootstrap 0 --out {o}"),
    "comparison": Kind(
        "compare.json", "--bootstrap 10", "compare {i}/reports/a {i}/reports/b --out {o}",
        (_changed("reports/b/metrics.json", b'"value": 0.'),),
    ),
    "outputs": Kind(
        "manifest.json", "--features float16",
        f"extract --classifier {TINY} --data imagefolder:{{i}}/photos --shard-rows 5 --batch-size 5 --out {{o}}",
        (*PHOTOS, _replaced_image),
    ),
    "classifier": Kind(
        "classifier.json", "--seed 1",
        "train-classifier --net digits-net --data idx:{i}/idx --epochs 2 --holdout 8 --out {o}",
        (_changed("idx/train-images-idx3-ubyte"),),
    ),
    "shifted images": Kind(
        "shift.json", "--seed 1",
        "shift corrupt --kind fog --severity 3 --data imagefolder:{i}/photos --workers 0 --out {o}", PHOTOS, "fog/3",
    ),
    "stylizer": Kind(
        "stylizer.json", "--seed 1",
        "shift train-stylizer --backbone timm:mobilenetv3_small_100?weights=random --content imagefolder:{i}/photos "
        "--crop 16 --styles imagefolder:{i}/photos --steps 3 --batch-size 2 --reduction 4 --width 4 "
        "--out {o}",
        PHOTOS,
    ),
    "predictions of outputs": Kind("p.csv.json", "--top 2", f"{PREDICT} --outputs {{i}}/outputs"),
    "predictions of images": Kind(
        "p.csv.json", "--top 2",
        f"predict --gate {{i}}/gate-of-images --classifier {TINY} --data images:{{i}}/photos --out {{o}}/p.csv "
        "--shard-rows 5 --batch-size 5",
        PHOTOS,
    ),
    "finetuned": Kind(
        "oracle.json", "--seed 1",
        "finetune --oracle checkpoint:{i}/home/classifier --data digits --outputs {i}/home/outputs/train "
        "--epochs 1 --save-every 5 --batch-size 100 --out {o}",
        (_changed("home/outputs/train/logits.npy"),),
    ),
}  # fmt: skip
NAMES = pytest.mark.parametrize("name", KINDS)


@pytest.fixture(autouse=True)
def _short_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the small nets of fused oracles learn for no time."""
    monkeypatch.setattr(small_net, "LEAST_STEPS", 30)
    monkeypatch.setattr(small_net, "EPOCHS", 1)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """Write what the commands read."""
    folder, rng = tmp_path_factory.mktemp("material"), np.random.default_rng(0)
    shutil.copytree(home, folder / "home")
    make_outputs(240).save(folder / "outputs")
    for name, seed in (("a", 1), ("b", 2)):
        make_outputs(100, seed=seed).save(folder / f"{name}.npz")
        assert main(f"evaluate --outputs {folder}/{name}.npz --bootstrap 0 --out {folder}/reports/{name}".split()) == 0
    assert main(f"calibrate --outputs {folder}/a.npz --max-risk 0.4 --out {folder}/gate".split()) == 0
    for name in ("ant", "bee", "cow"):
        (folder / "photos" / name).mkdir(parents=True)
        for index in range(4):
            pixels = rng.integers(256, size=(16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{index}.bmp")
    words = f"extract --classifier {TINY} --data imagefolder:{folder}/photos --out {folder}/of-photos"
    assert main(words.split()) == 0
    words = f"calibrate --outputs {folder}/of-photos --max-risk 0.9 --out {folder}/gate-of-images"
    assert main(words.split()) == 0
    (folder / "idx").mkdir()
    for stem, n in (("train", 40), ("t10k", 20)):
        write_idx(folder / "idx" / f"{stem}-images-idx3-ubyte", rng.integers(256, size=(n, 8, 8), dtype=np.uint8))
        write_idx(folder / "idx" / f"{stem}-labels-idx1-ubyte", (np.arange(n) % 4).astype(np.uint8))
    return folder


@pytest.fixture
def inputs(material: Path, tmp_path: Path) -> Path:
    """Return a copy of what the commands read, which may be changed."""
    return Path(shutil.copytree(material, tmp_path / "inputs"))


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of an artifact's files; a training's speeds are not of it."""
    return {name: content for name, content in all_contents(folder).items() if Path(name).name != HISTORY}


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which a command is refused."""
    capsys.readouterr()
    assert main(words) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("steepslope: error: ")]
    return error


@NAMES
def test_the_same_is_complete_and_another_is_refused_or_replaced(
    name: str, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs lock each other out, and a damaged card is one line."""
    kind, home = KINDS[name], tmp_path / "out"
    first, other = (kind.words(inputs, home, *options) for options in ((), kind.other.split()))
    out = home / kind.inside
    with locked(out, ".p.csv.lock" if kind.card == "p.csv.json" else LOCK):
        assert "another run works here" in refused(first, capsys)
    assert contents(out) == {}
    assert main(first) == 0
    (out / "mine.txt").write_text("of the user")
    before = contents(out)
    capsys.readouterr()
    assert main(first) == 0
    assert ": already complete" in capsys.readouterr().err
    error, option = refused(other, capsys), kind.other.split()[0].removeprefix("--").replace("-", "_")
    assert (" already, with " in error, option in error) == (True, True)
    assert "--replace" in error if kind.replaces else "delete" in error
    assert contents(out) == before
    if kind.replaces:
        (out / kind.card).unlink()
        assert main([*other, "--replace"]) == 0
        assert contents(out) != before
        assert (out / "mine.txt").read_text() == "of the user"
    (out / kind.card).write_bytes((out / kind.card).read_bytes()[:-20])
    assert str(out / kind.card) in refused(other, capsys)


@pytest.mark.parametrize(
    ("name", "file"), [("report", "report.html"), ("comparison", "compare.md"), ("predictions of outputs", "p.csv")]
)
def test_files_of_unknown_making_are_kept(
    name: str, file: str, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, out = KINDS[name], tmp_path / "out"
    out.mkdir()
    (out / file).write_text("of the user")
    error = refused(kind.words(inputs, out), capsys)
    assert " already, made in a way that is not known: choose another " in error
    assert (out / file).read_text() == "of the user"
    assert main(kind.words(inputs, out, "--replace")) == 0


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, kind in KINDS.items() for number in range(len(kind.changes))]
)
def test_other_contents_under_the_same_names_sizes_and_times_are_noticed(
    name: str, number: int, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, out = KINDS[name], tmp_path / "out"
    assert main(kind.words(inputs, out)) == 0
    before = contents(out)
    kind.changes[number](inputs)
    assert " already, with other " in refused(kind.words(inputs, out), capsys)
    assert contents(out) == before


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "fused" else ()) for name in KINDS]
)
def test_a_run_that_is_stopped_anywhere_goes_on_to_the_same_bytes(
    name: str, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first, the last, or one in between of all moves of files into their places fails."""
    kind, moves, real = KINDS[name], 0, Path.replace
    stop: int | None = None

    def counted(path: Path, target: Path) -> Path:
        nonlocal moves
        moves += 1
        if moves == stop:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "replace", counted)
    assert main(kind.words(inputs, tmp_path / "out")) == 0
    whole, count = contents(tmp_path / "out"), moves
    assert count > 0
    for stop in sorted({1, max(1, count // 2), count}):
        shutil.rmtree(tmp_path / "out")
        moves = 0
        assert main(kind.words(inputs, tmp_path / "out")) == 130
        assert main(kind.words(inputs, tmp_path / "out")) == 0
        assert contents(tmp_path / "out") == whole, stop


def test_a_copy_of_images_counts_as_the_same_where_contents_are_verified(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS["outputs"]
    shutil.copytree(inputs / "photos", tmp_path / "copy" / "photos")
    for options, code in (((), 2), (("--verify",), 0)):
        out = tmp_path / f"out{code}"
        assert main(kind.words(inputs, out, *options)) == 0
        assert main(kind.words(tmp_path / "copy", out, *options)) == code
        assert ("already complete" in capsys.readouterr().err) == (code == 0)
    OTHER_IMAGE(tmp_path / "copy")
    assert "with other fingerprint" in refused(kind.words(tmp_path / "copy", tmp_path / "out0", "--verify"), capsys)
