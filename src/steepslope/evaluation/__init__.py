"""From names of scores and oracles to rows of a table, and to what they mean in words.

``score`` turns names into confidences, and ``rows`` confidences into rows: metrics with intervals, paired differences
to MCP, operating points, TPR and TNR at the cut η of the steep slope loss, groups, separability, the paper's variants.
``evaluation`` puts all of it together in one ``Evaluation``, which the report reads, and writes the sentences on who
beats MCP. The formulas themselves are in :mod:`steepslope.metrics`.
``comparison`` sets several evaluations side by side, with paired differences where their rows are the same, and
``comparison_words`` tells what that means.
``stability`` refits an oracle on halves of its fit rows: the luck of the fit.
"""
