"""Research: the paper's tables and figures, the benchmark over many data sets, shifted images, the search for slopes.

It uses all other packages, and none of them uses it.
"""
