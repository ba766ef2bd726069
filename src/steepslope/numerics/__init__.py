"""Solvers on arrays; they know nothing of classifiers, outputs or oracles.

``log_space`` has entropies, odds and complements that stay exact where probabilities saturate, ``neighbors`` the
nearest rows of an index. ``linear`` standardises columns, minimises by L-BFGS, and fits linear models and softmax
regressions; ``components`` has principal components, ``products`` products of matrices; ``opinion_pool`` fits a
logarithmic opinion pool, ``calibration`` a slope and an offset of its log-odds, and ``small_net`` one hidden layer by
the rate in ``cycle``.
"""
