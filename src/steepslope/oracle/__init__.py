"""Oracles: from what is known of a prediction to the logit of trusting it."""

from steepslope.oracle.columns import Oracle

__all__ = ["Oracle"]
