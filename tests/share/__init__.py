"""Tests of steepslope.share."""
