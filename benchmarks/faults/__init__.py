"""Commands that are disturbed: what runs, what happens to it, and what must hold afterwards.

Processes are forked from one that has imported everything, so that a run takes a fraction of a second. Needs Linux.
"""
