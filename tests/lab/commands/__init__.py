"""Tests of the commands of research."""
