# What the package lends to the others. What is public, __all__ names.
from ._extract import input_changes_to_extract as input_changes_to_extract
from ._main import main as main, run_command as run_command
from ._parser import showing_first as showing_first
