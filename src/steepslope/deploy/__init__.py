"""Gates at work: what decides on new images and rows.

``options``: what can be chosen, free of torch. ``parts``: images or outputs become rows of decisions, part by part;
``prediction_file``: these become one file, and go on where they were killed; ``verdict``: what the share of accepted
predictions says of the promise.
"""
