"""Tests of the page that a browser shows."""
