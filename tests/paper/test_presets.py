"""Presets: the numbers of the paper, and how they are given."""

from __future__ import annotations

import re

import pytest

from steepslope.cli.main import main
from steepslope.finetuning.request import FinetuneRequest
from steepslope.paper import preset as presets

PRESETS = sorted(path.stem for path in presets.TRAININGS.glob("*.yaml"))


def test_presets_have_the_papers_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """Print each preset as the parser understands it, and compare with the paper's numbers."""
    seen = {}
    for name in PRESETS:
        command = "train-classifier" if name.endswith("-classifier") else "finetune"
        needed = {"finetune": ["--oracle", "a", "--classifier", "b"], "train-classifier": ["--data", "c"]}[command]
        needed = [] if name.startswith("imagenet") else needed
        assert main([command, "--preset", name, *needed, "--data", "c", "--out", "o", "--print-config"]) == 0
        seen[name] = capsys.readouterr().out
    for oracle, classifier in (("vit", "vit"), ("vit", "resnet"), ("resnet", "vit"), ("resnet", "resnet")):
        printed = seen[f"imagenet-{oracle}-{classifier}"]
        alphas = {"vit": (1.0, 3.0), "resnet": (2.0, 5.0)}[oracle]
        sizes = {"vit": 384, "resnet": 224}
        expected = {
            "alpha_pos": alphas[0], "alpha_neg": alphas[1], "batch_size": 40, "epochs": 1, "warmup_steps": 100,
            "learning_rate": "1.0e-05", "weight_decay": 0.0, "momentum": 0.05, "oracle_size": sizes[oracle],
            "classifier_size": sizes[classifier], "oracle_resize": "squash",
            "oracle_sees": "image" if oracle == classifier else "nearest", "schedule": "one_cycle", "flip": "true",
        }  # fmt: skip
        for key, value in expected.items():
            assert re.search(rf"^{key.replace('_', '[-_]')}: {re.escape(str(value))}$", printed, re.M), (key, printed)
        assert re.search(r"^oracle[-_]mean:\n- 0\.5$", printed, re.M)
    assert "alpha_pos: 10" in seen["mnist"]
    assert "learning_rate: 9.0e-07" in seen["cifar10"]
    assert "rotate: 15" in seen["cifar10-classifier"]


def test_fashion_mnist_shortens_mnist() -> None:
    """Apart from epochs, their rates and frozen dropout, all is the same."""
    long, short = presets.training_settings("mnist"), presets.training_settings("fashion-mnist")
    differing = [
        {key for key in {*one, *other} if one.get(key) != other.get(key)}
        for one, other in zip(long.pop("stages"), short.pop("stages"), strict=True)
    ]
    assert differing == [{"epochs", "frozen_dropout"}, {"epochs", "learning_rate"}, {"epochs", "learning_rate"}]
    assert long == short


def test_each_pair_has_the_slopes_of_its_classifier() -> None:
    for classifier, slopes in {"net": (0.5, 3), "lite0": (0.5, 1.5)}.items():
        for oracle in ("net", "lite0"):
            settings = presets.training_settings(f"fashion-mnist-{oracle}-{classifier}")
            assert (settings["alpha_pos"], settings["alpha_neg"]) == slopes


def test_what_is_given_beside_a_preset_comes_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetune", "--loss", "focal", "--preset", "mnist", "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert "loss: focal" in printed
    assert "alpha_pos: 10" in printed
    assert main(["finetune", "--preset", "mnits"]) == 2
    assert "did you mean 'mnist'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train-classifier", "finetune", "plan"])
def test_presets_stand_in_the_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = "".join(capsys.readouterr().out.split())
    usual = presets.trainings_of(
        set(presets.training_settings("mnist-classifier" if command == "train-classifier" else "mnist"))
    )
    assert "--presetPRESET" in shown
    assert all(name in shown for name in usual)


def test_a_plan_takes_the_number_of_images_from_its_preset(capsys: pytest.CaptureFixture[str]) -> None:
    net = ["--oracle", "net:digits-net", "--oracle-mean", "0.5", "--oracle-std", "0.5", "--outputs", "none"]
    words = ["plan", "--preset", "mnist", "--valid", "none", *net]
    assert main(words) == 0
    steps = -(-54_000 // 128)
    assert f"images: {100 * 54_000:,} in {100 * steps:,} steps of 128" in capsys.readouterr().err  # the last stage
    assert main([*words, "--images", "128"]) == 0
    assert "images: 12,800 in 100 steps of 128" in capsys.readouterr().err


def test_every_preset_knows_its_images() -> None:
    names = [name for name in presets.trainings_of(FinetuneRequest.__dataclass_fields__) if "classifier" not in name]
    assert names
    assert all((presets.training_images(name) or 0) >= 45_000 for name in names)
