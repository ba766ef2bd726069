"""Decisions on images.

``gate_nets`` loads and runs a gate's nets, ``from_images`` takes a data set in chunks, ``cluster`` does that with Ray.
"""
