"""One self-contained page: what a browser shows of an evaluation, and lets its reader move, filter and sort.

``shell.py`` puts a page together from a template, style, scripts and data, which lie in ``assets/``. ``charts.py`` has
the charts as specifications, ``page_charts.py`` all those of an evaluation. ``page_scores.py`` has what the scripts
know of each score: its ``operating_points.py``, exactly counted, and P(correct), whose reliability
``probability.py`` counts. ``run_charts.py`` has the charts of several runs side by side. ``gallery.py`` chooses the
predictions to look at, and ``thumbnails.py`` makes their pictures small. ``downloads.py`` has what a reader can keep.
"""
