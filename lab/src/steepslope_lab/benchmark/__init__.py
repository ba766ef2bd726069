"""What oracles gain over many data sets: ``steepslope reproduce evidence``. Nothing but ``cli`` imports this.

A data set and its classifier are data, a YAML file in ``presets/`` that ``preset.py`` reads. ``rows.py`` reads texts,
tables and sounds, ``estimators.py`` has the classifiers that people use around them, and ``nets.py`` runs nets over
images; ``cifar_resnets`` are nets whose weights are public. ``trial.py`` makes one split of it: known rows, judged
rows, fused oracles. ``lines.py`` ranks the judged rows, ``promises.py`` gates them, and ``estimates.py`` tells how far
estimates of the accuracy are off. ``rivals`` are scores that others proposed. ``run.py`` keeps a row a seed, and
``summary.py`` makes tables and a figure of all. ``freeze.py`` makes the outputs on which ``steepslope.benchmark``
judges scores.
"""
