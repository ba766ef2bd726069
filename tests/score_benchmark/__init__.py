"""Tests of the benchmark of scores."""
