# What the package lends to the others. What is public, __all__ names.
from ._backbones import (
    BeforeLastLinear as BeforeLastLinear,
    live_classifier as live_classifier,
    module_source_digest as module_source_digest,
)
from ._classifier import COLOUR as COLOUR, Classifier as Classifier, takes_channels_last as takes_channels_last
from ._nets import CARD as CARD, TwoParts as TwoParts
from ._onnx_net import OPSET as OPSET, OnnxNet as OnnxNet, as_onnx as as_onnx, exported_onnx as exported_onnx
from ._options import ClassifierTraining as ClassifierTraining
from ._specs import (
    architecture_spec as architecture_spec,
    load_classifier as load_classifier,
    spec_without_weights as spec_without_weights,
)
from ._training import recipe_of_settings as recipe_of_settings, train_classifier as train_classifier
