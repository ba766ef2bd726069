"""What formulas are made of, and solvers on arrays; they know nothing of classifiers, outputs or oracles.

``binomial``: exact intervals of fractions. ``blocks``: rows of large arrays in blocks. ``array_shapes``: what stored
arrays have to be, and what is shown of them. ``formulas``: a formula serves arrays, and tensors that are traced.
``log_space``: entropies, odds and complements that stay exact where probabilities saturate. ``neighbors``: the nearest
rows of an index. ``linear``: principal components, standardised columns, L-BFGS,
linear models and calibrations. ``opinion_pool``: logarithmic and linear opinion pools. ``small_net``: a net with one
hidden layer, and the rates by which nets are trained. ``threads``: how many threads compute all of this.
"""
