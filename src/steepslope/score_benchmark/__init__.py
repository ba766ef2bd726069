"""One line that judges a score: ``steepslope.benchmark(score)``, on frozen outputs that ship with the package.

``_frozen``: pairs of data and classifier in one file, which ``lab/benchmark/freeze.py`` makes. ``_measured``: metrics
of confidences that rank the same predictions, with paired differences. ``_standing``: a score next to MCP and the fused
oracle on all pairs, as a table and as JSON, and the check of such JSON that others send.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
