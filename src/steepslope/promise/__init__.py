"""From confidences and which of the predictions are correct to a threshold with a promise.

- ``objectives``: what can be promised.
- ``rows``: labelled rows to calibrate on.
- ``certificate``: the promise in numbers and sentences, by exact tails and bets.
- ``sequence``: the fixed sequence of tests that finds every threshold: its start thresholds, and their levels.
- ``certify``: thresholds that are fixed beforehand, and the one of largest coverage that can be promised.
- ``class_mix``: the same for another mix of classes. ``target``: a mix that is estimated on rows without labels.
- ``sample_size``: how many more rows would do.
- ``draws``: how much a promise accepts and how often it breaks, over draws of rows whose risk is known.
- ``calibration``: all certificates of a gate, P(correct), and what it remembers of its calibration rows.
"""
