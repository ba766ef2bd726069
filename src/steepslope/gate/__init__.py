"""Gates: which predictions to use, with a promise of how many of them are wrong.

- ``aims``: what can be promised; free of torch.
- ``certificate``: the promise in numbers and sentences, by exact tails and bounds of a count of errors.
- ``certify``: thresholds that are fixed beforehand, and the one of largest coverage that can be promised.
- ``importance``: the same for another mix of classes. ``target``: a mix that is estimated;
  ``exact_target``: a promise for it, for any number of rows. ``rows_to_come``: which of these it is. ``new_mix``: the
  mix of some predictions.
- ``starts``: the start thresholds of these, and the levels of their tests. ``advice``: how many more rows would do.
- ``calibration``: all certificates of a gate, P(correct), and what it remembers of its calibration rows.
- ``confidence_source``: its oracle or score, and the classifier that it is for.
- ``decisions``: what is decided of each prediction.
- ``promises``: what a gate keeps, promises, and decides by confidences alone; ``gate``: the gate itself.
- ``nets``: its nets, and images in memory.
- ``storage``: its folder.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
