"""From confidences and which of the predictions are correct to a threshold with a promise.

- ``objectives``: what can be promised.
- ``certificate``: the promise in numbers and sentences, by exact tails and bounds of a count of errors.
- ``certify``: thresholds that are fixed beforehand, and the one of largest coverage that can be promised.
- ``importance``: the same for another mix of classes. ``target``: a mix that is estimated;
  ``exact_target``: a promise for it, for any number of rows.
- ``start_thresholds``: where a sequence starts, and the levels of its tests.
- ``sample_size``: how many more rows would do.
- ``calibration``: all certificates of a gate, P(correct), and what it remembers of its calibration rows.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
