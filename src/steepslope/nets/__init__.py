"""Images and nets: data sets, classifiers, extraction, training, export, and predictions on images.

Needs PyTorch. It uses the packages on arrays, and none of them uses it. ``ImageGate`` decides on images;
``ImageOracle`` is an oracle that sees them. ``_seeding``: PyTorch's draws and threads in a block of code. ``_weights``:
a net's weights in files, and what a killed training needs to go on.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["ImageGate", "ImageOracle"]
