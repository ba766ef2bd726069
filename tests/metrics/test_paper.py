"""The metrics as the authors' code computed them: each quirk is there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from steepslope import metrics
from steepslope.metrics import _paper as paper
from tests.metrics.test_measures import large


def test_the_papers_aupr_error_ranks_the_wrong_way() -> None:
    confidence, is_correct = large()
    expected = average_precision_score(~is_correct, confidence)
    assert paper.aupr_error(confidence, is_correct) == pytest.approx(expected, abs=1e-12)
    assert paper.aupr_error(confidence, is_correct) < np.mean(~is_correct) < metrics.aupr_error(confidence, is_correct)


def test_the_papers_fpr_scans_thresholds() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(2000)
    is_correct = rng.random(2000) < confidence
    low, step = confidence.min(), (confidence.max() - confidence.min()) / 10_000
    for index in range(10_000):
        accepted = confidence >= low + step * index
        if 0.9495 <= accepted[is_correct].mean() <= 0.9505:
            break
    expected = accepted[~is_correct].mean()
    assert paper.fpr_at_95tpr(confidence, is_correct) == pytest.approx(expected)
    assert paper.fpr_at_95tpr(confidence - 3, is_correct) == pytest.approx(expected)
    assert math.isnan(paper.fpr_at_95tpr([1.0, 1.0, 0.0], [True, True, False]))


def test_the_papers_other_quirks() -> None:
    assert paper.auroc([0.1, 0.2], [True, True]) == 1
    assert paper.auroc([0.1, 0.2], [False, True]) == 1
    assert (paper.float32_sigmoid([17.5, 30.0]) == 1).all()
    confidence, is_correct = [0.3, 0.05, 0.9], [False, False, True]
    assert paper.tnr(confidence, is_correct, paper.paper_tnr_cut("true_class_probability", 10)) == 0.5
    assert paper.tnr(confidence, is_correct, paper.paper_tnr_cut("steep_slope", 10)) == 1
    assert paper.average_kl([0.0, 1.0, 0.0, 1.0], [True, True, False, False]) == 0.5
