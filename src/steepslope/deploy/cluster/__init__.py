"""Predictions on a Ray cluster: the same parts, rows and file as on one machine.

``options``: what can be chosen, free of torch and Ray. ``session``: a cluster that is joined, or started here.
``work``: what goes to an actor and what comes back; the actor. ``source``: the parts of a data set, made by actors.
"""
