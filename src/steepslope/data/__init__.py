"""Data sets of labelled images, and what a classifier takes of them."""
