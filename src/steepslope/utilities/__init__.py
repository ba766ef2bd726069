"""What every package may use and none is about: files, weights, progress, seeds, and the state of killed runs."""
