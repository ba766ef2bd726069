"""A small evaluation that tests of evaluation and of the report share: MCP and a score of pure noise."""

from __future__ import annotations

import numpy as np

from steepslope.metrics._selective import Groups
from steepslope.outputs import ClassifierOutputs
from steepslope.report._confidences import Scored, confidences_of_scores
from steepslope.report._evaluation import Evaluation, evaluated_rows


def with_scores(outputs: ClassifierOutputs, *others: Scored, bootstrap: int = 5, title: str = "") -> Evaluation:
    """Evaluate MCP and other scores, in full: with groups."""
    scored = [*confidences_of_scores([], outputs), *others]
    rows = evaluated_rows(scored, outputs, groups=Groups(outputs.require_labels()), bootstrap=bootstrap)
    return Evaluation(outputs, rows, title, lambda some: [f"row/{row}" for row in some])


def with_noise(outputs: ClassifierOutputs, bootstrap: int = 100, title: str = "") -> Evaluation:
    """Evaluate MCP and a score that knows nothing."""
    noise = np.random.default_rng(0).normal(size=len(outputs))
    return with_scores(outputs, Scored("noise", None, noise, "logit"), bootstrap=bootstrap, title=title)
