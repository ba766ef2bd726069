"""New images or rows -> a file of decisions, on one machine or on a Ray cluster.

``options``: what can be chosen, free of torch. ``source``: what is decided on. ``chunks``: images or outputs become
rows of decisions, chunk by chunk; ``prediction_file``: these become one file, and go on where they were killed;
``audit``: which accepted rows to label; ``sentences``: what a run comes to, and what that means for the promise.
``cluster``: the same chunks by the actors of a Ray cluster, which lasts as long as a run.
"""
