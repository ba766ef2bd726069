"""Gates: which predictions to use, with a promise of how many of them are wrong.

- ``aims``: what can be promised; free of torch.
- ``certificate``: the promise in numbers and sentences, by exact tails and bounds of a count of errors.
- ``certify``: thresholds that are fixed beforehand, and the one of largest coverage that can be promised.
- ``calibration``: all certificates of a gate, P(correct), and what it remembers of its calibration rows.
- ``confidence_source``: its oracle or score, and the classifier that it is for.
- ``decisions``: what is decided of each prediction.
- ``gate``: the gate itself.
- ``nets``: its nets, and images in memory.
- ``storage``: its folder.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from steepslope.gate.aims import Aims as Aims
    from steepslope.gate.certificate import Certificate as Certificate
    from steepslope.gate.certify import threshold_sequence as threshold_sequence
    from steepslope.gate.confidence_source import Origin as Origin
    from steepslope.gate.decisions import Decisions as Decisions
    from steepslope.gate.gate import Gate as Gate

_IN = {
    "aims": ["Aims"],
    "certificate": ["Certificate"],
    "decisions": ["Decisions"],
    "gate": ["Gate"],
    "confidence_source": ["Origin"],
    "certify": ["threshold_sequence"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_IN)
