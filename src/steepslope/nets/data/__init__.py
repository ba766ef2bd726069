"""Data sets of images, with labels or without, and how an image becomes a classifier's input.

``specs``: parses specs such as ``digits:test`` and ``imagefolder:DIR``, by the registry ``DATASETS``; the hold-out
split. Sources are ``benchmark_sets`` (scikit-learn's digits, IDX files, torchvision), ``image_files`` (folders,
tables of paths) and ``hub_data`` (Hugging Face). ``images``: the contract ``Dataset``, images in memory, rows found
by id, and an image decoded to 8-bit colour or grey. ``transforms``: size, resizing and normalisation, and rows as
batches of tensors, with what cannot be read named. ``shifted``: a data set whose images were shifted.
``augmentation``: changed copies of images, and of rows of numbers. ``class_names``: class names -> labels, with those
of ImageNet.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
