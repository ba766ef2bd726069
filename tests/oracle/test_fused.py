"""The fused oracle: better than its parts where they know more, the best of them where they do not."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.stats import spearmanr

from steepslope.cli import main
from steepslope.errors import FewErrorsWarning, SteepslopeError
from steepslope.evidence.fitting import all_parts
from steepslope.evidence.opinions import opinions_of
from steepslope.losses import LOSSES
from steepslope.metrics import auroc, tnr, tpr
from steepslope.oracle import Oracle
from steepslope.oracle.fused import FusedOracle
from steepslope.oracle.selection import Candidate
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP, Energy, MaxLogitPNorm
from steepslope.utilities.files import read_json
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
    assert {"second_opinion", "joint_opinion"} & set(oracle.fitted_.inputs)
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
    """Each part against a formula of its own, on a few rows; together they are the trust logit."""
    explained, fitted = oracle.explain(unseen), oracle.fitted_
    assert fitted is not None
    pool = fitted.pool
    assert pool is not None
    assert list(explained) == [*fitted.inputs, "others", "cut"]
    np.testing.assert_allclose(sum(explained.values()), oracle.trust_logit(unseen), atol=1e-9)
    *parts, classes = all_parts(unseen, fitted.inputs, fitted.states, opinions_of)
    for row in range(5):
        utilities = np.zeros(classes.shape[1])
        start = 0
        for part in parts:
            weights = pool.weights[start : start + part.shape[1]]
            utilities += weights @ part[row]
            start += part.shape[1]
        rival = 1 + int(utilities[1:].argmax())
        start = 0
        for name, part in zip(fitted.inputs, parts, strict=True):
            weights = pool.weights[start : start + part.shape[1]]
            gap = float(weights @ (part[row, :, 0] - part[row, :, rival]))
            assert explained[name][row] == pytest.approx(fitted.scale * gap, abs=1e-9)
            start += part.shape[1]
        rest = np.exp(utilities[1:] - utilities[rival]).sum()
        assert explained["others"][row] == pytest.approx(-fitted.scale * np.log(rest), abs=1e-9)


def test_no_opinion_counts_against_what_it_says(oracle: FusedOracle) -> None:
    assert oracle.fitted_ is not None
    assert oracle.fitted_.pool is not None
    assert (oracle.fitted_.pool.weights >= 0).all()


def drawn(n: int, seed: int, num_classes: int = 4) -> ClassifierOutputs:
    """Draw labels from the softmax itself: nothing ranks better than MCP; the views are noise."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, num_classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    views = np.stack([logits + 4 * rng.normal(size=logits.shape)], axis=1)
    return ClassifierOutputs(logits, labels, views=views)


def scaled_by_luck(n: int, seed: int) -> ClassifierOutputs:
    """Logits whose scale says nothing, and misleads all but MaxLogit-pNorm, which divides by it."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, 20))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return ClassifierOutputs(logits * rng.lognormal(0, 1.5, size=(n, 1)), labels)


def test_it_is_a_single_score_where_that_ranks_best(tmp_path: Path) -> None:
    fitted = Oracle.fused().fit(scaled_by_luck(1500, 1))
    assert fitted.fitted_ is not None
    assert fitted.fitted_.inputs == ("max_logit_pnorm",)
    assert fitted.fitted_.pool is None
    assert "no pool ranks better than max_logit_pnorm alone" in str(fitted.fitted_)
    test = scaled_by_luck(3000, 2)
    alone = auroc(MaxLogitPNorm().fit(scaled_by_luck(1500, 1)).confidence(test), test.is_correct)
    assert auroc(fitted.trust_logit(test), test.is_correct) == alone
    assert alone > auroc(MCP().confidence(test), test.is_correct) + 0.02
    assert list(fitted.explain(test)) == ["max_logit_pnorm", "cut"]
    np.testing.assert_allclose(sum(fitted.explain(test).values()), fitted.trust_logit(test))
    fitted.save(tmp_path)
    np.testing.assert_array_equal(Oracle.load(tmp_path).trust_logit(test), fitted.trust_logit(test))


def test_noise_does_no_harm() -> None:
    fitted, test = Oracle.fused().fit(drawn(300, 1)), drawn(3000, 2)
    mcp = auroc(MCP().confidence(test), test.is_correct)
    assert auroc(fitted.trust_logit(test), test.is_correct) > mcp - 0.01


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_a_single_score_keeps_its_order(shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of the logits, no two predictions that a score tells apart are tied."""
    from steepslope.oracle import fused

    monkeypatch.setattr(fused, "SCORES", {"energy": Energy})
    alone = lambda opinions, *_: Candidate(("logits",), 1.0, -opinions.classes[:, 0])  # noqa: E731
    monkeypatch.setattr(fused, "best_pool", alone)
    outputs = drawn(2000, 3)
    shifted = ClassifierOutputs(outputs.logits + shift, outputs.labels)
    z, energy = Oracle.fused().fit(shifted).trust_logit(shifted), Energy().confidence(shifted)
    np.testing.assert_array_equal(np.unique(energy, return_inverse=True)[1], np.unique(z, return_inverse=True)[1])


def test_it_is_saved_whole(oracle: FusedOracle, unseen: ClassifierOutputs, tmp_path: Path) -> None:
    oracle.save(tmp_path / "o")
    loaded = Oracle.load(tmp_path / "o")
    assert isinstance(loaded, FusedOracle)
    assert loaded.settings == oracle.settings
    np.testing.assert_array_equal(loaded.trust_logit(unseen), oracle.trust_logit(unseen))


def test_the_same_data_give_the_same_oracle(
    oracle: FusedOracle, fit_set: ClassifierOutputs, reference: ClassifierOutputs, unseen: ClassifierOutputs
) -> None:
    again = Oracle.fused().fit(fit_set, reference)
    np.testing.assert_array_equal(again.trust_logit(unseen), oracle.trust_logit(unseen))


def test_without_a_reference_what_needs_one_is_left_out(fit_set: ClassifierOutputs) -> None:
    fitted = Oracle.fused().fit(fit_set).fitted_
    assert fitted is not None
    assert not {"neighbors", "second_opinion"} & set(fitted.inputs)
    assert fitted.left_out["second_opinion"] == "no reference"
    crossed = Oracle.fused(errors="crossfit").fit(fit_set).fitted_
    assert crossed is not None
    assert {"second_opinion", "joint_opinion"} & set(crossed.inputs)
    assert crossed.left_out == {"noise": "no noise in the outputs"}


def test_what_cannot_be_had_is_named(fit_set: ClassifierOutputs, reference: ClassifierOutputs) -> None:
    known = reference.subset(np.arange(40)).changed(auxiliary=None)
    fitted = Oracle.fused().fit(fit_set.changed(views=None), known).fitted_
    assert fitted is not None
    assert fitted.left_out == {
        "neighbors": "fewer than 50 references",
        "views": "no views in the outputs",
        "second_opinion": "no auxiliary in the reference",
        "joint_opinion": "no auxiliary in the reference",
        "knn_distance": "fewer than 50 references",
        "noise": "no noise in the outputs",
    }
    assert "views: no views in the outputs" in str(fitted)


def test_what_it_saw_under_train_tells_nothing(unseen: ClassifierOutputs) -> None:
    """Features of noise: an oracle that let rows see their own labels would rank at random on others."""

    def noise(n: int, seed: int) -> ClassifierOutputs:
        outputs, rng = drawn(n, seed), np.random.default_rng(seed + 10)
        return ClassifierOutputs(outputs.logits, outputs.labels, rng.normal(size=(n, 5)))

    test = noise(2000, 8)
    z = Oracle.fused(errors="train").fit(noise(800, 7)).trust_logit(test)
    assert auroc(z, test.is_correct) > auroc(MCP().confidence(test), test.is_correct) - 0.02


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
        some.changed(features=np.ones((len(some), 3), dtype=np.float32), auxiliary=np.ones((len(some), 2)))
        for some in (fit_set, reference)
    )
    assert np.isfinite(Oracle.fused().fit(flat, known).trust_logit(flat)).all()


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda oracle, _: FusedOracle().trust_logit(make_complete()), "this oracle is not fitted"),
        (lambda oracle, _: oracle.trust_logit(make_complete(num_classes=5)), "fitted for 4 classes, found 5"),
        (
            lambda oracle, outputs: oracle.trust_logit(outputs.changed(views=outputs.views[:, :1])),
            "views: expected the fit set's 2 opinions, found 1",
        ),
        (lambda oracle, outputs: oracle.trust_logit(outputs.changed(auxiliary=None)), "the outputs hold no auxiliary"),
        (
            lambda oracle, outputs: oracle.trust_logit(outputs.changed(features=outputs.features[:, :5])),
            r"joint_opinion: features and auxiliary: expected 16 columns in all, found 5 \+ 8",
        ),
        (lambda *_: FusedOracle(errors="all"), "errors: expected holdout or crossfit or train, found 'all'"),
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
        ({"inputs": ["features"]}, "unknown input"),
        ({"inputs": ["mcp"]}, "unknown input"),
        ({"inputs": [["logits"]]}, "unknown input"),
        ({"widths": [1]}, "expected 1 weights"),
        ({"widths": ["1"]}, "expected 0 weights"),
        ({"num_classes": 7}, "expected what .* learnt, found nothing or something else"),
        ({"scale": "big"}, "'scale'"),
        ({"scale": -1.0}, "expected a finite offset and scale > 0"),
        ({"scale": float("nan")}, "expected a finite offset and scale > 0"),
    ],
)
def test_damaged_oracles_are_named(damage: dict[str, Any], message: str, oracle: FusedOracle, tmp_path: Path) -> None:
    oracle.save(tmp_path)
    card = read_json(tmp_path / "oracle.json", "an oracle")
    text = json.dumps(card | {"fitted": card["fitted"] | damage})  # which writes NaN, unlike our own
    (tmp_path / "oracle.json").write_text(text)
    with pytest.raises(SteepslopeError, match=message):
        Oracle.load(tmp_path)


def damaged_points(states: dict[str, Any]) -> None:
    states["neighbors/points"] = states["neighbors/points"].astype(np.float64)


def damaged_starts(states: dict[str, Any]) -> None:
    states["neighbors/starts"][-1] += 1


def damaged_probe(states: dict[str, Any]) -> None:
    states["second_opinion/bias"] = states["second_opinion/bias"][:2]


def lost(states: dict[str, Any]) -> None:
    del states["neighbors/centre"]


def damaged_power(states: dict[str, Any]) -> None:
    states["max_logit_pnorm/power"] = np.ones(2)


@pytest.mark.parametrize("damage", [damaged_points, damaged_starts, damaged_probe, damaged_power, lost])
def test_damaged_states_are_named(
    damage: Any, fit_set: ClassifierOutputs, reference: ClassifierOutputs, tmp_path: Path
) -> None:
    oracle = Oracle(inputs="neighbors,second_opinion,max_logit_pnorm", epochs=1).fit(fit_set, reference)
    oracle.save(tmp_path)
    path = tmp_path / "evidence.safetensors"
    states = load_file(path)
    damage(states)
    save_file(states, path)
    with pytest.raises(SteepslopeError, match=r"evidence.safetensors: expected what \w+ learnt"):
        Oracle.load(tmp_path)


def test_rows_that_were_fitted_to_are_refused(
    fit_set: ClassifierOutputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit_set.save(tmp_path / "o")
    path = str(tmp_path / "o")
    words = ["evaluate", "--outputs", path, "--reference", path, "--scores", "trust_score", "--out", path + "r"]
    assert main(words) == 2
    assert "trust_score: expected other rows, found 800 in both" in capsys.readouterr().err


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
    assert main(["fit", *sets, "--fused", "--out", str(tmp_path / "fused")]) == 0
    assert isinstance(Oracle.load(tmp_path / "fused"), FusedOracle)
    (tmp_path / "plain").touch()
    modes = {path.stat().st_mode for path in [*(tmp_path / "fused").iterdir(), tmp_path / "plain"]}
    assert len(modes) == 1  # whoever reads other new files here reads the weights
    scores = f"trust_score,temperature_scaled_mcp,{tmp_path / 'fused'}"
    words = ["evaluate", "--outputs", str(tmp_path / "test"), "--scores", scores, "--bootstrap", "50"]
    words += ["--out", str(tmp_path / "report")]
    assert main(words) == 2
    assert main([*words, "--fit", str(tmp_path / "fit"), "--reference", str(tmp_path / "reference")]) == 0
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "what each kind of evidence added to the trust logit" in page
    assert "_opinion</th>" in page


def test_an_infinite_auxiliary_feature_is_named_without_a_warning(
    oracle: FusedOracle, unseen: ClassifierOutputs
) -> None:
    auxiliary = unseen.require("auxiliary").copy()
    auxiliary[3, 0] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SteepslopeError, match="opinion: expected finite values, found others in row 3"):
            oracle.trust_logit(unseen.changed(auxiliary=auxiliary))
