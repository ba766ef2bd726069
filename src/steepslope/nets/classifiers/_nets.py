"""The small nets that steepslope trains itself, for those who bring none: with random weights, and as checkpoints."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from steepslope.errors import located, read_fields, require, require_known, whole
from steepslope.files import Artifact, parse_query, positive, read_json, write_json
from steepslope.nets._seeding import seeded
from steepslope.nets._weights import load_weights, save_weights
from steepslope.nets.classifiers._classifier import NOT_GIVEN, Classifier, ClassifierCard, module_digest
from steepslope.nets.data import Transform, labels_by_name
from steepslope.outputs import checked_class_names


class Net(nn.Module):
    """A classifier: images (n, C, H, W) -> encoder -> head of dropout and a last layer -> logits (n, K)."""

    def __init__(self, encoder: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.encoder(images))
        return logits


class TwoParts(nn.Module):
    """Our own net, with its features next to its logits."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, d), as they reach the last layer, and logits (n, K)."""
        return self.from_dropout(self.before_dropout(images))

    def before_dropout(self, images: Tensor) -> Tensor:
        """Return the input of the first layer of dropout, the same for an image in every pass."""
        dropout_input: Tensor = self.net.encoder[: self._first_dropout](images)
        return dropout_input

    def from_dropout(self, dropout_input: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and logits, from the first layer of dropout on."""
        features = self.net.head[:-1](self.net.encoder[self._first_dropout :](dropout_input))
        return features, self.net.head[-1](features)

    @property
    def _first_dropout(self) -> int:
        for index, layer in enumerate(self.net.encoder):
            if isinstance(layer, nn.Dropout):
                return index
        return len(self.net.encoder)


def _mnist_net(num_classes: int) -> Net:
    """Build the paper's net for 28×28 images; 128 features."""
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
    )
    return Net(encoder, nn.Sequential(nn.Dropout(0.5), nn.Linear(128, num_classes)))


def _digits_net(num_classes: int) -> Net:
    """Build a net for 8×8 images; 32 features."""
    encoder = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(256, 32),
        nn.ReLU(),
    )
    return Net(encoder, nn.Sequential(nn.Dropout(0.25), nn.Linear(32, num_classes)))


_VGG_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def _cifar_vgg(num_classes: int) -> Net:
    """Build the paper's VGG-16 for colour images of 32×32 pixels; 512 features."""
    layers: list[nn.Module] = []
    channels = 3
    for block in _VGG_WIDTHS:
        for index, width in enumerate(block):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(width)]
            if index < len(block) - 1:
                layers.append(nn.Dropout(0.3 if channels == 3 else 0.4))
            channels = width
        layers.append(nn.MaxPool2d(2))
    encoder = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.5), nn.Linear(512, 512), nn.ReLU())
    return Net(encoder, nn.Sequential(nn.Dropout(0.5), nn.Linear(512, num_classes)))


@dataclass(frozen=True)
class _NetKind:
    """How to build a net, the side and channels of its square images, and how long to train it in what batches.

    It is trained on ``threads`` on any machine, so that the same seed gives the same weights.
    """

    build: Callable[[int], Net]
    image_size: int
    epochs: int
    batch_size: int
    channels: int = 1
    threads: int = 1


NETS: dict[str, _NetKind] = {
    "mnist-net": _NetKind(_mnist_net, image_size=28, epochs=10, batch_size=128, threads=2),
    "digits-net": _NetKind(_digits_net, image_size=8, epochs=15, batch_size=32),
    "cifar-vgg": _NetKind(_cifar_vgg, image_size=32, epochs=250, batch_size=128, channels=3, threads=8),
}


CARD = "classifier.json"
WEIGHTS = "classifier.safetensors"
STATE = "unfinished.pt"
CHECKPOINT = Artifact(  # by the fingerprint they are the same images under any name
    "a classifier", CARD, made="", free=("data",), unfinished=("unfinished.json", STATE)
)


def checkpoint_classifier(net: Net, card: ClassifierCard, spec: str) -> Classifier:
    """Return our own net as a classifier, which takes images of exactly its size."""
    transform = _transform_of_small_net(card.net, card.mean, card.std)
    digest = module_digest(net.eval())
    classifier = Classifier(spec, TwoParts(net).eval(), transform, card.num_classes, digest, card=card)
    if card.classes is None:
        return classifier
    return classifier.named(labels_by_name(card.classes))


def new_net(argument: str) -> Classifier:
    """Build ``net:NAME[?classes=K]``, one of our nets with random weights, to be trained as an oracle."""
    name, options = parse_query(argument, ["classes"])
    require_known("net", name, NETS)
    text = options.get("classes", "2")
    classes: Any = int(text) if text.isdecimal() else text
    require(f"net:{argument}: classes", classes, whole(2, 10**6))
    with seeded(0):
        net = NETS[name].build(classes)
    transform = _transform_of_small_net(name, NOT_GIVEN, NOT_GIVEN)
    return Classifier(f"net:{argument}", TwoParts(net).eval(), transform, classes, module_digest(net))


def save_checkpoint(net: Net, card: ClassifierCard, folder: Path) -> None:
    """Write the weights as safetensors and the card as JSON."""
    with CHECKPOINT.staged(folder) as staging:
        save_weights(net.state_dict(), staging / WEIGHTS)
        write_json(staging / CARD, asdict(card))


def load_checkpoint(argument: str) -> Classifier:
    """Load ``checkpoint:DIR``, as :func:`save_checkpoint` wrote it."""
    card = _read_card(Path(argument))
    net = NETS[card.net].build(card.num_classes)
    load_weights(net, Path(argument) / WEIGHTS)
    return checkpoint_classifier(net, card, f"checkpoint:{argument}")


def _read_card(folder: Path) -> ClassifierCard:
    """Read a checkpoint's card, and check each of its fields."""
    path = folder / CARD
    content = read_json(path, "a classifier checkpoint")
    card = read_fields(ClassifierCard, content, path)
    with located(path):
        checked_class_names(card.classes, positive(content, "num_classes", path))
    require_known(f"net in {path}:", card.net, NETS)
    return card


def _transform_of_small_net(net: str, mean: float, std: float) -> Transform:
    kind = NETS[net]
    return Transform((kind.image_size,) * 2, (mean,) * kind.channels, (std,) * kind.channels, "exact")
