"""Published AdaIN weights, against the same layers written out one by one with functional operations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from steepslope.errors import SteepslopeError
from steepslope.shifts.stylization import stylized
from steepslope.shifts.stylizer import Stylizer, import_vgg_stylizer, vgg_stylizer

# number of the layer, channels before and after; as the two published files have them
VGG = [(2, 3, 64), (5, 64, 64), (9, 64, 128), (12, 128, 128), (16, 128, 256), (19, 256, 256), (22, 256, 256)]
VGG += [(25, 256, 256), (29, 256, 512)]
BEHIND = [(32, 512, 512), (35, 512, 512)]
DECODER = [(1, 512, 256), (5, 256, 256), (8, 256, 256), (11, 256, 256), (14, 256, 128), (18, 128, 128), (21, 128, 64)]
DECODER += [(25, 64, 64), (28, 64, 3)]
State = dict[str, Tensor]


def state_of(layers: list[tuple[int, int, int]], seed: int) -> State:
    draw = torch.Generator().manual_seed(seed)
    state: State = {}
    for number, before, after in layers:
        state[f"{number}.weight"] = torch.randn(after, before, 3, 3, generator=draw) * (2 / (9 * before)) ** 0.5
        state[f"{number}.bias"] = 0.1 * torch.randn(after, generator=draw)
    return state


@pytest.fixture(scope="module")
def vgg() -> State:
    first = {"0.weight": torch.tensor([[0, 0, 3.0], [0, 2.0, 0], [4.0, 0, 0]]).view(3, 3, 1, 1)}
    return first | {"0.bias": torch.tensor([0.1, -0.2, 0.3])} | state_of(VGG + BEHIND, 0)


@pytest.fixture(scope="module")
def decoder() -> State:
    return state_of(DECODER, 1)


@pytest.fixture(scope="module")
def files(vgg: State, decoder: State, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("published")
    torch.save(vgg, folder / "vgg_normalised.pth")
    torch.save(decoder, folder / "decoder.pth")
    return folder / "vgg_normalised.pth", folder / "decoder.pth"


def convolved(images: Tensor, state: State, number: int) -> Tensor:
    padded = functional.pad(images, (1, 1, 1, 1), mode="reflect")
    return functional.conv2d(padded, state[f"{number}.weight"], state[f"{number}.bias"])


def maps_by_hand(images: Tensor, vgg: State) -> list[Tensor]:
    """Return relu1_1, relu2_1, relu3_1 and relu4_1."""
    now, found = functional.conv2d(images, vgg["0.weight"], vgg["0.bias"]), []
    for number, before, after in VGG:
        if number in (9, 16, 29):
            now = functional.max_pool2d(now, 2)
        now = convolved(now, vgg, number).relu()
        if before != after:
            found.append(now)
    return found


def decoded_by_hand(maps: Tensor, decoder: State) -> Tensor:
    for number, _, after in DECODER:
        maps = convolved(maps, decoder, number)
        maps = maps if after == 3 else maps.relu()
        if number in (1, 14, 21):
            maps = maps.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return maps


def test_layers_are_the_published_ones(files: tuple[Path, Path], vgg: State, decoder: State) -> None:
    stylizer = vgg_stylizer(*files)
    images, style = torch.rand(2, 3, 24, 32), torch.rand(1, 3, 32, 24)
    expected = maps_by_hand(images, vgg)
    for found, wanted in zip(stylizer.encode(images), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        found = stylizer.decode(expected[-1])
    torch.testing.assert_close(found, decoded_by_hand(expected[-1], decoder), rtol=1e-4, atol=1e-4)

    content, target = (
        maps_by_hand(functional.pad(one, (16, 16, 16, 16), mode="reflect"), vgg)[-1]
        for one in (images, style.repeat(2, 1, 1, 1))
    )
    wanted_std, std = (one.var((2, 3), correction=0, keepdim=True).add(1e-5).sqrt() for one in (target, content))
    moved = (content - content.mean((2, 3), keepdim=True)) / std * wanted_std + target.mean((2, 3), keepdim=True)
    by_hand = decoded_by_hand(moved, decoder)[:, :, 16:-16, 16:-16].clamp(0, 1)
    torch.testing.assert_close(stylized(stylizer, images, style), by_hand, rtol=1e-4, atol=1e-4)


def test_an_imported_folder_is_the_same_stylizer(files: tuple[Path, Path], tmp_path: Path) -> None:
    imported = import_vgg_stylizer(*files, tmp_path / "made")
    found = Stylizer.load(tmp_path / "made")
    assert found.digest == imported.digest
    assert found.reduction == 8
    assert found.training_facts == {"imported": {"encoder": "vgg_normalised.pth", "decoder": "decoder.pth"}}


def test_a_file_that_ends_at_relu4_1_is_the_same(files: tuple[Path, Path], vgg: State, tmp_path: Path) -> None:
    torch.save({name: one for name, one in vgg.items() if int(name.split(".")[0]) <= 30}, tmp_path / "short.pth")
    assert vgg_stylizer(tmp_path / "short.pth", files[1]).digest == vgg_stylizer(*files).digest


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, ("/nowhere",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, r"expected published AdaIN weights: 1\.weight: \(256, 512, 3, 3\), found none"),
        ({"1.weight": torch.zeros(2)}, r"1\.weight: \(256, 512, 3, 3\), found \(2,\)"),
        ("more", r"expected published AdaIN weights: 31\.weight: none, found \(1,\)"),
        ("infinite", r"expected finite weights, found others in 28\.bias"),
        ([1, 2], "expected a state dict, found list"),
        (_Harmful(), "expected a file of PyTorch weights, found another or a damaged one"),
    ],
)
def test_other_files_are_refused_in_one_line(
    files: tuple[Path, Path], decoder: State, tmp_path: Path, content: object, message: str
) -> None:
    changed = {"more": {"31.weight": torch.zeros(1)}, "infinite": {"28.bias": torch.full((3,), torch.inf)}}
    wrong = tmp_path / "wrong.pth"
    torch.save(decoder | changed[content] if isinstance(content, str) else content, wrong)
    with pytest.raises(SteepslopeError, match=message) as raised:
        vgg_stylizer(files[0], wrong)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"{wrong}: ")


def test_missing_files_and_two_of_a_kind_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError, match=r"none\.pth: no such file"):
        vgg_stylizer(tmp_path / "none.pth", files[1])
    with pytest.raises(SteepslopeError, match=r"decoder\.pth: expected published AdaIN weights: 0\.weight: \(3, 3, 1"):
        vgg_stylizer(files[1], files[1])
