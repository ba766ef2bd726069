"""Frozen classifiers of any make, and the small ones that steepslope trains itself.

``specs``: specs such as ``timm:resnet50``, and the registry ``CLASSIFIERS`` of their schemes.
``classifier``: what a frozen classifier is. ``backbones``: those of timm, torchvision and one's own modules.
``onnx_net``: ONNX files, and the export of a net with its agreement check. ``nets``: our small nets.
``training``: how these are trained. ``card`` and ``checkpoints``: how they are kept.
``layout``: whether a net runs channels last.
"""
