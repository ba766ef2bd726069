"""What people look at: the tables of an evaluation, the HTML page, and several evaluations side by side.

The way from names of scores to a page is one line: ``confidences.py`` (names of scores and folders of oracles to
confidences), ``evaluation.py`` (confidences to a row for each score), ``sentences.py`` (what the rows mean),
``tables.py`` (rows to tables), ``page.py`` (all of it as a report's files; what a browser needs is in ``web/``).

``grid.py`` is a table of cells, and renders it in Markdown or for a terminal; ``screen.py`` prints the main table and
sentences. ``runs.py`` writes what is known of each prediction, and reads a report's folder again; ``comparison.py``
compares several of these.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
