"""Small outputs that every test may use: arrays from a known recipe, and a real run on digits."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from scipy.optimize import minimize

from steepslope.cli._main import main
from steepslope.gate._storage import digest_of_gate
from steepslope.numerics import _linear as linear, _small_net as small_net
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs._table_files import Frame

if TYPE_CHECKING:
    from steepslope.nets.export._exporting import Exported

REQUIRED = "STEEPSLOPE_BROWSER"  # set where a missing browser is a failure
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync"]  # fmt: skip

settings.register_profile("steepslope", deadline=None)  # a busy machine is no bug
settings.register_profile("nightly", deadline=None, max_examples=2000)
settings.load_profile("steepslope")
Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[1]
IMPORTED = re.compile(r"^(?:from|import) ([\w.]+)", re.MULTILINE)
OF_NETS = ("steepslope.nets", "steepslope_lab")
FASHION_MNIST = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out files that import what a plain installation lacks, themselves or by other files of tests."""
    return True if collection_path.suffix == ".py" and not has_all_imports(collection_path) else None


def has_all_imports(path: Path, seen: frozenset[Path] = frozenset()) -> bool:
    """Whether all that a file of tests imports at its top is installed, by other files of tests, too."""
    for module in IMPORTED.findall(path.read_text(encoding="utf-8")):
        file = ROOT / f"{module.replace('.', '/')}.py"
        if module.startswith("tests.") and file.exists():
            if file not in seen and not has_all_imports(file, seen | {path}):
                return False
        elif find_spec("torch" if module.startswith(OF_NETS) else module.partition(".")[0]) is None:
            return False
    return True


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what is kept between runs away from the user's own."""
    os.environ["STEEPSLOPE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def require_same_table(found: Frame, expected: Frame) -> None:
    """Raise unless two tables have the same columns, in one order, with the same rows."""
    assert [*found] == [*expected]
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column)


def make_outputs(n: int = 400, num_classes: int = 4, seed: int = 0) -> ClassifierOutputs:
    """Make a classifier that is wrong more often where its first feature is low."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=n)
    features = rng.normal(size=(n, 6)).astype(np.float32)
    logits = rng.normal(size=(n, num_classes)).astype(np.float32)
    logits[np.arange(n), labels] += 2 + 2 * features[:, 0]
    prefix = f"row/{seed}" if seed else "row"  # other rows have other ids
    return ClassifierOutputs(logits, labels, features, np.array([f"{prefix}/{i}" for i in range(n)]))


def make_complete(n: int = 400, num_classes: int = 4, seed: int = 0, prefix: str = "row") -> ClassifierOutputs:
    """Make outputs with every kind of evidence; features of classes lie apart, and the views know a little more."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=n)
    centres = np.random.default_rng(99).normal(size=(num_classes, 8))

    def features(noise: float) -> NDArray[np.float32]:
        return (centres[labels] + noise * rng.normal(size=(n, 8))).astype(np.float32)

    def logits(strength: float) -> NDArray[np.float32]:
        drawn = rng.normal(size=(n, num_classes))
        drawn[np.arange(n), labels] += strength
        return drawn.astype(np.float32)

    own = logits(2)
    passes = np.stack([own + rng.normal(size=own.shape) for _ in range(5)])
    log_p = passes - np.log(np.exp(passes).sum(axis=2, keepdims=True))
    dropout = np.stack([np.log(np.exp(log_p).mean(axis=0)), np.exp(log_p).std(axis=0)], axis=1)
    ids = np.array([f"{prefix}/{seed}/{i}" for i in range(n)])
    views = np.stack([own + logits(1), own + logits(1)], axis=1)
    near, auxiliary = features(1.5), features(1.2)
    return ClassifierOutputs(
        own, labels, near, ids, views=views, dropout=dropout.astype(np.float32), auxiliary=auxiliary
    )


@pytest.fixture
def outputs() -> ClassifierOutputs:
    return make_outputs()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the demo once; tests read its folder and must not write to it."""
    out = tmp_path_factory.mktemp("demo")
    assert main(["demo", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a classifier of the digits that is often wrong, and extract its outputs; tests must not write there."""
    home = tmp_path_factory.mktemp("home")
    classifier = ["--net", "digits-net", "--data", "digits", "--epochs", "6", "--out", str(home / "classifier")]
    assert main(["train-classifier", *classifier]) == 0
    extract = ["--classifier", f"checkpoint:{home / 'classifier'}", "--data", "digits", "--out", str(home / "outputs")]
    assert main(["extract", *extract]) == 0
    return home


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """Write unsigned bytes in the IDX format, gzipped if the name says so."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">i4").tobytes()
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """Write 40 training and 20 test images of 8x8 random pixels with labels 0 to 3."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "idx"
    folder.mkdir()
    for stem, n, suffix in (("train", 40, ""), ("t10k", 20, ".gz")):
        pixels = rng.integers(256, size=(n, 8, 8), dtype=np.uint8)
        write_idx(folder / f"{stem}-images-idx3-ubyte{suffix}", pixels)
        write_idx(folder / f"{stem}-labels-idx1-ubyte{suffix}", (np.arange(n) % 4).astype(np.uint8))
    return folder


def files_below(folder: Path) -> list[Path]:
    """Return the files in a folder and below it, but for locks, which stay where a command was refused."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the files in a folder and below it, but for locks."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files_below(folder))}


def kill_once_there(command: list[str], state: Path) -> None:
    """Run a command, and kill it and its children as soon as the file of its state, which may be a *, is there."""
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True)
    deadline = time.monotonic() + 60
    while not [*state.parent.glob(state.name)] and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert [*state.parent.glob(state.name)]


def made_gates(home: Path, out: Path) -> None:
    """Write fit sets with a second backbone's features, an oracle of each kind, and a gate of each and of scores."""
    shutil.copytree(home / "outputs", out / "outputs")
    backbone = "--classifier module:tests.tiny_nets:ten_classes --image-size 12 --mean 0.5 --std 0.5 --auxiliary"
    fit_set = f"--outputs {out}/outputs/holdout"
    commands = [
        f"extract {backbone} --data digits --out {out}/outputs",
        f"fit --oracle paper --epochs 1 {fit_set} --out {out}/columns-oracle",
        f"fit --budget free {fit_set} --reference {out}/outputs/train --out {out}/free-oracle",
        f"fit --budget auxiliary {fit_set} --reference {out}/outputs/train --out {out}/auxiliary-oracle",
    ]
    for name in ("columns", "free", "auxiliary"):
        commands.append(f"--oracle {out}/{name}-oracle --out {out}/{name}")
    commands.append(f"--oracle mcp --out {out}/mcp")
    commands.append(f"--oracle temperature_scaled_mcp --fit {out}/outputs/holdout --out {out}/temperature")
    commands.append(f"--oracle {out}/free-oracle --groups predicted --max-risk 0.2 --out {out}/predicted")
    for words in commands:
        calibrating = f"calibrate --max-risk 0.1 --outputs {out}/outputs/test " if words.startswith("--") else ""
        assert main(f"{calibrating}{words}".split()) == 0, words


def _hurry(patch: pytest.MonkeyPatch) -> None:
    hasty = {"options": {"maxiter": 15}}
    patch.setattr(linear, "minimize", lambda *given, **named: minimize(*given, **{**named, **hasty}))
    patch.setattr(small_net, "LEAST_STEPS", 30)
    patch.setattr(small_net, "EPOCHS", 1)


@pytest.fixture
def quick_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the small nets and linear maps of fused oracles learn for no time."""
    _hurry(monkeypatch)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write eight small images of each of three classes; tests must not write there."""
    from tests.images import folder_of  # with nets, which tests of arrays do without

    return folder_of(tmp_path_factory.mktemp("images") / "data", 8)


@pytest.fixture(scope="session")
def gates(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write gates of every kind of judge for the classifier of the digits; tests must not write there."""
    out = tmp_path_factory.mktemp("gates")
    with pytest.MonkeyPatch.context() as patch:
        _hurry(patch)
        made_gates(home, out)
    return out


@pytest.fixture(scope="session")
def gate_on_images(gates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a gate of an oracle on images; tests must not write there."""
    home = tmp_path_factory.mktemp("on-images")
    net = "finetune --oracle net:digits-net --oracle-input mean=0.5&std=0.5 --data digits --epochs 1"
    assert main(f"{net} --outputs {gates}/outputs/holdout --out {home}/oracle".split()) == 0
    words = f"calibrate --oracle {home}/oracle --outputs {gates}/outputs/test --out {home}/gate --max-risk 0.5"
    assert main(words.split()) == 0
    return home / "gate"


@pytest.fixture(scope="session")
def opinions(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write outputs with opinions of every kind, and a gate of all and one of nets alone; tests must not write there.

    ``second`` is a net of the same classes, ``twelve`` one of others, ``vendor`` a file of probabilities in another
    order of classes, and ``people`` one of votes; the files lack a fifth of the rows, and have others.
    """
    out = tmp_path_factory.mktemp("opinions")
    shutil.copytree(home / "outputs", out / "outputs")
    (out / "twelve.txt").write_text("\n".join([f"{k}={k}" for k in range(9)] + ["10=0", "11="]), encoding="utf-8")
    own_code = "--opinion twelve=module:tests.tiny_nets:twelve_classes --image-size 12 --mean 0.5 --std 0.5"
    train = f"train-classifier --net digits-net --data digits --epochs 9 --seed 3 --out {out}/second"
    adding = [f"--opinion second=checkpoint:{out}/second", f"{own_code} --opinion-classes twelve={out}/twelve.txt"]
    for words in [train, *(f"extract --data digits --out {out}/outputs {words}" for words in adding)]:
        assert main(words.split()) == 0, words
    write_opinions(out)
    files = f"--opinion people={out}/votes.csv vendor={out}/vendor.csv"
    nets = "logits,opinion_second,opinion_twelve"
    for name, inputs, given in (("nets", nets, ""), ("all", f"{nets},vote_people,opinion_vendor", files)):
        fit = f"fit --oracle paper --epochs 2 --outputs {out}/outputs/holdout --out {out}/{name}-oracle {given}"
        fit += f" --inputs {inputs}"
        judging = f"--outputs {out}/outputs/test --oracle {out}/{name}-oracle --max-risk 0.2 --out {out}/{name} {given}"
        for words in (fit, f"calibrate {judging}"):
            assert main(words.split()) == 0, words
    return out


def write_opinions(out: Path) -> None:
    """Write votes, and probabilities of the classes from the last to the first, of most rows in another order."""
    draw, votes, vendor = np.random.default_rng(0), ["id,vote"], [",".join(["id", *map(str, range(9, -1, -1))])]
    for split in ("holdout", "test"):
        rows = ClassifierOutputs.load(out / "outputs" / split)
        assert rows.ids is not None
        probabilities = np.exp(rows.require("opinion_second"))
        for row in draw.permutation(len(rows))[: len(rows) * 4 // 5]:
            vote = rows.require_labels()[row] if draw.random() < 0.9 else draw.integers(10)
            votes.append(f"{rows.ids[row]},{vote}")
            vendor.append(",".join([str(rows.ids[row]), *(f"{one:.6f}" for one in probabilities[row][::-1])]))
    (out / "votes.csv").write_text("\n".join([*votes, "digits/none,3"]), encoding="utf-8")
    (out / "vendor.csv").write_text("\n".join(vendor), encoding="utf-8")


@pytest.fixture(scope="session")
def exported(gates: Path) -> Callable[[str], Exported]:
    """Return what makes a gate's whole file, from images to decisions, once for each name of a gate."""
    from steepslope.nets.export._exporting import export_gate  # with onnxscript, which few tests need
    from steepslope.nets.predict._image_gate import ImageGate

    @cache
    def whole(kind: str) -> Exported:
        auxiliary = "module:tests.tiny_nets:ten_classes" if kind == "auxiliary" else None
        return export_gate(ImageGate.load(gates / kind, auxiliary=auxiliary), digest=digest_of_gate(gates / kind))

    return whole


@pytest.fixture(scope="session")
def stylizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a stylizer with random weights."""
    from steepslope.nets._seeding import seeded
    from steepslope.nets.classifiers._specs import load_classifier
    from steepslope_lab.shifts.stylizer import Stylizer, planned_decoder
    from steepslope_lab.shifts.stylizer_encoder import encoder_of

    folder = tmp_path_factory.mktemp("stylizer")
    with seeded(0):
        backbone = load_classifier("timm:mobilenetv3_small_100?weights=random")
        Stylizer(encoder_of(backbone, 4), planned_decoder(4, 4)).save(folder)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start Chromium; skip where there is none, unless it is required."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        missing = "these tests need Chromium: apt-get install chromium"
        pytest.fail(missing) if os.environ.get(REQUIRED) else pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        yield found
        found.close()
