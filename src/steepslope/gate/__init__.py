"""Gates: which predictions to use, with a promise of how many of them are wrong.

- ``confidence_source``: its oracle or score, and the classifier that it is for.
- ``decisions``: what is decided of each prediction.
- ``gate``: the gate itself: what it keeps, promises and decides.
- ``mix``: another mix of classes, named or estimated, and the mix of some predictions.
- ``storage``: its folder.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
