"""What stands behind tables of experiments: nets, outputs, shifted images and oracles, each made once in a work folder.

``preset.py`` reads on what all of it runs, from ``presets/``: data, nets, pairs of oracle and classifier, seeds.
``lab.py`` finds what was made by name. ``step.py`` defines a piece of work, and puts several in order;
``net_step.py`` trains a classifier, ``output_steps.py`` extracts outputs, ``shift_steps.py`` shifts images, and
``oracle_steps.py`` trains and fits oracles, and sweeps the slopes of the steep slope loss.
"""
