"""What an oracle is taught: by a live classifier, or by its outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from steepslope.classifiers.specs import load_classifier
from steepslope.cli import main
from steepslope.finetuning.examples import Steps
from steepslope.oracle.on_images import ImageOracle
from tests.finetuning.trainings import trained, training_of


@pytest.mark.parametrize("loss", ["steep_slope", "true_class_probability"])
def test_a_live_classifier_teaches_what_its_outputs_do(loss: str, home: Path, tmp_path: Path) -> None:
    cached = trained(home, tmp_path / "cached", "--loss", loss)
    assert trained(home, tmp_path / "live", "--loss", loss, live=True) == cached


def test_a_live_classifier_sees_the_rotated_image(home: Path) -> None:
    """A classifier of upright digits errs more on those upside down, and the targets show it."""
    net = f"checkpoint:{home / 'classifier'}"
    right = []
    for rotate in (0.0, 180.0):
        training = training_of(home, outputs=None, classifier=net, rotate=rotate, batch_size=200)
        steps = Steps(len(training.source), 200, 1, 1, 1, 0)
        correct = [training.targets(example)[0] for example in training.source.from_step(0, steps, 0, 0)]
        right.append(float(torch.cat(correct).float().mean()))
    assert right[1] < right[0] - 0.2


def test_the_oracle_may_see_the_classifiers_image_resized_by_nearest(home: Path, tmp_path: Path) -> None:
    net = ("--oracle", "net:digits-net", "--classifier", f"checkpoint:{home / 'classifier'}", "--data", "digits")
    assert main(["finetune", *net, "--between", "nearest", "--oracle-mean", "0.5", "--oracle-std", "0.5",
                 "--out", str(tmp_path)]) == 0  # fmt: skip
    oracle = ImageOracle.load(tmp_path)
    assert oracle.transform == load_classifier(f"checkpoint:{home / 'classifier'}").transform
    images = torch.arange(16.0).view(1, 1, 4, 4)
    enlarged = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        torch.testing.assert_close(oracle.net(images), oracle.net(enlarged))
