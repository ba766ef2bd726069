"""From images and a frozen classifier to outputs on disk.

``_extraction``: the orchestration, and the splits of a data set by name. ``_options``: what can be chosen, free of
torch. ``_machines``: processes, devices and precision. ``_engine``: a batch of images -> the arrays to keep, by PyTorch
or ONNX Runtime; small changes of an image, and estimates of its noise. ``_shards``: the files of a running extraction,
how they are joined, and what decides the outputs. ``_other_nets``: another net's features or logits.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
