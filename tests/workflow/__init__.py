"""Tests of the work behind tables."""
