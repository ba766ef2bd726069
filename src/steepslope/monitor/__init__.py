"""Alarms on harm by a gate at work, with labels and without.

``bounds``: bets that a mean has risen, bounds and intervals of means. ``running_mean``: a mean over a stream, with its
bets and its history. ``signals``: what stands for harm where labels are not there, and its limits. ``estimators``:
accuracy without labels. ``predictions``: predictions and labels, from arrays and from files. ``monitor``: all that is
known of a gate's predictions. ``state``: that in one SQLite file. ``counting``: files into a state. ``sentences``: how
a gate stands, in sentences. ``plot``: as a figure.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
