"""Data sets of images, with labels or without, and how an image becomes a classifier's input.

``_specs``: parses specs such as ``digits:test`` and ``imagefolder:DIR``, by the registry ``DATASETS``; the hold-out
split. Sources are ``_benchmark_sets`` (scikit-learn's digits, IDX files, torchvision), ``_image_files`` (folders,
tables of paths) and ``_hub_data`` (Hugging Face). ``_images``: the contract ``Dataset``, images in memory, rows found
by id, and an image decoded to 8-bit colour or grey. ``_transforms``: size, resizing and normalisation, and rows as
batches of tensors, with what cannot be read named. ``_shifted``: a data set whose images were shifted.
``_augmentation``: changed copies of images, and of rows of numbers. ``_class_names``: class names -> labels, with those
of ImageNet.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
