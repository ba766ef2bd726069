"""ImageNet in miniature: a folder of a few WordNet ids, and two of timm's tiny nets that know them a little."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from steepslope.files.seeding import seeded
from steepslope.nets.data.class_names import wordnet_labels

CLASSES = sorted(wordnet_labels())[::50]  # twenty
ARCHITECTURES, SIZES = {"vit": "test_vit", "rsn": "test_resnet"}, {"vit": 160, "rsn": 32}
WAYS = {"vit": Image.Resampling.BICUBIC, "rsn": Image.Resampling.BILINEAR}  # timm's own
OTHERS = -20.0  # logit of the classes of which there are no images
NOISE = 50.0  # of pixels


def write_images(root: Path, train: int, val: int) -> None:
    """Write so many JPEGs a class, of which every fifth shows another class."""
    rng = np.random.default_rng(0)
    for label, wordnet_id in enumerate(CLASSES):
        for split, count in (("train", train), ("val", val)):
            folder = root / split / wordnet_id
            folder.mkdir(parents=True)
            for number in range(count):
                shown = (label + 7) % 20 if number % 5 == 4 else label
                Image.fromarray(grating(shown, rng)).save(folder / f"{number:03d}.JPEG", quality=95)


def grating(label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return an image whose stripes tell the class by their direction, distance and colour, under noise."""
    rows, columns = np.mgrid[:40, :52]
    angle, period, colour = np.pi * label / 20, 4 + label % 5, np.eye(3)[label % 3] * 60
    phase = 2 * np.pi * (rng.random() + (rows * np.cos(angle) + columns * np.sin(angle)) / period)
    pixels = 100 + 50 * np.sin(phase)[..., None] + colour + rng.normal(scale=NOISE, size=(40, 52, 3))
    return np.asarray(pixels.clip(0, 255), dtype=np.uint8)


def seen(files: Sequence[Path], name: str) -> Tensor:
    """Return images as the paper's code feeds them to a net: squashed to a square, mean and deviation one half."""
    size, way = SIZES[name], WAYS[name]
    opened = (Image.open(file).convert("RGB") for file in files)
    images = [np.asarray(image.resize((size, size), way)) for image in opened]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.5)


def labels_of(files: Sequence[Path]) -> NDArray[np.int64]:
    """Return the labels of images in folders of WordNet ids."""
    return np.array([wordnet_labels()[file.parent.name] for file in files])


def fitted_net(name: str, train: Path) -> nn.Module:
    """Return a net of random weights, but for its last layer, which is fitted by ridge regression."""
    with seeded(0):
        model: nn.Module = timm.create_model(ARCHITECTURES[name]).eval()
    files = sorted(train.glob("*/*.JPEG"))
    known = np.array([wordnet_labels()[one] for one in CLASSES])
    with torch.no_grad():
        images = seen(files, name)
        features = model.forward_head(model.forward_features(images), pre_logits=True).double()  # type: ignore[operator]
        targets = 10 * torch.from_numpy(labels_of(files)[:, None] == known).double()
        inputs = torch.cat([features, torch.ones(len(files), 1)], dim=1)
        penalty = 1e-3 * features.var() * len(files) * torch.eye(inputs.shape[1], dtype=torch.float64)
        solution = torch.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ targets).float()
        last = model.get_classifier()  # type: ignore[operator]
        last.weight.zero_()
        last.bias.fill_(OTHERS)
        last.weight[known], last.bias[known] = solution[:-1].T, solution[-1]
    return model


def write_nets(root: Path, folder: Path) -> dict[str, str]:
    """Save the nets, fitted to the training images; return their specs."""
    specs = {}
    for name, architecture in ARCHITECTURES.items():
        file = folder / f"{name}.safetensors"
        save_file(fitted_net(name, root / "train").state_dict(), file)
        specs[name] = f"timm:{architecture}?weights={file}&mean=imagenet&std=imagenet"
    return specs
