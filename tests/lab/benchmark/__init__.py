"""Tests of steepslope_lab.benchmark."""
