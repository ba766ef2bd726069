"""Arrays need none of the libraries for images, figures and charts: commands run where these are not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from steepslope.outputs import ClassifierOutputs

BLOCKED = ["PIL", "timm", "torchvision", "lightning_fabric", "matplotlib", "onnxruntime"]
PROGRAM = f"""import sys
for name in {BLOCKED}:
    sys.modules[name] = None

class NoTorch:  # None in its place would be taken for the library by those who look for tensors
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name=name)

sys.meta_path.insert(0, NoTorch())
from steepslope.cli._main import main
from steepslope.numerics import _small_net as small_net
small_net.LEAST_STEPS, small_net.EPOCHS = 30, 1
codes = [main(words.split()) for words in sys.argv[1:]]
print(codes)
"""


def test_the_array_path_needs_no_extra(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(5, size=1_500)
    features = draw.normal(size=(1_500, 8)) + 2 * np.eye(5, 8)[labels]
    outputs = ClassifierOutputs(features[:, :5] * 1.5, labels, features)
    for name, start in (("learn", 0), ("count", 500), ("new", 1_000)):
        outputs.subset(slice(start, start + 500)).save(tmp_path / f"{name}.npz")
    commands = [
        "fit --outputs learn.npz --out oracle",
        "evaluate --outputs new.npz --scores mcp,margin,oracle --bootstrap 20 --out report",
        "calibrate --oracle oracle --outputs count.npz --max-risk 0.15 --out gate",
        "predict --gate gate --outputs new.npz --out decisions.csv",
        "monitor --gate gate --predictions decisions.csv --state watch.sqlite",
        "extract --classifier timm:resnet18 --data digits --out images",
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *commands], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert done.stdout.splitlines()[-1:] == ["[0, 0, 0, 0, 0, 2]"], done.stderr
    told = [line for line in done.stderr.splitlines() if "error:" in line]
    assert [line.split("pip install")[1] for line in told] == [" 'steepslope[nets]'"]
