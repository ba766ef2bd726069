"""Gates: which predictions to use, with a promise about how many of them are wrong.

- ``confidence_source``: the gate's oracle or score, and the classifier that it is for.
- ``decisions``: the decision on each prediction.
- ``gate``: the gate itself: what it keeps, promises and decides.
- ``change``: what it does if inputs change. ``adapting``: a gate for a new source, from a few labels of it.
- ``mix``: a promise about another class mix, named or estimated.
- ``storage``: the gate's folder. ``switch``: the file next to it that sends all predictions to review.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["Gate"]
