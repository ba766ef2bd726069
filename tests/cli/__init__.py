"""Tests of the commands, by their words."""
