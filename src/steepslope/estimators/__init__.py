"""Solvers on arrays; they know nothing of classifiers, outputs or oracles.

``log_space`` has entropies, odds and complements that stay exact where probabilities saturate, ``neighbors`` the
nearest rows of an index. ``linear`` fits linear models and softmax regressions, ``opinion_pool`` a logarithmic opinion
pool; ``lbfgs`` minimises for both. ``small_net`` fits one hidden layer by the learning rate in ``cycle``, and
``standardising`` prepares columns for all of them.
"""
