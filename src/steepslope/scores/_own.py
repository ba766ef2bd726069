"""A user's own scores: a function, or an object or class with ``fit`` and ``confidence``."""

import inspect
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, reason_of
from steepslope.outputs import ClassifierOutputs

LONGEST = 160  # characters of the reason of an error


def name_of_score(score: Any) -> str:
    """Return the name of a user's score: that of its function, or of its class.

    >>> name_of_score(len), name_of_score(deepcopy), name_of_score(3)
    ('len', 'deepcopy', 'int')
    """
    return str(getattr(score, "__name__", type(score).__name__))


def own_confidence(
    score: Any, fit_set: ClassifierOutputs, reference: ClassifierOutputs | None, outputs: ClassifierOutputs
) -> NDArray[np.float64]:
    """Fit a user's score, and return its confidence in each prediction, float64 (n,).

    A function takes the outputs, and learns nothing. A class is fitted as a new object, an object as a copy. ``fit``
    takes the fit set, rows that the classifier has not seen. If it has an argument ``reference``, it also gets the
    classifier's training outputs; a score whose ``fits_on`` is "reference" gets only these. An oracle ranks by its
    ``trust_logit``. The labels of the outputs are hidden from the score.

    Raises
    ------
    SteepslopeError
        If the score is none of these, raises an error, or returns anything but n numbers.

    >>> outputs = ClassifierOutputs([[2.0, 0.0], [0.0, 1.0]], labels=[0, 0])
    >>> own_confidence(lambda outputs: outputs.logits.max(axis=1), outputs, None, outputs)
    array([2., 1.])
    """
    name = name_of_score(score)
    hidden = outputs.changed(labels=None)
    try:
        found = np.asarray(_fitted_own_score(score, fit_set, reference)(hidden))
    except SteepslopeError as error:
        raise error.within(f"score {name}") from error
    except Exception as error:  # a user's code may raise anything
        raise SteepslopeError(
            f"raises {type(error).__name__} ({reason_of(error, LONGEST)})", f"score {name}"
        ) from error
    if found.shape != (len(outputs),) or found.dtype.kind not in "biuf":
        expected = f"expected a number for each prediction, ({len(outputs)},)"
        raise SteepslopeError(f"{expected}, found {found.dtype} of shape {found.shape}", f"score {name}")
    if np.isnan(found).any():
        row = int(np.isnan(found).argmax())
        raise SteepslopeError(f"expected a confidence of each prediction, found NaN in row {row}", f"score {name}")
    return found.astype(np.float64)


def _fitted_own_score(score: Any, fit_set: ClassifierOutputs, reference: ClassifierOutputs | None) -> Any:
    """Fit a score, and return its function of outputs."""
    model = score() if isinstance(score, type) else deepcopy(score)
    if hasattr(model, "fit"):
        if "reference" in inspect.signature(model.fit).parameters:
            model.fit(fit_set, reference=reference)
        else:
            model.fit(reference if getattr(model, "fits_on", "") == "reference" else fit_set)
    found = getattr(model, "trust_logit", getattr(model, "confidence", model))
    if not callable(found):
        raise SteepslopeError(f"expected a function, or an object with confidence, found {type(score).__name__}")
    return found
