"""The paper's tables and figures, and ours, made again by ``steepslope reproduce``. Nothing but ``cli`` imports this.

Everything that may be added is data. A table or figure is a YAML file in ``catalogue/``, which ``experiment.py`` reads.
What it runs on is one in ``presets/``, which ``preset.py`` reads; how nets are trained is in the recipes of ``nets``.
The paper's own numbers lie in ``published/``.

``steps.py`` has the graph of steps: each makes one folder of the ``workspace.py``, once. ``output_steps.py`` are the
steps to nets, shifted images and outputs, ``oracle_steps.py`` those to oracles, and ``methods.py`` those to the
confidences and metrics of a line, by ``METHODS``. ``views.py`` shows them by ``VIEWS``: ``tables.py`` has columns and
cells, ``differences.py`` the paired differences of lines, ``figures.py`` the drawings, in the style of ``style.py``.
``results.py`` writes all of it.
"""
