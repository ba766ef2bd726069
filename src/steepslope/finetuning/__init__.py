"""Oracles trained on images, as in the paper.

``recipe`` is how to train and ``request`` on what, both free of torch. ``stages`` checks a request, ``sources`` opens
what it names, ``prepare`` makes a training of them, ``loop`` takes its steps, and ``launch`` does so for each stage.
A training has ``examples`` (images or their features, and the rows of each step), ``targets`` (what the oracle is
taught), ``validation`` (the score by which an epoch is selected), ``schedules`` (learning rate and momentum), and a
``learner`` (frozen layers, modes, optimizer). ``resume`` keeps the state of a killed one, ``history`` its course, and
``cost`` estimates time and memory beforehand.
"""
