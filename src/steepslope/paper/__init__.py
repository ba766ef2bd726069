"""Tables and figures as data: the paper's and ours, a YAML file in ``catalogue/`` each, on the presets of ``workflow``.

``experiment.py`` reads one. ``methods.py`` has where the confidences of a line come from, in ``METHODS``; ``score.py``
keeps them, with a row of metrics. ``plan.py`` finds what has to be done, does what is not done, and tells what it will
cost. ``views.py`` makes tables and figures of what was found, by ``VIEWS``, and ``gate_views.py`` those of gates;
``showable.py`` refuses before any work what these could not show.
"""
