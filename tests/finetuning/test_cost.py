"""What a training will cost: counted, and tried on noise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from steepslope.cli.main import main


@pytest.mark.parametrize(
    ("oracle", "size", "features", "millions"),
    [("timm:vit_tiny_patch16_224", 224, 192, 5.7), ("torchvision:resnet18?weights=IMAGENET1K_V1", 224, 512, 11.7)],
)
def test_a_plan_takes_a_real_step(
    oracle: str, size: int, features: int, millions: float, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--oracle", oracle, "--outputs", "none", "--images", "1281167", "--epochs", "1", "--trial", "1"]
    assert main(["plan", *given, "--optimizer", "sgd"]) == 0
    shown = capsys.readouterr().err
    assert f"images 3 × {size} × {size}, {features:,} features, {millions} M parameters" in shown
    assert "1,281,167 in 32,030 steps of 40" in shown
    assert re.search(r"memory of a process: [\d.]+ GB with 40 images at once", shown)
    assert re.search(r"time: [\d,.]+ hours at [\d.]+ images/s", shown)


def test_a_plan_counts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = f"checkpoint:{home / 'classifier'}"
    given = ["--oracle", net, "--classifier", net, "--data", "digits", "--epochs", "3", "--accumulate", "2"]
    assert main(["plan", *given]) == 0
    shown = capsys.readouterr().err
    conv, dense, head, last = 16 * 10, 32 * 257, 33, 330
    assert f"{conv + dense + head + last:,} parameters, {conv + dense + head:,} of them trained" in shown
    assert f"classifier: {conv + dense + last:,} parameters, run live" in shown
    assert "images: 1,500 in 39 steps of 40" in shown
    assert "with 20 images at once" in shown
    assert main(["plan", *given[:4]]) == 2
    assert "expected the number of images (--images) or the data (--data)" in capsys.readouterr().err
