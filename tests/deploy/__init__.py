"""Gates at work."""
