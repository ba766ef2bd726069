"""Tests of the server, in the layout of its package."""
