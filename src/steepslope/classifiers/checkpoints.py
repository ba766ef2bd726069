"""Our own nets as classifiers: new ones with random weights, and checkpoints on disk."""

from dataclasses import asdict
from pathlib import Path
from typing import get_origin, get_type_hints

from steepslope.checks import require, whole
from steepslope.classifiers.classifier import UNKNOWN, Classifier, ClassifierCard, module_digest
from steepslope.classifiers.nets import NETS, Net, TwoParts
from steepslope.data.transforms import Transform
from steepslope.errors import located, require_known
from steepslope.outputs.arrays import CLASSES, checked_classes
from steepslope.utilities.files import field, positive, read_json, staged_folder, write_json
from steepslope.utilities.queries import parse_query
from steepslope.utilities.seeding import seeded
from steepslope.utilities.weights import load_weights, save_weights

CARD = "classifier.json"
WEIGHTS = "classifier.safetensors"


def checkpoint_classifier(net: Net, card: ClassifierCard, spec: str) -> Classifier:
    """Return our own net as a classifier, which takes images of exactly its size."""
    transform = _transform(card.net, card.mean, card.std)
    classes = None if card.classes is None else {name: label for label, name in enumerate(card.classes)}
    digest = module_digest(net.eval())
    return Classifier(spec, TwoParts(net).eval(), transform, card.num_classes, digest, classes, card)


def new_net(argument: str) -> Classifier:
    """Build ``net:NAME[?classes=K]``, one of our nets with random weights, to be trained as an oracle."""
    name, options = parse_query(argument, ["classes"])
    require_known("net", name, NETS)
    text = options.get("classes", "2")
    classes = int(text) if text.isdecimal() else text
    require(f"net:{argument}: classes", classes, whole(2, 10**6))
    with seeded(0):
        net = NETS[name].build(int(classes))
    transform = _transform(name, UNKNOWN, UNKNOWN)
    return Classifier(f"net:{argument}", TwoParts(net).eval(), transform, int(classes), module_digest(net))


def save_checkpoint(net: Net, card: ClassifierCard, folder: Path) -> None:
    """Write the weights as safetensors and the card as JSON."""
    with staged_folder(folder, last=CARD) as staging:
        save_weights(net.state_dict(), staging / WEIGHTS)
        write_json(staging / CARD, asdict(card))


def load_checkpoint(argument: str) -> Classifier:
    """Load ``checkpoint:DIR``, as :func:`save_checkpoint` wrote it."""
    card = read_card(Path(argument))
    net = NETS[card.net].build(card.num_classes)
    load_weights(net, Path(argument) / WEIGHTS)
    return checkpoint_classifier(net, card, f"checkpoint:{argument}")


def read_card(folder: Path) -> ClassifierCard:
    """Read a checkpoint's card, and check each of its fields."""
    path = folder / CARD
    content = read_json(path, "a classifier checkpoint")
    kinds = get_type_hints(ClassifierCard)
    kinds.pop(CLASSES)  # earlier cards have none
    given = {name: field(content, name, get_origin(of) or of, path) for name, of in kinds.items()}
    named = field({CLASSES: None, **content}, CLASSES, (list, type(None)), path)
    with located(path):
        names = checked_classes(named, positive(content, "num_classes", path))
    card = ClassifierCard(**given, classes=None if names is None else list(names))
    require_known(f"net in {path}:", card.net, NETS)
    return card


def _transform(net: str, mean: float, std: float) -> Transform:
    kind = NETS[net]
    return Transform((kind.image_size,) * 2, (mean,) * kind.channels, (std,) * kind.channels, "exact")
