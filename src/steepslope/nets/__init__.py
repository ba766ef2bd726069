"""Images and nets: data sets, classifiers, extraction, training, export, and predictions on images.

Needs PyTorch. It uses the packages on arrays, and none of them uses it. ``ImageGate`` decides on images;
``ImageOracle`` is an oracle that sees them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
