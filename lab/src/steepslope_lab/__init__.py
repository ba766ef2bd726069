"""Research: the paper's tables and figures, the benchmark over many data sets, shifted images, the search for slopes.

It uses the package steepslope, which does not need it, and adds to its commands by entry points (``commands``).
"""

__version__ = "0.3.0"
