"""New images or rows -> a file of decisions, on one machine or on a Ray cluster.

``options``: what can be chosen, free of torch. ``source``: what is decided on. ``parts``: images or outputs become rows
of decisions, part by part; ``prediction_file``: these become one file, and go on where they were killed; ``verdict``:
what the fraction of accepted predictions means for the promise. ``cluster``: the same parts by the actors of a Ray
cluster; ``cluster_session``: a cluster for the length of a block.
"""
