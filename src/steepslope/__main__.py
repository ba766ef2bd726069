"""`python -m steepslope`."""

import sys

from steepslope.cli.main import program

sys.exit(program())
