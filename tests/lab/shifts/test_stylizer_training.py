"""The losses against their formulas, what a training learns, and that an interruption changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as pictures

from steepslope.errors import SteepslopeError
from steepslope.files.folders import LOCK
from steepslope.files.weights import load_state
from steepslope.lab.shifts import stylizer_training
from steepslope.lab.shifts.options import StylizerTraining
from steepslope.lab.shifts.stylization import stylized
from steepslope.lab.shifts.stylizer import CARD, STATE, Stylizer, planned_decoder
from steepslope.lab.shifts.stylizer_encoder import encoder_of
from steepslope.lab.shifts.stylizer_training import stylizer_losses, train_stylizer
from steepslope.nets.classifiers.classifier import Classifier
from steepslope.nets.classifiers.specs import load_classifier
from steepslope.nets.data.images import Dataset
from steepslope.nets.data.specs import parse_data

SHORT = StylizerTraining(steps=6, batch_size=2, crop=16, reduction=4, width=2, seed=3)


@pytest.fixture(scope="module")
def backbone() -> Classifier:
    return load_classifier("timm:mobilenetv3_small_100?weights=random")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return a small grey image, a large one in colour, and a long one."""
    folder = tmp_path_factory.mktemp("content")
    Image.fromarray(pictures.brick()).resize((12, 12)).save(folder / "small.png")
    Image.fromarray(pictures.astronaut()).resize((64, 64)).save(folder / "large.png")
    Image.fromarray(pictures.coffee()).resize((90, 18)).save(folder / "long.png")
    return parse_data(f"images:{folder}").open()


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("styles")
    for name in ("grass", "gravel"):
        Image.fromarray(getattr(pictures, name)()).resize((40, 40)).save(folder / f"{name}.png")
    return parse_data(f"images:{folder}").open()


@pytest.fixture(scope="module")
def whole(
    backbone: Classifier, content: Dataset, styles: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Stylizer]:
    """Return a stylizer of a short training, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train_stylizer(backbone, content, styles, folder, SHORT)


def test_losses_are_equations_12_and_13(backbone: Classifier) -> None:
    stylizer = Stylizer(encoder_of(backbone, 4), planned_decoder(4, 2))
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
    backbone: Classifier, content: Dataset, styles: Dataset, tmp_path: Path
) -> None:
    options = replace(SHORT, steps=150, batch_size=4, crop=32, reduction=2, width=8, learning_rate=0.01)
    learned = train_stylizer(backbone, content, styles, tmp_path / "learned", options)
    fresh = train_stylizer(backbone, content, styles, tmp_path / "fresh", replace(options, steps=1))
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
    backbone: Classifier, content: Dataset, styles: Dataset, whole: tuple[Path, Stylizer], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    losses, calls = stylizer_losses, []
    monkeypatch.setattr(stylizer_training, "SAVE_EVERY", 2)

    def killed(*given: object) -> object:
        calls.append(1)
        if len(calls) == 6:
            raise _KilledError
        return losses(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(stylizer_training, "stylizer_losses", killed)
    with pytest.raises(_KilledError):
        train_stylizer(backbone, content, styles, tmp_path / "killed", SHORT)
    state = load_state(tmp_path / "killed" / STATE)
    assert state is not None
    assert state[2]["steps"] == 4
    assert not (tmp_path / "killed" / CARD).exists()
    calls.clear()
    resumed = train_stylizer(backbone, content, styles, tmp_path / "killed", SHORT)
    assert len(calls) == 2
    assert resumed.digest == whole[1].digest == Stylizer.load(tmp_path / "killed").digest
    assert resumed.training_facts == whole[1].training_facts
    assert not (tmp_path / "killed" / STATE).exists()


def test_the_state_of_another_training_is_refused_and_a_damaged_one_not_taken_up(
    backbone: Classifier, content: Dataset, styles: Dataset, whole: tuple[Path, Stylizer], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(Stylizer, "save", lambda *given: (_ for _ in ()).throw(_KilledError))
        with pytest.raises(_KilledError):
            train_stylizer(backbone, content, styles, tmp_path / "other", replace(SHORT, seed=4))
    assert (tmp_path / "other" / STATE).exists()
    with pytest.raises(SteepslopeError, match=r"holds a stylizer, unfinished, with seed 4, not 3: "):
        train_stylizer(backbone, content, styles, tmp_path / "other", SHORT)
    assert (tmp_path / "other" / STATE).exists()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / STATE).write_bytes(b"no tensors")
    assert train_stylizer(backbone, content, styles, tmp_path / "damaged", SHORT).digest == whole[1].digest


def test_a_complete_training_is_found(
    backbone: Classifier, content: Dataset, styles: Dataset, whole: tuple[Path, Stylizer]
) -> None:
    lines: list[str] = []
    found = train_stylizer(backbone, content, styles, whole[0], SHORT, lines.append)
    assert found.digest == whole[1].digest
    assert lines == [f"{whole[0]}: already complete"]


def test_a_style_smaller_than_the_crop_is_refused_at_once(
    backbone: Classifier, content: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "styles").mkdir()
    Image.new("RGB", (40, 15)).save(tmp_path / "styles" / "thin.png")
    styles = parse_data(f"images:{tmp_path / 'styles'}").open()
    message = "styles: thin.png: expected a style of at least 16×16 pixels, the crop, found 40×15"
    with pytest.raises(SteepslopeError, match=message):
        train_stylizer(backbone, content, styles, tmp_path / "out", SHORT)
    assert {path.name for path in (tmp_path / "out").rglob("*")} <= {LOCK}


def test_an_unreadable_image_and_an_array_are_named(backbone: Classifier, styles: Dataset, tmp_path: Path) -> None:
    for name in ("files", "arrays"):
        (tmp_path / name).mkdir()
    (tmp_path / "files" / "torn.png").write_bytes(b"\x89PNG")
    np.save(tmp_path / "arrays" / "deep.npy", np.zeros((20, 20, 6)))
    with pytest.raises(SteepslopeError, match=r"content: torn\.png: cannot be read"):
        train_stylizer(backbone, parse_data(f"images:{tmp_path / 'files'}").open(), styles, tmp_path / "out", SHORT)
    with pytest.raises(SteepslopeError, match=r"content: deep\.npy: cannot be read .*expected an image in grey or in"):
        train_stylizer(backbone, parse_data(f"images:{tmp_path / 'arrays'}").open(), styles, tmp_path / "out", SHORT)


def test_a_loss_that_becomes_nan_is_an_error(
    backbone: Classifier, content: Dataset, styles: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(stylizer: Stylizer, *images: object) -> dict[str, torch.Tensor]:
        loss = next(stylizer.decoder.parameters()).sum() * torch.nan
        return {"content": loss, "style": loss, "reconstruction": loss}

    monkeypatch.setattr(stylizer_training, "stylizer_losses", broken)
    with pytest.raises(SteepslopeError, match="the loss became NaN: a lower learning rate may help"):
        train_stylizer(backbone, content, styles, tmp_path, SHORT)
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
