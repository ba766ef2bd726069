"""One self-contained page: what a browser shows of an evaluation, and lets its reader move, filter and sort.

``shell.py`` puts a page together from a template, style, scripts and data, which lie in ``assets/``. ``charts.py`` has
the charts as specifications. ``page_scores.py`` has what the scripts know of each score: its operating points, exactly
counted, and P(correct). ``gallery.py`` chooses the predictions to look at, and makes their pictures small.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
