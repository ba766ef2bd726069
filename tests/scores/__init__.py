"""Tests of post-hoc scores."""
