"""The residual nets for CIFAR-10 of He et al. 2016, section 4.2, with shortcuts that have no weights (their option A).

They take 32×32 colour images, give 64 features, and have 0.27, 0.46, 0.66 and 0.85 M parameters. Their weights have the
names that the public files of https://github.com/akamaster/pytorch_resnet_cifar10 use:
``module:steepslope_lab.benchmark.cifar_resnets:resnet20?weights=FILE``.
"""

from functools import partial

from torch import Tensor, nn
from torch.nn.functional import pad, relu

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Block(nn.Module):
    """Two convolutions around which the maps (n, C, H, W) are passed on; with more channels at half of the size."""

    def __init__(self, before: int, channels: int) -> None:
        super().__init__()
        self.stride, self.new = (1, 0) if before == channels else (2, channels - before)
        self.conv1 = nn.Conv2d(before, channels, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps after the block; new channels of the shortcut are zero, half of them before the others."""
        changed = self.bn2(self.conv2(relu(self.bn1(self.conv1(maps)))))
        if self.new:
            maps = pad(maps[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.new // 2, self.new // 2))
        return relu(changed + maps)


class CifarResNet(nn.Module):
    """Images (n, 3, H, W) -> logits (n, 10), by three stages of some blocks each, of 16, 32 and 64 channels."""

    classes = CLASSES

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage_of_blocks(16, 16, blocks)
        self.layer2 = _stage_of_blocks(16, 32, blocks)
        self.layer3 = _stage_of_blocks(32, 64, blocks)
        self.linear = nn.Linear(64, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        maps = self.layer3(self.layer2(self.layer1(relu(self.bn1(self.conv1(images))))))
        logits: Tensor = self.linear(maps.mean(dim=(2, 3)))
        return logits


def _stage_of_blocks(before: int, channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(Block(before, channels), *(Block(channels, channels) for _ in range(blocks - 1)))


resnet20, resnet32, resnet44, resnet56 = (partial(CifarResNet, blocks) for blocks in (3, 5, 7, 9))
