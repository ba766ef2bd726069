"""Solvers on arrays, free of the package's own types."""
