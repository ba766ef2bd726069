"""Building blocks of formulas, and solvers on arrays. They know nothing of classifiers, outputs or oracles.

- ``_binomial``: exact tails, bounds and intervals of counts.
- ``_blocks``: rows of large arrays in blocks.
- ``_array_shapes``: checks of stored arrays, and their short representation.
- ``_formulas``: functions for formulas on arrays and on traced tensors.
- ``_log_space``: entropies, odds and complements that stay exact where probabilities saturate.
- ``_neighbors``: the nearest rows of an index.
- ``_linear``: principal components, standardised columns, L-BFGS, linear models and calibrations.
- ``_opinion_pool``: logarithmic and linear opinion pools.
- ``_small_net``: a net with one hidden layer, and learning rates.
- ``_trees``: boosted trees as arrays.
- ``_types``: names for the kinds of arrays, such as ``Floats``.
- ``_threads``: the number of threads that compute all of this.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
