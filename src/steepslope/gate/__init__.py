"""Gates: which predictions to use, with a promise of how many of them are wrong.

``aims``: what can be promised, free of torch. ``binomial``: exact tails and bounds of counts of errors. ``sequence``:
thresholds that are fixed beforehand. ``certify``: the threshold of largest coverage that can be promised;
``certificate``: the promise in numbers and words; ``calibration``: all promises of a gate. ``batch``: an expected risk
of one batch. ``probability``: P(correct). ``gate``: the gate itself; ``decisions``: what it decides, row by row.
``judge``: its oracle or score; ``judged_rows``: what it keeps of its calibration rows; ``origin``: the classifier that
it is for; ``nets``: that net, had again; ``live``: nets that are ready to run; ``storage``: its folder.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from steepslope.gate.aims import Aims as Aims
    from steepslope.gate.certificate import Certificate as Certificate
    from steepslope.gate.certify import threshold_sequence as threshold_sequence
    from steepslope.gate.decisions import Decisions as Decisions
    from steepslope.gate.gate import Gate as Gate
    from steepslope.gate.origin import Origin as Origin

_IN = {
    "aims": ["Aims"],
    "certificate": ["Certificate"],
    "decisions": ["Decisions"],
    "gate": ["Gate"],
    "origin": ["Origin"],
    "certify": ["threshold_sequence"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_IN)
