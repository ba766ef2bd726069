"""Shifted images: what a classifier meets when the domain changes, as the paper's Table 3 and Table A1 have it.

A shift turns a data set into another of the same rows, labels and ids. ``specs``: shifts in data specs, and the
registry ``SHIFTS``. ``corruptions``: the 19 of ImageNet-C. ``distortions``: further kinds; ``by_kind`` has what both
share. ``stylization``: styles of other images, by a ``stylizer`` (AdaIN: ``stylizer_encoder``, its settings
``stylizer_options``, its training ``stylizer_training`` on ``crops``, and published weights ``vgg_stylizer``).
``recoloring``: colours on which a classifier errs, by ``recolor`` (its settings ``recolor_options``), which moves a
``colour_map`` in CIELUV (``luv``). ``writing``: a shifted data set on disk, with ``options`` and a ``contact_sheet``.
``pixels``: images of any kind as arrays; ``devices``: where nets run.
"""
