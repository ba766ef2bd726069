"""Learning rate and momentum as functions of the step: nothing to save, nothing to resume."""

from steepslope.estimators.cycle import cosine
from steepslope.finetuning.recipe import Finetuning

START, END = 25, 25e4  # one_cycle begins at a 25th of the highest rate and ends at a 250,000th
MOMENTA = 0.85, 0.95


def rate_at(recipe: Finetuning, step: int, steps: int) -> float:
    """Return the learning rate of step 0…steps−1.

    ``one_cycle`` is that of torch's ``OneCycleLR`` with cosines, ``warmup_steps`` its rising part.

    >>> recipe = Finetuning(schedule="one_cycle", learning_rate=1.0, warmup_steps=10)
    >>> [round(rate_at(recipe, step, 101), 6) for step in (0, 9, 100)]
    [0.04, 1.0, 4e-06]
    """
    top = recipe.learning_rate
    if recipe.schedule == "one_cycle":
        rising, done = _cycle(recipe, step, steps)
        return _along_cosine(top / START, top, done) if rising else _along_cosine(top, top / END, done)
    warm = min(1.0, (step + 1) / (recipe.warmup_steps + 1))
    if recipe.schedule == "constant":
        return top * warm
    return top * warm * cosine(max(0, step - recipe.warmup_steps) / max(1, steps - recipe.warmup_steps))


def momentum_at(recipe: Finetuning, step: int, steps: int) -> float:
    """Return the momentum of a step: the recipe's, or cycled against the rate."""
    if not recipe.cycle_momentum:
        return recipe.momentum
    low, high = MOMENTA
    rising, done = _cycle(recipe, step, steps)
    return _along_cosine(high, low, done) if rising else _along_cosine(low, high, done)


def _cycle(recipe: Finetuning, step: int, steps: int) -> tuple[bool, float]:
    """Return whether the cycle still rises, and how much of that half of it is done, in [0, 1]."""
    peak = min(max(recipe.warmup_steps - 1, 0), steps - 1)
    if step <= peak and peak > 0:
        return True, step / peak
    return False, (step - peak) / max(1, steps - 1 - peak)


def _along_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * cosine(done)
