"""The fused oracle: better than its parts where they know more, the best of them where they do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from steepslope.cli import main
from steepslope.errors import FewErrorsWarning, SteepslopeError
from steepslope.files import read_json, write_json
from steepslope.fused import FusedOracle
from steepslope.losses import LOSSES
from steepslope.metrics import auroc, tnr, tpr
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from tests.conftest import make_complete


@pytest.fixture(scope="module")
def reference() -> ClassifierOutputs:
    return make_complete(600, seed=1)


@pytest.fixture(scope="module")
def fit_set() -> ClassifierOutputs:
    return make_complete(800, seed=2)


@pytest.fixture(scope="module")
def unseen() -> ClassifierOutputs:
    return make_complete(2000, seed=3)


@pytest.fixture(scope="module")
def oracle(fit_set: ClassifierOutputs, reference: ClassifierOutputs) -> FusedOracle:
    return Oracle.fused().fit(fit_set, reference)


def test_it_beats_every_part(oracle: FusedOracle, unseen: ClassifierOutputs) -> None:
    assert oracle.fitted_ is not None
    assert "second_opinion" in oracle.fitted_.inputs
    fused = auroc(oracle.trust_logit(unseen), unseen.is_correct)
    assert fused > auroc(MCP().confidence(unseen), unseen.is_correct) + 0.05
    assert ((oracle.confidence(unseen) > 0.5) == oracle.trusts(unseen)).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_moves_the_cut_and_not_the_ranking(
    name: str, oracle: FusedOracle, fit_set: ClassifierOutputs, reference: ClassifierOutputs, unseen: ClassifierOutputs
) -> None:
    other = FusedOracle(loss=name).fit(fit_set, reference)
    assert spearmanr(other.trust_logit(unseen), oracle.trust_logit(unseen)).statistic == pytest.approx(1, abs=1e-9)


def test_steep_slope_trusts_less(
    oracle: FusedOracle, fit_set: ClassifierOutputs, reference: ClassifierOutputs, unseen: ClassifierOutputs
) -> None:
    """It cuts at a probability of 0.75 of being right, cross entropy at 0.5."""
    z = oracle.trust_logit(unseen)
    other = FusedOracle(loss="cross_entropy").fit(fit_set, reference).trust_logit(unseen)
    assert tnr(z, unseen.is_correct, threshold=0) > tnr(other, unseen.is_correct, threshold=0)
    assert tpr(z, unseen.is_correct, threshold=0) < tpr(other, unseen.is_correct, threshold=0)
    at_cut = np.abs(z) < np.quantile(np.abs(z), 0.15)
    assert 0.6 < unseen.is_correct[at_cut].mean() < 0.9


def test_it_is_explained_to_the_last_digit(oracle: FusedOracle, unseen: ClassifierOutputs) -> None:
    shares = oracle.explain(unseen)
    assert oracle.fitted_ is not None
    assert list(shares) == [*oracle.fitted_.inputs, "classes", "others", "cut"]
    np.testing.assert_allclose(sum(shares.values()), oracle.trust_logit(unseen), atol=1e-9)


def test_it_says_so_when_a_single_score_is_better(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Labels drawn from the softmax itself: nothing ranks better than MCP, and the rest is noise."""
    rng = np.random.default_rng(0)

    def drawn(n: int, seed: int) -> ClassifierOutputs:
        local = np.random.default_rng(seed)
        logits = 2 * local.normal(size=(n, 4))
        labels = (logits + local.gumbel(size=logits.shape)).argmax(axis=1)
        views = np.stack([logits + 4 * local.normal(size=logits.shape)], axis=1)
        return ClassifierOutputs(logits, labels, views=views)

    fitted = Oracle.fused().fit(drawn(300, 1))
    assert fitted.fitted_ is not None
    test = drawn(3000, int(rng.integers(100, 200)))
    mcp = auroc(MCP().confidence(test), test.is_correct)
    assert auroc(fitted.trust_logit(test), test.is_correct) > mcp - 0.01
    if fitted.fitted_.consensus is None:
        assert "alone, so that is this oracle" in capsys.readouterr().err
        fitted.save(tmp_path)
        loaded = Oracle.load(tmp_path)
        np.testing.assert_array_equal(loaded.trust_logit(test), fitted.trust_logit(test))
        np.testing.assert_allclose(sum(fitted.explain(test).values()), fitted.trust_logit(test))


def test_a_useless_consensus_is_not_taken(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from steepslope import fused

    monkeypatch.setattr(fused, "_consensus_candidates", lambda *_: [])
    outputs = make_complete(800, seed=4)
    fitted = Oracle.fused().fit(outputs)
    error = capsys.readouterr().err
    assert fitted.fitted_ is not None
    name = fitted.fitted_.inputs[0]
    assert f"no consensus ranks better than {name} alone" in error
    assert list(fitted.explain(outputs)) == [name, "cut"]


def test_it_is_saved_whole(oracle: FusedOracle, unseen: ClassifierOutputs, tmp_path: Path) -> None:
    oracle.save(tmp_path / "o")
    loaded = Oracle.load(tmp_path / "o")
    assert isinstance(loaded, FusedOracle)
    assert loaded == oracle
    np.testing.assert_array_equal(loaded.trust_logit(unseen), oracle.trust_logit(unseen))


def test_the_same_data_give_the_same_oracle(
    oracle: FusedOracle, fit_set: ClassifierOutputs, reference: ClassifierOutputs, unseen: ClassifierOutputs
) -> None:
    again = Oracle.fused().fit(fit_set, reference)
    np.testing.assert_array_equal(again.trust_logit(unseen), oracle.trust_logit(unseen))


def test_without_a_reference_what_needs_one_is_left_out(fit_set: ClassifierOutputs) -> None:
    fitted = Oracle.fused().fit(fit_set).fitted_
    assert fitted is not None
    assert not {"neighbors", "foreign_neighbors", "second_opinion"} & set(fitted.inputs)
    crossed = Oracle.fused(errors="crossfit").fit(fit_set).fitted_
    assert crossed is not None
    assert {"neighbors", "second_opinion"} <= set(crossed.inputs)


def test_logits_alone_will_do_for_two_and_for_many_classes() -> None:
    for num_classes in (2, 40):
        outputs = make_complete(1500, num_classes=num_classes, seed=5)
        plain = ClassifierOutputs(outputs.logits, outputs.labels)
        fitted = Oracle.fused().fit(plain)
        z = fitted.trust_logit(plain)
        assert np.isfinite(z).all()
        assert auroc(z, plain.is_correct) > auroc(MCP().confidence(plain), plain.is_correct) - 0.02


def test_a_class_without_references_is_no_obstacle(fit_set: ClassifierOutputs, reference: ClassifierOutputs) -> None:
    some = reference.subset(np.flatnonzero(reference.labels != 2))
    assert np.isfinite(Oracle.fused().fit(fit_set, some).trust_logit(fit_set)).all()


def test_constant_features_are_no_obstacle(fit_set: ClassifierOutputs, reference: ClassifierOutputs) -> None:
    flat, known = (
        replace(some, features=np.ones((len(some), 3), dtype=np.float32), foreign=np.ones((len(some), 2)))
        for some in (fit_set, reference)
    )
    assert np.isfinite(Oracle.fused().fit(flat, known).trust_logit(flat)).all()


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda oracle, _: FusedOracle().trust_logit(make_complete()), "this oracle is not fitted"),
        (lambda oracle, _: oracle.trust_logit(make_complete(num_classes=5)), "fitted for 4 classes, found 5"),
        (
            lambda oracle, outputs: oracle.trust_logit(replace(outputs, views=outputs.views[:, :1])),
            "views: expected the fit set's 2 opinions, found 1",
        ),
        (lambda oracle, outputs: oracle.trust_logit(replace(outputs, foreign=None)), "the outputs hold no foreign"),
        (
            lambda oracle, outputs: oracle.trust_logit(replace(outputs, features=outputs.features[:, :5])),
            "features: expected 8 columns, as in the reference, found 5",
        ),
        (lambda *_: FusedOracle(errors="all"), "unknown errors 'all'"),  # type: ignore[arg-type]
        (lambda *_: FusedOracle(loss="steep"), "did you mean 'steep_slope'"),
        (lambda *_: FusedOracle(alpha_neg=0), "alpha_neg: expected a number from"),
        (lambda *_: Oracle.fused().fit(ClassifierOutputs(np.eye(3), np.arange(3))), "no prediction is wrong"),
    ],
)
def test_wrong_use_is_named(work: Any, message: str, oracle: FusedOracle, unseen: ClassifierOutputs) -> None:
    with pytest.raises(SteepslopeError, match=message):
        work(oracle, unseen)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"inputs": ["logit"]}, "did you mean 'logits'"),
        ({"widths": [1]}, "expected arrays of shapes"),
        ({"num_classes": 7}, "expected arrays of shapes"),
        ({"scale": "big"}, "'scale'"),
    ],
)
def test_damaged_oracles_are_named(damage: dict[str, Any], message: str, oracle: FusedOracle, tmp_path: Path) -> None:
    oracle.save(tmp_path)
    card = read_json(tmp_path / "oracle.json", "an oracle")
    write_json(tmp_path / "oracle.json", card | {"fitted": card["fitted"] | damage})
    with pytest.raises(SteepslopeError, match=message):
        Oracle.load(tmp_path)


def test_few_errors_are_warned_of(reference: ClassifierOutputs) -> None:
    outputs = make_complete(60, seed=6)
    with pytest.warns(FewErrorsWarning, match="fitted on only"):
        Oracle.fused().fit(outputs, reference)


@pytest.mark.parametrize("inputs", ["logits,neighbors", "second_opinion,views", "trust_score"])
def test_other_oracles_see_the_same_evidence(
    inputs: str, fit_set: ClassifierOutputs, reference: ClassifierOutputs, unseen: ClassifierOutputs, tmp_path: Path
) -> None:
    plain = Oracle(inputs=inputs, head="linear", epochs=100).fit(fit_set, reference)
    assert auroc(plain.trust_logit(unseen), unseen.is_correct) > 0.7
    np.testing.assert_allclose(sum(plain.explain(unseen).values()), plain.trust_logit(unseen), atol=1e-9)
    plain.save(tmp_path)
    np.testing.assert_array_equal(Oracle.load(tmp_path).trust_logit(unseen), plain.trust_logit(unseen))
    with pytest.raises(SteepslopeError, match="expected a linear oracle"):
        Oracle(inputs=inputs, hidden=4, epochs=1).fit(fit_set, reference).explain(unseen)


def test_by_command_line(
    fit_set: ClassifierOutputs, reference: ClassifierOutputs, unseen: ClassifierOutputs, tmp_path: Path
) -> None:
    for name, outputs in {"fit": fit_set, "reference": reference, "test": unseen}.items():
        outputs.save(tmp_path / name)
    sets = ["--outputs", str(tmp_path / "fit"), "--reference", str(tmp_path / "reference")]
    assert main(["fit", *sets, "--fused", "true", "--out", str(tmp_path / "fused")]) == 0
    assert isinstance(Oracle.load(tmp_path / "fused"), FusedOracle)
    scores = f"trust_score,temperature_scaled_mcp,{tmp_path / 'fused'}"
    words = ["evaluate", "--outputs", str(tmp_path / "test"), "--scores", scores, "--bootstrap", "50"]
    words += ["--out", str(tmp_path / "report")]
    assert main(words) == 2
    assert main([*words, "--fit", str(tmp_path / "fit"), "--reference", str(tmp_path / "reference")]) == 0
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "what each kind of evidence added to the trust logit" in page
    assert "<th>second_opinion</th>" in page
