"""A gate at work, watched: alarms on harm with labels and without.

``rows``: predictions to come; ``signals``: what stands for harm where labels are not there, and its limits;
``estimators``: accuracy without labels. ``bets``: evidence that a mean has risen; ``bounds``: bounds and intervals of
means; ``track``: a mean that is watched. ``monitor``: the monitor; ``storage``: its state in one file. ``ledger``:
which rows have been counted; ``files``: predictions and labels from files; ``watch``: these into the monitor;
``words``: how it stands, in sentences; ``plot``: as a figure.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from steepslope.monitor.estimators import ESTIMATORS as ESTIMATORS
    from steepslope.monitor.monitor import Monitor as Monitor
    from steepslope.monitor.signals import SIGNALS as SIGNALS

_IN = {"estimators": ["ESTIMATORS"], "monitor": ["Monitor"], "signals": ["SIGNALS"]}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_IN)
