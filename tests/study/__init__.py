"""Tests of steepslope.study."""
