"""AdaIN against plain loops, the decoder's layers, images of any size, and a stylizer on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from steepslope.errors import SteepslopeError
from steepslope.nets._seeding import seeded
from steepslope.nets.classifiers._specs import load_classifier
from steepslope_lab.shifts.stylization import continued_by_reflection, stylized
from steepslope_lab.shifts.stylizer import CARD, WEIGHTS, DecoderPlan, Stylizer, adain, decoder_layers, planned_decoder
from steepslope_lab.shifts.stylizer_encoder import encoder_of


def random_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    with seeded(0):
        return Stylizer(
            encoder_of(load_classifier("timm:mobilenetv3_small_100?weights=random"), 8), planned_decoder(8, 4)
        )


def test_adain_is_equation_8_channel_by_channel() -> None:
    content, style = random_images(2, 3, 4, 5).double(), 7 * random_images(2, 3, 6, 2, seed=1).double() - 3
    content[1, 2] = 5.0  # a flat channel takes the style's mean
    found = adain(content, style).numpy()
    for image in range(2):
        for channel in range(3):
            x, y = content[image, channel].numpy(), style[image, channel].numpy()
            expected = np.sqrt(y.var() + 1e-5) * (x - x.mean()) / np.sqrt(x.var() + 1e-5) + y.mean()
            np.testing.assert_allclose(found[image, channel], expected, rtol=1e-12, atol=1e-12)


def test_decoder_has_the_papers_layers() -> None:
    layers = decoder_layers(512, DecoderPlan((256, 128, 64), (4, 2, 2)))
    channels = [one.in_channels for one in layers if isinstance(one, nn.Conv2d)]
    assert channels == [512, 256, 256, 256, 256, 128, 128, 64, 64]
    assert [number for number, one in enumerate(layers) if isinstance(one, nn.Upsample)] == [3, 16, 23]
    assert not any("norm" in type(one).__name__.lower() for one in layers)
    assert all(one.padding == (0, 0) for one in layers if isinstance(one, nn.Conv2d))


@pytest.mark.parametrize("reduction", [2, 16])
def test_decoder_undoes_the_reduction(reduction: int) -> None:
    layers = decoder_layers(5, planned_decoder(reduction, 2))
    assert layers(torch.rand(1, 5, 2, 3)).shape == (1, 3, 2 * reduction, 3 * reduction)


def test_alpha_blends_feature_maps_and_ones_own_style_changes_nothing(stylizer: Stylizer) -> None:
    content, style = random_images(2, 3, 32, 40), random_images(2, 3, 32, 40, seed=1)
    with torch.no_grad():
        larger = functional.pad(torch.cat([content, style]), (16, 16, 16, 16), mode="reflect")
        of_content, of_style = stylizer.encode(larger)[-1].chunk(2)
        plain, mixed = (
            stylizer.decode(maps)[:, :, 16:-16, 16:-16].clamp(0, 1)
            for maps in (of_content, 0.7 * of_content + 0.3 * adain(of_content, of_style))
        )
    torch.testing.assert_close(stylized(stylizer, content, style, 0.3), mixed, rtol=0, atol=1e-6)
    torch.testing.assert_close(stylized(stylizer, content, style, 0), plain, rtol=0, atol=1e-6)
    torch.testing.assert_close(stylized(stylizer, content, content), plain, rtol=0, atol=1e-5)


def test_each_image_takes_its_own_style(stylizer: Stylizer) -> None:
    content, styles = random_images(3, 3, 24, 24), random_images(3, 3, 16, 16, seed=1)
    together = stylized(stylizer, content, styles)
    for row in range(3):
        alone = stylized(stylizer, content[row : row + 1], styles[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)
    one_for_all = stylized(stylizer, content, styles[:1])
    torch.testing.assert_close(one_for_all, stylized(stylizer, content, styles[:1].expand(3, -1, -1, -1)))


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (33, 50)])
def test_images_keep_any_size(stylizer: Stylizer, size: tuple[int, int]) -> None:
    found = stylized(stylizer, random_images(2, 3, *size), random_images(1, 3, 5, 9, seed=1))
    assert found.shape == (2, 3, *size)
    assert found.dtype == torch.float32
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (16, 17)])
def test_continued_images_are_reflected_as_numpy_reflects(size: tuple[int, int]) -> None:
    images = random_images(1, 2, *size)
    found, (top, left) = continued_by_reflection(images, 8, margin=5)
    height, width = found.shape[2:]
    assert height % 8 == width % 8 == 0
    assert size[0] + 10 <= height < size[0] + 18
    assert min(top, left, height - top - size[0], width - left - size[1]) >= 5
    expected = images.numpy()
    for axis, (start, longer) in enumerate(((top, height), (left, width)), start=2):
        around = [(0, 0)] * 4
        around[axis] = start, longer - start - images.shape[axis]
        expected = np.pad(expected, around, mode="edge" if images.shape[axis] == 1 else "reflect")
    np.testing.assert_array_equal(found.numpy(), expected)


def test_a_folder_gives_the_same_images_without_the_backbone(stylizer: Stylizer, tmp_path: Path) -> None:
    stylizer.save(tmp_path / "made")
    found = Stylizer.load(tmp_path / "made")
    content, style = random_images(2, 3, 20, 30), random_images(1, 3, 30, 20, seed=1)
    torch.testing.assert_close(stylized(found, content, style), stylized(stylizer, content, style), rtol=0, atol=0)
    assert found.digest == stylizer.digest
    assert not found.training
    assert json.loads((tmp_path / "made" / CARD).read_text())["encoder"]["architecture"].endswith("?weights=random")


def _edited(folder: Path, part: str | None, **changes: object) -> None:
    card = json.loads((folder / CARD).read_text())
    (card if part is None else card[part]).update(changes)
    (folder / CARD).write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        (None, {"digest": "0" * 64}, "expected the weights of digest 000000000000…, found .*: the file is not the one"),
        (None, {"encoder": 3}, "field 'encoder': found 3 of an unexpected type"),
        ("encoder", {"points": []}, "expected what rebuilds the layers"),
        ("encoder", {"points": ["nowhere"], "channels": [3]}, "expected layers of the net as points, found 'nowhere'"),
        ("encoder", {"point": []}, "unknown field of an encoder: 'point': did you mean 'points'"),
        ("encoder", {"architecture": "module:os:getcwd"}, "expected a net of timm: or torchvision:"),
        ("decoder", {"widths": [8, 8], "convolutions": [2, 2]}, "expected weights of this architecture"),
        ("decoder", {"widths": [16, 8, "4"]}, "expected what rebuilds the layers"),
    ],
)
def test_edited_cards_are_refused_in_one_line(
    stylizer: Stylizer, tmp_path: Path, part: str | None, changes: dict[str, object], message: str
) -> None:
    stylizer.save(tmp_path)
    _edited(tmp_path, part, **changes)
    with pytest.raises(SteepslopeError, match=message) as raised:
        Stylizer.load(tmp_path)
    assert "\n" not in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_missing_and_damaged_files_are_refused_in_one_line(stylizer: Stylizer, tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError, match=f"expected a stylizer, but it has no {CARD}"):
        Stylizer.load(tmp_path)
    stylizer.save(tmp_path)
    weights = tmp_path / WEIGHTS
    content = weights.read_bytes()
    weights.write_bytes(content[:-4] + bytes([0, 0, 128, 63]))
    with pytest.raises(SteepslopeError, match=f"{WEIGHTS}: expected the weights of digest"):
        Stylizer.load(tmp_path)
    weights.unlink()
    with pytest.raises(SteepslopeError, match=f"{WEIGHTS}: expected weights of this architecture"):
        Stylizer.load(tmp_path)
    (tmp_path / CARD).write_text("{")
    with pytest.raises(SteepslopeError, match=f"{CARD}: expected a stylizer, but it cannot be read"):
        Stylizer.load(tmp_path)
