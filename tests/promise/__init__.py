"""Tests of what lies in the package of this name."""
