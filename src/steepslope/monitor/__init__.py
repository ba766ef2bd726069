"""Whether the promise of a gate at work can be relied on, with labels and without: healthy, changed or harmful.

What is watched without labels, and the bets on it, are in :mod:`steepslope.promise`.
``_audit``: what the labels of drawn rows tell, and how strict they ask to be.
``_predictions``: predictions and labels, from arrays and from files. ``_consistency``: whether a file says what the
gate decided. ``_monitor``: all that is known of a gate's predictions. ``_state``: that in one SQLite file.
``_counting``: files into a state. ``_confirmed``: whether labels only confirm predictions. ``_sentences``: how a gate
stands, in sentences.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["Monitor"]
