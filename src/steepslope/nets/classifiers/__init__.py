"""Frozen classifiers of any make, and the small ones that steepslope trains itself.

``_specs``: specs such as ``timm:resnet50``, and the registry ``CLASSIFIERS`` of their schemes. ``_classifier``: what a
frozen classifier is, its card, and whether it runs channels last. ``_backbones``: those of timm, torchvision and one's
own modules. ``_onnx_net``: ONNX files, and the export of a net with its agreement check. ``_nets``: our small nets, and
their checkpoints. ``_training``: how these are trained; ``_options``: its settings, free of torch.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
