"""Building blocks of formulas, and solvers on arrays. They know nothing of classifiers, outputs or oracles.

- ``binomial``: exact tails, bounds and intervals of counts.
- ``blocks``: rows of large arrays in blocks.
- ``array_shapes``: checks of stored arrays, and their short representation.
- ``formulas``: functions for formulas on arrays and on traced tensors.
- ``log_space``: entropies, odds and complements that stay exact where probabilities saturate.
- ``neighbors``: the nearest rows of an index.
- ``linear``: principal components, standardised columns, L-BFGS, linear models and calibrations.
- ``opinion_pool``: logarithmic and linear opinion pools.
- ``small_net``: a net with one hidden layer, and learning rates.
- ``trees``: boosted trees as arrays.
- ``types``: names for the kinds of arrays, such as ``Floats``.
- ``threads``: the number of threads that compute all of this.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
