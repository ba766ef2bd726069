"""From confidences, and which predictions are correct, to a threshold with a promise.

- ``_objectives``: what can be promised.
- ``_rows``: labelled rows to calibrate on.
- ``_certificate``: the promise in numbers and sentences, by exact tails and bets.
- ``_sequence``: the fixed sequence of tests that finds every threshold, its start thresholds and their levels.
- ``_certify``: the threshold of largest coverage that can be promised, among thresholds fixed beforehand.
- ``_class_mix``: the same for another class mix. ``_target``: a mix that is estimated on target rows.
- ``_costs``: what errors cost, where that depends on the classes.
- ``_sample_size``: how many more rows would suffice.
- ``_bets``: bets on a stream, and means with their intervals. ``_change``: signals of a change, and bets on them.
- ``_draws``: how much a promise accepts and how often it breaks, over random samples from rows with a known risk.
- ``_calibration``: all certificates of a gate, P(correct), and the gate's decisions on its calibration rows.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
