"""`python -m steepslope`."""

import sys

from steepslope.cli import main

sys.exit(main())
