"""Tests of shifted images."""
