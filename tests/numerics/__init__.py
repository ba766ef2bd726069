"""Tests of solvers on arrays."""
