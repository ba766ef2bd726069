"""What accepted errors cost, where that depends on the classes: the mean for each predicted class."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from steepslope.errors import require_known
from steepslope.promise._certificate import Certificate
from steepslope.promise._rows import Names

_PRIOR_ERRORS = 2.0  # errors at the cost that the frequencies of the true classes make likely

Costs = Mapping[str, Mapping[str, float]]


def costs_of_errors(predicted: Names, true: Names, error_costs: Costs, usual: float) -> dict[str, float]:
    """Return the mean cost of an error for each predicted class, from the predicted and true classes of rows (n,).

    With few errors, the mean leans towards the cost of errors that are spread like the true classes.

    >>> truths = np.array(["fine"] * 6 + ["fraud"] * 2)
    >>> costs_of_errors(np.array(["fine"] * 7 + ["fraud"]), truths, {"fine": {"fraud": 500.0}}, 10.0)
    {'fine': 500.0, 'fraud': 10.0}
    """
    names, index, counts = np.unique(true, return_inverse=True, return_counts=True)
    means = {}
    for name in map(str, np.unique(predicted)):
        others = names != name
        if not others.any():
            means[name] = usual
            continue
        costs = error_costs.get(name, {})
        cost = np.array([costs.get(str(other), usual) for other in names[others]])
        wrong = (predicted == name) & (true != name)
        made = np.bincount(index[wrong], minlength=len(names))[others]
        likely = counts[others] / counts[others].sum()
        means[name] = float(cost @ (made + _PRIOR_ERRORS * likely) / (wrong.sum() + _PRIOR_ERRORS))
    return means


def require_classes_of_costs(error_costs: Costs, names: Collection[str]) -> None:
    """Raise unless costs are those of known classes."""
    for predicted, by_true in error_costs.items():
        for name in (predicted, *by_true):
            require_known("class in error_costs:", name, names)


def cost_sentences(
    costs: tuple[float, ...], promises: Sequence[Certificate], wrong: float, means: Mapping[str, float]
) -> list[str]:
    """Return what a prediction costs, and what it would cost to accept or review all.

    ``wrong`` is the share of errors among all, and ``means`` has the mean cost of an error for each predicted class, if
    it depends on the class.
    """
    error, review = costs
    n = 0
    errors = 0.0
    reviews = 0.0
    for promise in promises:
        n += promise.n
        errors += promise.errors * means.get(str(promise.group), error)
        reviews += (promise.n - promise.accepted) * review
    cost = (errors + reviews) / max(1, n)
    if means:
        listed = ", ".join(f"{name} {mean:.4g}" for name, mean in means.items())
        return [f"Cost of a prediction: about {cost:.4g}; reviewing all {review:.4g}. Mean cost of an error: {listed}."]
    return [f"Cost of a prediction: {cost:.4g}; accepting all {wrong * error:.4g}, reviewing all {review:.4g}."]
