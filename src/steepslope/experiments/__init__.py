"""Experiments whose tables are committed under ``results/``; killed at any moment, they resume where they were.

``loss_table.py`` makes a block of the paper's Table 1, ``recipe_table.py`` Table 2 by its recipe for small nets,
``image_table.py`` every pair of backbone and classifier, ``fused_table.py`` the fused oracle on clean and distorted
images (``distortions.py``), ``probe_table.py`` the fused oracle of a probed backbone, ``gate_table.py`` what gates
promise and keep, counted in ``gate_measures.py``, and ``shift_table.py`` Tables 3 and A1. ``common.py`` has their
helpers, ``published.py`` the numbers that the paper prints (``published/*.csv``) and how far from them rows are. Each
table is made by ``python -m steepslope.experiments.NAME``, writes ``rows.json`` and renders ``table.md`` from those
rows alone, with the columns of ``steepslope.metrics.METRICS``.
"""
