"""Shifted images: what a classifier meets when the domain changes, as the paper's Table 3 and Table A1 have it.

A shift turns a data set into another of the same rows, labels and ids. ``corrupt``: the 19 corruptions of ImageNet-C.
"""
