"""The commands ``reproduce`` and ``shift``."""
