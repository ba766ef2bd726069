"""From images and a frozen classifier to outputs on disk."""
