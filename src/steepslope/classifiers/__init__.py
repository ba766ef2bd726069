"""Frozen classifiers of any make, and the small ones that steepslope trains itself."""
