"""Experiments as data, and what runs them: killed at any moment, they resume where they were."""
