"""Training: the small classifiers, and oracles on cached outputs."""
