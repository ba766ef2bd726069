"""What is gained without an oracle, and out-of-class rows in a fused oracle."""

from pathlib import Path

import numpy as np
import pytest

from steepslope.metrics import aurc, auroc
from steepslope.oracle import Oracle
from steepslope.oracle._baselines import _replacement_baseline
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from tests.oracle.conftest import fit_of


def made(n: int, seed: int, unknown: int = 0, known: int = 4) -> ClassifierOutputs:
    """Return outputs with features that know the class, of a classifier that hardly does; some rows of no class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(known, size=n)
    labels[:unknown] = known
    features = rng.normal(size=(n, 6)) + 3 * np.eye(6)[labels]
    logits = rng.normal(size=(n, known)) + 1.5 * np.eye(known + 1)[labels][:, :known]
    return ClassifierOutputs(logits, np.where(labels == known, -1, labels), features)


def test_a_stale_last_layer_is_named() -> None:
    fitted = fit_of(Oracle.fused().fit(made(1_500, 0)))
    tried = "a net on its features", "a logistic regression on the classifier's logits and features"
    assert len(fitted.advice) == len(tried)
    for line, what in zip(fitted.advice, tried, strict=True):
        assert line.startswith(f"without an oracle, {what} is right on ")
        assert "Consider it in place of the classifier" in line
        assert line in fitted.summary


def test_an_opinion_that_no_row_has_is_none() -> None:
    with pytest.warns(UserWarning, match="opinion people: found no rows: each of 300 lacks it"):
        outputs = made(300, 0).with_opinion("people", np.zeros((0, 4)))
    assert not any("people" in line for line in fit_of(Oracle.fused().fit(outputs)).advice)


def test_a_baseline_is_that_of_plain_formulas() -> None:
    rng = np.random.default_rng(0)
    labels, classes = rng.integers(3, size=200), np.tile([2, 0, 1], (200, 1))
    odds = rng.normal(size=(200, 1, 3)) + 2 * (classes == labels[:, None])[:, None]
    opinions = odds - np.log(np.exp(odds).sum(axis=2, keepdims=True))
    outputs = ClassifierOutputs(np.tile([2.0, 0.0, 0.0], (200, 1)), labels)
    right = classes[np.arange(200), opinions[:, 0].argmax(axis=1)] == labels
    highest = opinions[:, 0].max(axis=1)
    assert _replacement_baseline("it", opinions, classes, outputs) == (
        f"it is right on {100 * right.mean():.1f} % of 200 rows ({100 * (right.mean() - (labels == 0).mean()):+.1f} "
        f"points); its own MCP has an AUC of {100 * auroc(highest, right):.1f} and an AURC of "
        f"{1000 * aurc(highest, right):.1f} thousandths. Consider it in place of the classifier"
    )


def test_classes_that_never_occur_are_named() -> None:
    outputs = made(600, 0)
    some = outputs.subset(np.flatnonzero(outputs.require_labels() < 3)).named(["ant", "bee", "cat", "dog"])
    assert any(
        line.startswith("1 of 4 classes (dog) is predicted in ") for line in fit_of(Oracle.fused().fit(some)).advice
    )


@pytest.mark.slow
def test_rows_of_no_class_are_told_apart_once_seen(tmp_path: Path) -> None:
    new = made(2_000, 1, unknown=400)
    without, with_some = (Oracle.fused().fit(made(1_200, 0, unknown=count)) for count in (0, 200))
    assert fit_of(with_some).unknown
    mcp, plain, learnt = (
        auroc(values, new.is_correct) for values in
        (MCP().confidence(new), without.trust_logit(new), with_some.trust_logit(new))
    )  # fmt: skip
    assert learnt > plain + 0.01
    assert learnt > mcp + 0.01
    with_some.save(tmp_path / "oracle")
    np.testing.assert_array_equal(Oracle.load(tmp_path / "oracle").trust_logit(new), with_some.trust_logit(new))
    np.testing.assert_allclose(sum(with_some.explain(new).values()), with_some.trust_logit(new), atol=1e-9)


def test_many_classes_and_rows_of_none() -> None:
    new = made(1_000, 1, unknown=200, known=5)
    rng = np.random.default_rng(0)
    wide = [
        ClassifierOutputs(np.column_stack([one.logits, rng.normal(size=(len(one), 10)) - 2]), one.labels, one.features)
        for one in (made(1_200, 0, unknown=200, known=5), new)
    ]
    oracle = Oracle.fused().fit(wide[0])
    assert auroc(oracle.trust_logit(wide[1]), wide[1].is_correct) > auroc(MCP().confidence(wide[1]), new.is_correct)


def test_mcp_is_kept_where_features_know_nothing_of_rows_of_no_class() -> None:
    outputs = made(300, 0, unknown=30).changed(features=None)
    fitted = fit_of(Oracle.fused().fit(outputs))
    assert fitted.inputs == ("logits",)
    assert np.isfinite(fitted.log_odds(outputs)).all()


def test_a_reference_may_have_rows_of_no_class_that_the_fit_set_has_not() -> None:
    oracle = Oracle.fused().fit(made(400, 0), made(600, 1, unknown=60))
    assert not fit_of(oracle).unknown
    assert np.isfinite(oracle.trust_logit(made(50, 2))).all()
