"""Decisions on images.

``_image_gate``: a gate with its nets, loaded and run. ``_from_images`` takes a data set in chunks, and ``_cluster``
does that with Ray. ``_options``: what can be chosen.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
