"""Gates: which predictions to use, with a promise about how many of them are wrong.

- ``_confidence_source``: the gate's oracle or score, and the classifier that it is for.
- ``_decisions``: the decision on each prediction.
- ``_gate``: the gate itself: what it keeps, promises and decides.
- ``_change``: what it does if inputs change. ``_adapting``: a gate for a new source, from a few labels of it.
- ``_preparing``: the rows that it is calibrated on, from labelled outputs. ``_mix``: how they serve a promise about
  another class mix, named or estimated.
- ``_storage``: the gate's folder. ``_switch``: the file next to it that sends all predictions to review.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["Gate"]
