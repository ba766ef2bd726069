"""What makes the tables and figures in `results/`, those of the docs, and the pictures of the README."""
