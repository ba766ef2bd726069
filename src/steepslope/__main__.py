"""`python -m steepslope`."""

import sys

from steepslope.cli import program

sys.exit(program())
