"""The losses against their formulas, what a training learns, and that an interruption changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as pictures

from steepslope.errors import SteepslopeError
from steepslope.files._folders import LOCK
from steepslope.nets.classifiers._classifier import Classifier
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._images import Dataset
from steepslope.nets.data._specs import parse_data
from steepslope_lab.shifts import stylizer_training
from steepslope_lab.shifts.options import StylizerTraining
from steepslope_lab.shifts.stylization import stylized
from steepslope_lab.shifts.stylizer import CARD, STATE, Stylizer, planned_decoder
from steepslope_lab.shifts.stylizer_encoder import encoder_of
from steepslope_lab.shifts.stylizer_training import stylizer_losses, train_stylizer

SHORT = StylizerTraining(steps=6, batch_size=2, crop=16, reduction=4, width=2, seed=3)


class Material(NamedTuple):
    """What a stylizer is trained on: a backbone, images and styles."""

    backbone: Classifier
    content: Dataset
    styles: Dataset


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Return a small grey image, a large one in colour and a long one; two styles; and a small net."""
    folders = [tmp_path_factory.mktemp(name) for name in ("content", "styles")]
    for folder, name, size in (
        (folders[0], "brick", (12, 12)), (folders[0], "astronaut", (64, 64)), (folders[0], "coffee", (90, 18)),
        (folders[1], "grass", (40, 40)), (folders[1], "gravel", (40, 40)),
    ):  # fmt: skip
        Image.fromarray(getattr(pictures, name)()).resize(size).save(folder / f"{name}.png")
    images, styles = (parse_data(f"images:{folder}").open() for folder in folders)
    return Material(load_classifier("timm:mobilenetv3_small_100?weights=random"), images, styles)


@pytest.fixture(scope="module")
def whole(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Stylizer:
    """Return a stylizer of a short training."""
    return train_stylizer(*material, tmp_path_factory.mktemp("whole"), SHORT)


def test_losses_are_equations_12_and_13(material: Material) -> None:
    stylizer = Stylizer(encoder_of(material.backbone, 4), planned_decoder(4, 2))
    content, style = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    found = {name: float(loss.detach()) for name, loss in stylizer_losses(stylizer, content, style).items()}

    with torch.no_grad():
        maps, wanted = stylizer.encode(content)[-1].numpy(), [one.numpy() for one in stylizer.encode(style)]
        target = np.zeros_like(maps)
        for index in np.ndindex(*maps.shape[:2]):
            x, y = maps[index], wanted[-1][index]
            target[index] = np.sqrt(y.var() + 1e-5) * (x - x.mean()) / np.sqrt(x.var() + 1e-5) + y.mean()
        output = [one.numpy() for one in stylizer.encode(stylizer.decode(torch.from_numpy(target)))]
        rebuilt = stylizer.decode(torch.from_numpy(maps))
    of_style = 0.0
    for ours, theirs in zip(output, wanted, strict=True):
        means = [one.mean((2, 3)) for one in (ours, theirs)]
        deviations = [np.sqrt(one.var((2, 3)) + 1e-5) for one in (ours, theirs)]
        differences = sum(((one - other) ** 2).mean() for one, other in (means, deviations))
        of_style += differences / (theirs**2).mean()
    assert found["content"] == pytest.approx(((output[-1] - target) ** 2).mean() / (wanted[-1] ** 2).mean(), 1e-3)
    assert found["style"] == pytest.approx(of_style, 1e-3)
    assert found["reconstruction"] == pytest.approx(float(((rebuilt - content) ** 2).mean()), 1e-3)


def test_training_learns_to_reconstruct_and_to_take_on_a_style(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stylizer_training, "LEARNING_RATE", 0.01)  # for so few steps
    options = replace(SHORT, steps=150, batch_size=4, crop=32, reduction=2, width=8)
    learned = train_stylizer(*material, tmp_path / "learned", options)
    fresh = train_stylizer(*material, tmp_path / "fresh", replace(options, steps=1))
    picture = torch.from_numpy(pictures.chelsea()[100:164, 100:164] / 255).float().permute(2, 0, 1)[None]
    style = torch.from_numpy(pictures.grass()[:64, :64] / 255).float().expand(1, 3, -1, -1)
    errors, losses = [], []
    for one in (learned, fresh):
        errors.append(float((stylized(one, picture, style, alpha=0) - picture).square().mean()))
        losses.append(float(stylizer_losses(one, picture, style)["style"].detach()))
    assert errors[0] < errors[1] / 4
    assert losses[0] < losses[1] / 2


class _KilledError(Exception):
    pass


def test_a_killed_training_resumes_to_the_same_weights(
    material: Material, whole: Stylizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another training is refused there; once complete, nothing is done again."""
    losses, calls = stylizer_losses, []
    monkeypatch.setattr(stylizer_training, "SAVE_EVERY", 2)

    def killed(*given: object) -> object:
        calls.append(1)
        if len(calls) == 6:
            raise _KilledError
        return losses(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(stylizer_training, "stylizer_losses", killed)
    with pytest.raises(_KilledError):
        train_stylizer(*material, tmp_path, SHORT)
    assert torch.load(tmp_path / STATE, weights_only=True)["about"]["steps"] == 4
    assert not (tmp_path / CARD).exists()
    with pytest.raises(SteepslopeError, match=r"holds a stylizer, unfinished, with seed 3, not 4: "):
        train_stylizer(*material, tmp_path, replace(SHORT, seed=4))
    calls.clear()
    resumed = train_stylizer(*material, tmp_path, SHORT)
    assert len(calls) == 2
    assert resumed.digest == whole.digest == Stylizer.load(tmp_path).digest
    assert resumed.training_facts == whole.training_facts
    assert not (tmp_path / STATE).exists()
    told: list[str] = []
    assert train_stylizer(*material, tmp_path, SHORT, told.append).digest == whole.digest
    assert told == [f"{tmp_path}: already complete"]


def test_a_damaged_state_is_not_taken_up(material: Material, whole: Stylizer, tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(b"no tensors")
    assert train_stylizer(*material, tmp_path, SHORT).digest == whole.digest


def test_a_style_smaller_than_the_crop_is_refused_at_once(material: Material, tmp_path: Path) -> None:
    (tmp_path / "styles").mkdir()
    Image.new("RGB", (40, 15)).save(tmp_path / "styles" / "thin.png")
    styles = parse_data(f"images:{tmp_path / 'styles'}").open()
    message = "styles: thin.png: expected a style of at least 16×16 pixels, the crop, found 40×15"
    with pytest.raises(SteepslopeError, match=message):
        train_stylizer(material.backbone, material.content, styles, tmp_path / "out", SHORT)
    assert {path.name for path in (tmp_path / "out").rglob("*")} <= {LOCK}


def test_an_unreadable_image_and_an_array_are_named(material: Material, tmp_path: Path) -> None:
    for name in ("files", "arrays"):
        (tmp_path / name).mkdir()
    (tmp_path / "files" / "torn.png").write_bytes(b"\x89PNG")
    np.save(tmp_path / "arrays" / "deep.npy", np.zeros((20, 20, 6)))
    files = [parse_data(f"images:{tmp_path / name}").open() for name in ("files", "arrays")]
    with pytest.raises(SteepslopeError, match=r"content: torn\.png: cannot be read"):
        train_stylizer(*material._replace(content=files[0]), tmp_path / "out", SHORT)
    with pytest.raises(SteepslopeError, match=r"content: deep\.npy: cannot be read .*expected an image in grey or in"):
        train_stylizer(*material._replace(content=files[1]), tmp_path / "out", SHORT)


def test_a_loss_that_becomes_nan_is_an_error(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(stylizer: Stylizer, *images: object) -> dict[str, torch.Tensor]:
        loss = next(stylizer.decoder.parameters()).sum() * torch.nan
        return {"content": loss, "style": loss, "reconstruction": loss}

    monkeypatch.setattr(stylizer_training, "stylizer_losses", broken)
    with pytest.raises(SteepslopeError, match="the loss became NaN: a larger batch_size may help"):
        train_stylizer(*material, tmp_path, SHORT)
    assert not (tmp_path / CARD).exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": 102}, "crop: expected a multiple of the reduction, 4, at least twice as large, found 102"),
        ({"crop": 16, "reduction": 16}, "crop: expected a multiple of the reduction, 16, at least twice as large"),
    ],
)
def test_other_values_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        StylizerTraining(**changes)
