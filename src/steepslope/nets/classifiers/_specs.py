"""Classifier specs, ``scheme:argument``, and the registry of schemes."""

from collections.abc import Callable

from steepslope.errors import SteepslopeError, require_known
from steepslope.nets.classifiers._backbones import module_classifier, timm_classifier, torchvision_classifier
from steepslope.nets.classifiers._classifier import Classifier
from steepslope.nets.classifiers._nets import load_checkpoint, new_net
from steepslope.nets.classifiers._onnx_net import onnx_classifier

CLASSIFIERS: dict[str, Callable[[str], Classifier]] = {
    "checkpoint": load_checkpoint,
    "net": new_net,
    "timm": timm_classifier,
    "torchvision": torchvision_classifier,
    "module": module_classifier,
    "onnx": onnx_classifier,
}


def load_classifier(spec: str) -> Classifier:
    """Load the classifier of a spec such as ``checkpoint:runs/mnist`` or ``timm:resnet50``."""
    scheme, _, argument = spec.partition(":")
    require_known(f"classifier scheme in {spec!r}:", scheme, CLASSIFIERS)
    if not argument:
        raise SteepslopeError(f"expected something after {scheme}:", f"classifier {spec!r}")
    return CLASSIFIERS[scheme](argument)


def architecture_spec(classifier: Classifier) -> str:
    """Return the spec of the same net without its weights, which a file of weights then fills."""
    if classifier.card is not None:
        return f"net:{classifier.card.net}?classes={classifier.card.num_classes}"
    return spec_without_weights(classifier.spec)


def spec_without_weights(spec: str) -> str:
    """Return the spec of the same architecture with random weights, where a spec can name those; else the same spec.

    >>> spec_without_weights("timm:resnet50?weights=mine.safetensors"), spec_without_weights("net:mnist-net")
    ('timm:resnet50?weights=random', 'net:mnist-net')
    >>> spec_without_weights("module:nets:small?weights=mine.pt&mean=0.5&std=0.2")
    'module:nets:small?mean=0.5&std=0.2'
    """
    name, _, query = spec.partition("?")
    if name.startswith(("timm:", "torchvision:")):
        return f"{name}?weights=random"
    if not name.startswith("module:"):
        return spec
    others = "&".join(option for option in query.split("&") if not option.startswith("weights="))
    return f"{name}?{others}" if others else name
