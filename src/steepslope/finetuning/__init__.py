"""Oracles trained on images, as in the paper.

``recipe`` is how to train and ``request`` on what, both free of torch. ``launch`` checks a request and carries out its
stages: ``sources`` opens what it names, and ``images`` finds those of outputs; ``prepare`` makes a training of that,
with the score by which an epoch is selected, and ``loop`` takes its steps and keeps the state of a killed one. A
training has ``examples`` (images or their features, the rows of each step, and what the oracle is taught of them) and a
``learner`` (frozen layers, modes, optimizer, learning rate and momentum). ``history`` is its course, and ``cost``
estimates time and memory beforehand.
"""
