"""Gates: which predictions to use, with a promise of how many of them are wrong.

- ``confidence_source``: its oracle or score, and the classifier that it is for.
- ``decisions``: what is decided of each prediction.
- ``promises``: what a gate keeps, promises, and decides by confidences alone; ``gate``: the gate itself.
- ``target_rows``: another mix of classes, named or estimated; ``new_mix``: the mix of some predictions.
- ``storage``: its folder.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
