"""What a report keeps of each prediction: what it is, and every score's confidence in it.

A report holds it as ``rows.npz``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.report.evaluation import Evaluation

ROWS = "rows.npz"  # of a report


def write_row_table(evaluation: Evaluation, path: Path) -> None:
    """Write ``rows.npz``: compressed arrays, of n predictions by m scores, none of them pickled.

    ``id`` (n,), texts; ``label`` and ``prediction`` (n,), places in ``classes`` (K + 1,), the classes' names, if more
    than a confidence is known; ``is_correct`` (n,); ``cluster`` (n,), numbers, where clusters are resampled; ``score``
    (m,), names; ``confidence`` (m, n) in float64, on the ``scale`` (m,) that ranks; and ``threshold`` (m,), above which
    a score trusts a prediction, NaN where it only ranks. The last of the classes, which label −1 finds too, is what
    labels of none of them are called.
    """
    predictions, rows = evaluation.predictions, evaluation.rows
    arrays: dict[str, NDArray[Any]] = {"id": np.array(evaluation.ids(np.arange(len(predictions))), dtype=np.str_)}
    arrays |= {"label": predictions.require_labels(), "prediction": predictions.predictions}
    arrays["classes"] = np.array(predictions.label_names)
    if evaluation.clusters is not None:
        arrays["cluster"] = np.unique(evaluation.clusters, return_inverse=True)[1]
    np.savez_compressed(
        path,
        allow_pickle=False,
        is_correct=predictions.is_correct,
        score=np.array([row.name for row in rows]),
        scale=np.array([row.scale for row in rows]),
        threshold=np.array([row.cut() for row in rows]),
        confidence=np.array([row.confidence for row in rows], dtype=np.float64),
        **arrays,
    )
