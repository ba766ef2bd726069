"""From confidences, and which predictions are correct, to a threshold with a promise.

- ``objectives``: what can be promised.
- ``rows``: labelled rows to calibrate on.
- ``certificate``: the promise in numbers and sentences, by exact tails and bets.
- ``sequence``: the fixed sequence of tests that finds every threshold, its start thresholds and their levels.
- ``certify``: the threshold of largest coverage that can be promised, among thresholds fixed beforehand.
- ``class_mix``: the same for another class mix. ``target``: a mix that is estimated on target rows.
- ``costs``: what errors cost, where that depends on the classes.
- ``sample_size``: how many more rows would suffice.
- ``bets``: bets on a stream, and means with their intervals. ``change``: signals of a change, and bets on them.
- ``draws``: how much a promise accepts and how often it breaks, over random samples from rows with a known risk.
- ``calibration``: all certificates of a gate, P(correct), and the gate's decisions on its calibration rows.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
