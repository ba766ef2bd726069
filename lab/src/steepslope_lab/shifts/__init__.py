"""Shifted images: what a classifier meets when the domain changes, as the paper's Table 3 and Table A1 have it.

A shift turns a data set into another of the same rows, labels and ids. ``specs.py`` parses shifts in data specs,
which are entry points. ``corruptions.py`` has the 19 of ImageNet-C, and what all shifts of a kind and a severity share;
``distortions.py`` has further kinds. ``stylization.py`` gives images the style of others by a ``stylizer.py`` (AdaIN),
whose net is a ``stylizer_encoder.py`` with a decoder from ``stylizer_training.py``. ``recolor.py`` finds colours on
which a classifier errs, by a ``colour_map.py`` in CIELUV. ``writing.py`` writes a shifted data set to disk.
``options.py`` has what can be chosen, free of torch; ``pixels.py`` reads images of any kind as arrays.
"""
