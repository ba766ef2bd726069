"""Commands to disturb, on tiny inputs, and the folder of all that they read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image
from sklearn.datasets import load_digits

from benchmarks.faults.process import run
from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from steepslope.score_benchmark import load_frozen_pairs, save_frozen_pairs

CLASSES, FEATURES = 4, 6
PHOTOS = 24
ANSWERS = 200
LISTENS = r" on http://\S+ "
RANDOM_NET = "net:digits-net"


@dataclass(frozen=True)
class Scenario:
    """A command with what it reads and writes, as paths in the folder where it runs.

    Parameters
    ----------
    words
        The command.
    needs
        Files and folders that it reads, and must not change.
    results
        Files and folders that it writes. They are compared byte by byte, and states of a monitor by their contents.
    earlier
        Commands that ran before it, and left an earlier result in the place of the new one.
    sealed
        Those of its needs that have digests of all that they hold: no changed bit may change what is decided.
    code
        Its exit code when it is not disturbed.
    until
        What a server says when it is ready. It is then told to stop.
    """

    words: str
    needs: tuple[str, ...]
    results: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()
    code: int = 0
    until: str = ""


GATE_TO_SIGN = "calibrate --oracle mcp --outputs count.csv --max-risk 0.2 --out signed-gate"
FIT = "fit --outputs learn.csv --out fused-oracle"
PAPER = "fit --oracle paper --outputs learn.csv --out paper-oracle --epochs"
CALIBRATE = "calibrate --oracle oracle --outputs count.csv --max-risk 0.1 --out new-gate --replace"
PREDICT = "predict --gate gate --outputs new --out"
CHUNKS = "--data images:photos --batch-size 4 --shard-rows 8 --verify --out"
OF_IMAGES = f"predict --gate image-gate --backend torch {CHUNKS}"
FINETUNE = (
    f"finetune --oracle {RANDOM_NET} --oracle-input mean=0.5&std=0.5 --data digits --outputs seen/holdout "
    "--epochs 1 --batch-size 128 --out tuned"
)
CORRUPT = "shift corrupt --data idx:scans:test --kind fog --severity"
IMPORT = "import jsonl answers.jsonl --mapping mapping.json --out answers.csv"
SCENARIOS: dict[str, Scenario] = {
    "fit": Scenario(FIT, ("learn.csv",), ("fused-oracle",)),
    "fit --replace": Scenario(
        f"{PAPER} 2 --replace", ("learn.csv",), ("paper-oracle",), (f"{PAPER} 1",)
    ),
    "evaluate": Scenario(
        "evaluate --outputs count.csv --scores oracle,margin --bootstrap 50 --out report --replace",
        ("count.csv", "oracle"),
        ("report",),
        ("evaluate --outputs count.csv --scores margin --bootstrap 50 --out report",),
        ("oracle",),
    ),
    "compare": Scenario(
        "compare report-a report-b --bootstrap 50 --out compared --replace",
        ("report-a", "report-b"),
        ("compared",),
        ("compare report-b report-a --bootstrap 50 --out compared",),
    ),
    "calibrate": Scenario(
        CALIBRATE,
        ("oracle", "count.csv"),
        ("new-gate",),
        ("calibrate --oracle mcp --outputs count.csv --max-risk 0.2 --out new-gate",),
        ("oracle",),
    ),
    "predict arrays": Scenario(
        f"{PREDICT} decided.csv --replace",
        ("gate", "new"),
        ("decided.csv", "decided.csv.json"),
        ("predict --gate gate --outputs day0.in.csv --out decided.csv",),
        ("gate",),
    ),
    "predict CSV": Scenario(
        "predict --gate gate --outputs new.csv --out decided.csv",
        ("gate", "new.csv"),
        ("decided.csv", "decided.csv.json"),
        (),
        ("gate",),
    ),
    "predict Parquet --audit --reviews": Scenario(
        "predict --gate gate --outputs new.parquet --audit 50 --reviews 20 --out decided.parquet --replace",
        ("gate", "new.parquet"),
        ("decided.parquet", "decided.parquet.json"),
        (f"{PREDICT} decided.parquet",),
        ("gate",),
    ),
    "predict --follow": Scenario(
        "predict --gate gate --outputs new --audit 50 --follow followed.sqlite --out decided.csv",
        ("gate", "new", "followed.sqlite"),
        ("decided.csv", "decided.csv.json"),
        (),
        ("gate",),
    ),
    "predict images": Scenario(
        f"{OF_IMAGES} decided.csv",
        ("image-gate", "net", "photos"),
        ("decided.csv", "decided.csv.json"),
        (),
        ("image-gate", "net"),
    ),
    "predict images --replace": Scenario(
        f"{OF_IMAGES} decided.parquet --when-changed warn --replace",
        ("image-gate", "net", "photos"),
        ("decided.parquet", "decided.parquet.json"),
        (f"{OF_IMAGES} decided.parquet",),
        ("image-gate", "net"),
    ),
    "monitor": Scenario(
        "monitor --gate gate --predictions day1.csv --state state.sqlite",
        ("gate", "day1.csv"),
        ("state.sqlite",),
        ("monitor --gate gate --predictions day0.csv --state state.sqlite",),
        ("gate",),
    ),
    "monitor --labels": Scenario(
        "monitor --gate gate --predictions day0.csv --labels labels.csv --state state.sqlite",
        ("gate", "day0.csv", "labels.csv"),
        ("state.sqlite",),
        (),
        ("gate",),
    ),
    "export": Scenario("export --gate image-gate --out gate.onnx", ("image-gate", "net"), ("gate.onnx",), (),
                       ("image-gate", "net")),
    "show": Scenario("show gate --json", ("gate",), (), (), ("gate",)),
    "stop": Scenario("stop gate --reason joins", ("gate",), ("gate.stopped",), (), ("gate",)),
    "sign": Scenario("sign signed-gate --key key.pem", ("key.pem",), ("signed-gate",), (GATE_TO_SIGN,)),
    "import": Scenario(IMPORT, ("answers.jsonl", "mapping.json"), ("answers.csv",)),
    "extract": Scenario(
        f"extract --classifier checkpoint:net {CHUNKS} extracted",
        ("net", "photos"),
        ("extracted",),
    ),
    "train-classifier": Scenario(
        "train-classifier --net digits-net --data digits --epochs 2 --out trained", (), ("trained",)
    ),
    "finetune": Scenario(FINETUNE, ("seen",), ("tuned",)),
    "shift corrupt": Scenario(f"{CORRUPT} 2 --out foggy", ("scans",), ("foggy",)),
    "adapt": Scenario(
        "adapt --gate gate --outputs new.csv --out adapted", ("gate", "new.csv"), ("adapted",), (), ("gate",)
    ),
    "benchmark": Scenario(
        "benchmark margin --frozen frozen.safetensors --out judged",
        ("frozen.safetensors",),
        ("judged",),
        (),
        ("frozen.safetensors",),
    ),
    "push": Scenario("push --gate gate --out shared --replace", ("gate",), ("shared",), (), ("gate",)),
    "reproduce --dry-run": Scenario("reproduce table1 --preset digits --dry-run --out tables", (), ()),
    "serve": Scenario(
        "serve --gate gate --port 0 --monitor state.sqlite --decisions decisions.csv",
        ("gate",),
        (),
        (),
        ("gate",),
        until=LISTENS,
    ),
    "demo": Scenario("demo --out demo", (), ("demo",)),
}  # fmt: skip
HOME = (
    "fit --outputs learn.csv --out oracle",
    "calibrate --oracle oracle --outputs count.csv --max-risk 0.1 --out gate",
    "predict --gate gate --outputs day0.in.csv --audit 60 --out day0.csv",
    "predict --gate gate --outputs day1.in.csv --out day1.csv",
    "evaluate --outputs count.csv --scores margin --bootstrap 50 --out report-a",
    "evaluate --outputs count.csv --scores entropy --bootstrap 50 --out report-b",
    "train-classifier --net digits-net --data digits --epochs 4 --out net",
    "extract --classifier checkpoint:net --data digits --out seen",
    "calibrate --outputs seen/test --max-risk 0.2 --out image-gate",
    "predict --gate gate --outputs day0.in.csv --audit 60 --out followed.csv",
    "monitor --gate gate --predictions followed.csv --labels labels.csv --follow --state followed.sqlite",
)


def make_home(home: Path) -> None:
    """Write all that the commands read, unless it is there."""
    if (home / "complete").exists():
        return
    home.mkdir(parents=True)
    sizes = {"learn": 400, "count": 1_500, "new": 500, "day0.in": 500, "day1.in": 500}
    for seed, (name, size) in enumerate(sizes.items()):
        made_outputs(size, seed).save(home / f"{name}.csv")
    made_outputs(sizes["new"], 2).save(home / "new")
    made_outputs(sizes["new"], 2).save(home / "new.parquet")
    labels = made_outputs(sizes["day0.in"], 3)
    assert labels.ids is not None
    lines = [f"{name},{label}" for name, label in zip(labels.ids, labels.require_labels(), strict=True)]
    (home / "labels.csv").write_text("\n".join(["id,label", *lines, ""]), encoding="utf-8")
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    as_pem = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    (home / "key.pem").write_bytes(key.private_bytes(*as_pem))
    _write_photos(home / "photos")
    _write_scans(home / "scans")
    _write_answers(home)
    save_frozen_pairs(load_frozen_pairs()[:1], home / "frozen.safetensors")
    for command in HOME:
        ending = run(command.split(), home)
        if ending.code not in (0, 4):
            raise SteepslopeError(f"{command}: exit code {ending.code}: {ending.said}")
    (home / "complete").touch()


def made_outputs(n: int, seed: int) -> ClassifierOutputs:
    """Make outputs of a classifier that is wrong more often where its first feature is low."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(CLASSES, size=n)
    features = draw.normal(size=(n, FEATURES)).astype(np.float32)
    logits = draw.normal(size=(n, CLASSES)).astype(np.float32)
    logits[np.arange(n), labels] += 2 + 2 * features[:, 0]
    return ClassifierOutputs(logits, labels, features, np.array([f"row/{seed}/{row}" for row in range(n)]))


def _write_photos(folder: Path) -> None:
    folder.mkdir()
    for row, pixels in enumerate(load_digits().images[-PHOTOS:]):
        Image.fromarray((pixels * 15.9).astype(np.uint8)).save(folder / f"{row:02d}.png")


def _write_scans(folder: Path) -> None:
    """Write the same images in the files of MNIST."""
    digits = load_digits()
    folder.mkdir()
    for stem in ("train", "t10k"):
        pixels, labels = (digits.images[-PHOTOS:] * 15.9).astype(np.uint8), digits.target[-PHOTOS:].astype(np.uint8)
        for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">i4").tobytes()
            (folder / f"{stem}-{kind}-ubyte").write_bytes(header + array.tobytes())


def _write_answers(home: Path) -> None:
    draw = np.random.default_rng(5)
    answers = [
        {"name": f"q{row}", "text": "yes", "truth": "yes" if draw.random() < 0.8 else "no", "sure": draw.random()}
        for row in range(ANSWERS)
    ]
    lines = [json.dumps(answer) for answer in answers]
    (home / "answers.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    fields = {"id": "name", "answer": "text", "truth": "truth", "signals": {"sure": "sure"}}
    (home / "mapping.json").write_text(json.dumps(fields), encoding="utf-8")
