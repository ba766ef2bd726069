"""Tests of steepslope.sklearn."""
