"""From names of scores and oracles to rows of a table, and to what can be said of them in words.

``score.py`` turns names into confidences. ``evaluation.py`` turns confidences into rows (metrics with intervals, paired
differences to MCP, operating points, TPR and TNR at the cut η of the steep slope loss, groups, separability and the
paper's variants), writes the sentences on who beats MCP, and puts all of it together in one ``Evaluation``, which the
report reads. The formulas themselves are in :mod:`steepslope.metrics`.
"""
