"""Rows of outputs -> a file of decisions.

``options``: what can be chosen. ``chunks``: outputs become rows of decisions, chunk by chunk, as images do in
``nets/predict``; ``prediction_file``: these become one file, and go on where they were killed; ``audit``: which
accepted rows to label. ``source``: what is decided on, and what a run comes to, in sentences.
"""
