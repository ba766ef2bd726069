"""Tests of steepslope.lab.benchmark."""
