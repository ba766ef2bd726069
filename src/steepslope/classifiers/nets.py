"""The small classifiers that steepslope trains itself, for those who bring none."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


class Net(nn.Module):
    """A classifier in two parts: images (n, 1, H, W) -> features (n, d) -> logits (n, K)."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.encoder(images))
        return logits


class TwoParts(nn.Module):
    """Our own net, with its features beside its logits."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, d) and logits (n, K)."""
        features = self.net.encoder(images)
        return features, self.net.head(features)


def mnist_net(num_classes: int) -> Net:
    """Build the paper's net for 28×28 images; 128 features."""
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(),
    )  # fmt: skip
    return Net(encoder, nn.Sequential(nn.Dropout(0.5), nn.Linear(128, num_classes)))


def digits_net(num_classes: int) -> Net:
    """Build a net for 8×8 images; 32 features."""
    encoder = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(256, 32), nn.ReLU(),
    )  # fmt: skip
    return Net(encoder, nn.Sequential(nn.Dropout(0.25), nn.Linear(32, num_classes)))


VGG_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def cifar_vgg(num_classes: int) -> Net:
    """Build the paper's VGG-16 for colour images of 32×32 pixels; 512 features."""
    layers: list[nn.Module] = []
    channels = 3
    for block in VGG_WIDTHS:
        for index, width in enumerate(block):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(width)]
            if index < len(block) - 1:
                layers.append(nn.Dropout(0.3 if channels == 3 else 0.4))
            channels = width
        layers.append(nn.MaxPool2d(2))
    encoder = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.5), nn.Linear(512, 512), nn.ReLU())
    return Net(encoder, nn.Sequential(nn.Dropout(0.5), nn.Linear(512, num_classes)))


@dataclass(frozen=True)
class NetKind:
    """How to build a net, the side and channels of its square images, and how long to train it in what batches.

    It is trained on ``threads`` on any machine, so that the same seed gives the same weights.
    """

    build: Callable[[int], Net]
    image_size: int
    epochs: int
    batch_size: int
    channels: int = 1
    threads: int = 1


NETS: dict[str, NetKind] = {
    "mnist-net": NetKind(mnist_net, image_size=28, epochs=10, batch_size=128, threads=2),
    "digits-net": NetKind(digits_net, image_size=8, epochs=15, batch_size=32),
    "cifar-vgg": NetKind(cifar_vgg, image_size=32, epochs=250, batch_size=128, channels=3, threads=8),
}
