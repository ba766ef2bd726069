"""Oracles trained on images, as in the paper."""
