"""A made table of three kinds of rows, of which a third is noise, and presets of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas

from steepslope_lab.benchmark.preset import Preset

KINDS = np.array(["ant", "bee", "cow"])


def noisy_table(n: int, seed: int) -> pandas.DataFrame:
    """Return numbers that tell of the kind more or less, as ``doubt`` says, and a string that sometimes does."""
    rng = np.random.default_rng(seed)
    kind, doubt = rng.integers(3, size=n), rng.uniform(0.5, 4, n)
    centres = np.array([[2.0, 0.0], [0.0, 2.0], [-2.0, -2.0]])
    numbers = centres[kind] + doubt[:, None] * rng.normal(size=(n, 2))
    place = np.where(rng.random(n) < 0.4, KINDS[kind], "anywhere")
    return pandas.DataFrame(
        {"a": numbers[:, 0], "b": numbers[:, 1], "doubt": doubt, "place": place, "kind": KINDS[kind]}
    )


def table_preset(**changes: Any) -> Preset:
    """Return a preset of the file t.csv of such rows."""
    read = {"format": "csv", "files": ["t.csv"], "label": "kind"}
    settings = {"title": "Made rows", "kind": "table", "source": "made", "classifier": "logistic", "read": read}
    return Preset(name="made", **{"seeds": (0,), "resamples": 100, **settings, **changes})
