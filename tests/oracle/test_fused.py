"""The fused oracle: better than MCP where evidence knows more, MCP where it does not, and honest about both."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, softmax

from steepslope.errors import FewErrorsWarning, SteepslopeError
from steepslope.gate import Gate
from steepslope.metrics import aurc, auroc
from steepslope.oracle import Oracle
from steepslope.oracle._fused import FusedOracle
from steepslope.oracle._fused_fit import FusedFit
from steepslope.oracle.evidence._fitting import evidence_of_all_rows
from steepslope.oracle.evidence._values import evidence_opinions
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from tests.conftest import make_complete
from tests.oracle.conftest import FIT_SET, REFERENCE, UNSEEN, fit_of, sure_of_its_errors

ALONE = 1e-5  # by how much a row's opinions differ when it is alone: products of float32 round as their sizes go


def gain_over_mcp(oracle: FusedOracle, outputs: ClassifierOutputs) -> float:
    mcp = auroc(MCP().confidence(outputs), outputs.is_correct)
    return auroc(oracle.trust_logit(outputs), outputs.is_correct) - mcp


def calibration_error(probability: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> float:
    """Return the mean gap between what is promised and what comes true, in ten bins of as many rows each."""
    bins = np.array_split(np.argsort(probability), 10)
    return float(np.mean([abs(probability[rows].mean() - is_correct[rows].mean()) for rows in bins]))


def drawn(n: int, seed: int, num_classes: int = 4, sharpness: float = 1.0) -> ClassifierOutputs:
    """Draw labels from the softmax of ``sharpness`` times the logits: no score ranks better than MCP by much."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, num_classes))
    labels = (sharpness * logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return ClassifierOutputs(logits, labels)


def beside_noise(n: int, seed: int) -> ClassifierOutputs:
    """Add evidence of every kind that knows nothing."""
    outputs, rng = drawn(n, seed), np.random.default_rng(seed + 1000)
    features, auxiliary, views = rng.normal(size=(n, 6)), rng.normal(size=(n, 5)), 2 * rng.normal(size=(n, 1, 4))
    return outputs.changed(features=features, auxiliary=auxiliary, views=views)


@pytest.mark.slow
def test_it_beats_mcp_where_evidence_knows_more(
    oracle: FusedOracle, free: FusedOracle, with_auxiliary: FusedOracle
) -> None:
    assert gain_over_mcp(free, UNSEEN) > 0.05
    assert gain_over_mcp(with_auxiliary, UNSEEN) > gain_over_mcp(free, UNSEEN)
    assert gain_over_mcp(oracle, UNSEEN) > gain_over_mcp(free, UNSEEN)
    np.testing.assert_array_equal(oracle.confidence(UNSEEN) > 0.5, oracle.trusts(UNSEEN))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
@pytest.mark.parametrize(("n", "least", "on_average"), [(200, -0.02, -0.01), (500, -0.01, -0.005)])
def test_it_does_not_end_below_what_cannot_be_beaten(n: int, least: float, on_average: float) -> None:
    """Labels drawn from the softmax itself, beside noise, for several fit sets."""
    new = beside_noise(4000, 99)
    gains = [gain_over_mcp(Oracle.fused().fit(beside_noise(n, seed)), new) for seed in range(4)]
    assert min(gains) > least
    assert np.mean(gains) > on_average
    assert max(gains) < 0.01


def test_where_there_is_nothing_else_it_is_mcp() -> None:
    outputs, new = drawn(600, 1), drawn(2000, 2)
    fitted = Oracle.fused().fit(outputs)
    assert fit_of(fitted).inputs == ("logits",)
    assert "no pool ranks better than MCP, so this oracle is MCP" in fit_of(fitted).summary
    order = np.argsort(MCP().confidence(new))
    assert (np.diff(fitted.trust_logit(new)[order]) > 0).all()
    assert list(fitted.explain(new)) == ["logits", "others", "cut"]


@pytest.mark.parametrize("sharpness", [0.4, 2.0])
def test_p_correct_is_calibrated_whatever_the_classifier_promises(sharpness: float) -> None:
    """The classifier is too sure, or not sure enough: its own softmax is far off."""
    fitted, new = Oracle.fused().fit(drawn(1500, 1, sharpness=sharpness)), drawn(6000, 2, sharpness=sharpness)
    assert calibration_error(fitted.p_correct(new), new.is_correct) < 0.035
    assert calibration_error(expit(MCP().confidence(new)), new.is_correct) > 0.07


@pytest.mark.slow
def test_a_pools_p_correct_is_calibrated(oracle: FusedOracle, free: FusedOracle, with_auxiliary: FusedOracle) -> None:
    for one in (oracle, free, with_auxiliary):
        p = one.p_correct(UNSEEN)
        assert calibration_error(p, UNSEEN.is_correct) < 0.03
        assert calibration_error(1 - p, UNSEEN.is_correct) > 0.2


@pytest.mark.parametrize(
    ("loss", "parameters", "cut"),
    [
        ("steep_slope", {}, 3 / 4),
        ("steep_slope", {"alpha_pos": 2.0, "alpha_neg": 8.0}, 8 / 10),
        ("steep_slope", {"alpha_pos": 3.0, "alpha_neg": 1.0}, 1 / 4),
        ("cross_entropy", {}, 1 / 2),
    ],
)
def test_trusted_is_what_the_loss_finds_probable_enough(
    loss: str, parameters: dict[str, Any], cut: float, free: FusedOracle
) -> None:
    """The same fit under another loss: only the cut is the loss's."""
    other = FusedOracle(loss=loss, budget="free", **parameters)
    other.fitted_ = free.fitted_
    np.testing.assert_array_equal(other.trust_logit(UNSEEN) > 0, other.p_correct(UNSEEN) > cut)
    assert 0 < other.trusts(UNSEEN).mean() < 1


def explained_by_hand(
    fitted: FusedFit, outputs: ClassifierOutputs, row: int
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Return what each opinion adds to the pool's log-odds of one row, and the utilities of the candidates."""
    inputs, widths, pool = fitted.pool.inputs, fitted.pool.widths, fitted.pool.pool
    *parts, _ = evidence_of_all_rows(outputs.subset(np.array([row])), inputs, fitted.states, evidence_opinions)
    weights = dict(zip(inputs, np.split(pool.weights, np.cumsum(widths)[:-1]), strict=True))
    shares = {name: weights[name] @ part[0] for name, part in zip(inputs, parts, strict=True)}
    utilities = np.sum(list(shares.values()), axis=0)
    utilities[-1] += pool.others[0]
    rival = 1 + int(np.argmax(utilities[1:]))
    return {name: float(part[0] - part[rival]) for name, part in shares.items()}, utilities


def test_it_is_explained_to_the_last_digit(oracle: FusedOracle, free: FusedOracle, with_auxiliary: FusedOracle) -> None:
    for one in (oracle, free, with_auxiliary):
        explained, fitted = one.explain(UNSEEN), fit_of(one)
        handed = ["handover"] if fitted.handovers else []
        assert list(explained) == [*fitted.pool.inputs, "others", *handed, "cut"]
        np.testing.assert_allclose(sum(explained.values()), one.trust_logit(UNSEEN), atol=1e-9)
        cut = fitted.slope * fitted.pool.offset + fitted.offset - np.log(3)
        np.testing.assert_allclose(explained["cut"], cut, atol=1e-12)
        for row in range(8):
            gaps, utilities = explained_by_hand(fitted, UNSEEN, row)
            for name, gap in gaps.items():
                assert explained[name][row] == pytest.approx(fitted.slope * fitted.pool.slope * gap, abs=ALONE)
            others = -np.log(np.exp(utilities[1:] - utilities[1:].max()).sum())
            assert explained["others"][row] == pytest.approx(fitted.slope * fitted.pool.slope * others, abs=ALONE)


def odds_of_pools(fitted: FusedFit, outputs: ClassifierOutputs) -> list[NDArray[np.float64]]:
    """Return the log-odds (n,) by the pool, and by each to which rows are handed over, from plain formulas."""
    *parts, _ = evidence_of_all_rows(outputs, fitted.inputs, fitted.states, evidence_opinions)
    by_name = dict(zip(fitted.inputs, parts, strict=True))
    odds = []
    for pool in fitted.pools:
        stacked, weights = np.concatenate([by_name[name] for name in pool.inputs], axis=1), pool.pool.weights
        shares = np.log(weights @ softmax(stacked, axis=2)) if pool.is_linear else weights @ stacked
        odds.append(pool.slope * (shares[:, 0] - logsumexp(shares[:, 1:], axis=1)) + pool.offset)
    return odds


@pytest.mark.parametrize("budget", ["free", "auxiliary"])
def test_unfamiliar_rows_take_most_of_the_fallbacks_log_odds(
    budget: str, free: FusedOracle, with_auxiliary: FusedOracle
) -> None:
    """Features that lie far away: most is what the next pool finds, and so on in between; familiar rows keep all."""
    oracle = free if budget == "free" else with_auxiliary
    fitted = fit_of(oracle)
    for pool in fitted.fallbacks:
        assert not {"second_opinion", "joint_opinion", "views"} & set(pool.inputs)
    assert [pool.is_linear for pool in fitted.pools] == [False] * (len(fitted.pools) - 1) + [True]
    steady = fitted.pools[-1]
    assert steady.pool.weights[0] == 0.5
    np.testing.assert_allclose(steady.pool.weights[1:], 0.5 / (sum(steady.widths) - 1))
    arrays = ("features", "auxiliary")[: len(fitted.handovers)]
    far = UNSEEN.changed(**{name: 100 + UNSEEN.require(name) for name in arrays})
    for outputs in (far, UNSEEN):
        mixed, *rest = odds_of_pools(fitted, outputs)[::-1]
        for odds, handover in zip(rest, fitted.handovers[::-1], strict=True):
            weight = handover.weight(outputs)
            mixed = (1 - 0.75 * weight) * odds + 0.75 * weight * mixed
        expected = fitted.slope * mixed + fitted.offset - np.log(3)
        np.testing.assert_allclose(oracle.trust_logit(outputs), expected, atol=1e-9)
    handed_over = oracle.handed_over(UNSEEN)
    assert handed_over is not None
    assert 0 < handed_over.mean() < 0.2
    familiar = handed_over == 0
    alone = fitted.slope * odds_of_pools(fitted, UNSEEN)[0] + fitted.offset - np.log(3)
    np.testing.assert_allclose(oracle.trust_logit(UNSEEN)[familiar], alone[familiar], atol=1e-9)
    np.testing.assert_array_equal(oracle.handed_over(far), np.ones(len(far)))


def test_far_rows_are_ranked_more_as_the_classifier_ranks_them(free: FusedOracle) -> None:
    """Features that mean nothing any more mislead what was learnt, and not the classifier's own confidence."""
    fitted, features = fit_of(free), np.asarray(UNSEEN.features)
    spoilt = UNSEEN.changed(features=3 * features[np.random.default_rng(0).permutation(len(UNSEEN))])
    handed_over = free.handed_over(spoilt)
    assert handed_over is not None
    assert handed_over.mean() > 0.8
    aucs = [
        auroc(one, UNSEEN.is_correct)
        for one in (odds_of_pools(fitted, spoilt)[0], free.trust_logit(spoilt), MCP().confidence(spoilt))
    ]
    assert aucs == sorted(aucs)
    assert aucs[1] > aucs[0] + 0.02


def drifted(seed: int) -> ClassifierOutputs:
    """Return new rows whose features have changed places with another row's, so that what was learnt misleads."""
    new = make_complete(1_500, seed=seed)
    return new.changed(features=np.asarray(new.features)[np.random.default_rng(seed).permutation(len(new))])


def test_labels_of_changed_rows_mend_the_ranking(free: FusedOracle, tmp_path: Path) -> None:
    """A hundred of them: then the classifier's own confidence counts more; the same is explained, saved and loaded."""
    few, many = drifted(11).subset(slice(100)), drifted(12)
    before = free.trust_logit(many)
    oracle = free.adapted(few)
    np.testing.assert_array_equal(free.trust_logit(many), before)
    assert free.rows_fitted_on(few) == 0
    assert oracle.rows_fitted_on(few) == len(few)
    assert oracle.rows_fitted_on(FIT_SET) == len(FIT_SET)
    assert fit_of(oracle).own_slope > 0
    assert "adapted: the classifier's own log-odds count" in fit_of(oracle).summary
    aucs = [auroc(one, many.is_correct) for one in (before, oracle.trust_logit(many), MCP().confidence(many))]
    assert aucs[1] > aucs[0] + 0.25 * (aucs[2] - aucs[0])
    assert aucs[2] > aucs[0] + 0.03
    assert calibration_error(oracle.p_correct(many), many.is_correct) < 0.08
    np.testing.assert_allclose(sum(oracle.explain(many).values()), oracle.trust_logit(many), atol=1e-9)
    oracle.save(tmp_path)
    np.testing.assert_array_equal(Oracle.load(tmp_path).trust_logit(many), oracle.trust_logit(many))
    assert Oracle.load(tmp_path).rows_fitted_on(few) == len(few)


def test_labels_of_familiar_rows_leave_the_ranking_as_it_is(free: FusedOracle) -> None:
    few = make_complete(200, seed=13)
    again = free.adapted(few.subset(slice(100))).adapted(few.subset(slice(100, None)))
    before, after = free.trust_logit(UNSEEN), again.trust_logit(UNSEEN)
    assert auroc(after, UNSEEN.is_correct) > auroc(before, UNSEEN.is_correct) - 0.003


def test_rows_that_tell_nothing_are_refused(free: FusedOracle) -> None:
    right = UNSEEN.subset(np.flatnonzero(UNSEEN.is_correct))
    with pytest.raises(SteepslopeError, match="no prediction is wrong"):
        free.adapted(right)
    with pytest.raises(SteepslopeError, match="expected rows that are new to the oracle, found 500 that it was fitted"):
        free.adapted(FIT_SET)


@pytest.mark.parametrize("num_classes", [2, 30])
def test_any_number_of_classes_will_do(num_classes: int, tmp_path: Path) -> None:
    outputs, new = (make_complete(800, num_classes=num_classes, seed=seed) for seed in (5, 6))
    fitted = Oracle.fused(budget="free").fit(outputs)
    assert gain_over_mcp(fitted, new) > 0
    others = fit_of(fitted).pool.pool.others
    assert (others != 0).all() == (num_classes > 10)
    np.testing.assert_allclose(sum(fitted.explain(new).values()), fitted.trust_logit(new), atol=1e-9)
    fitted.save(tmp_path)
    np.testing.assert_array_equal(Oracle.load(tmp_path).trust_logit(new), fitted.trust_logit(new))


def test_a_class_without_references_is_no_obstacle() -> None:
    """Neither in the reference nor in the fit set."""
    known, rows = (outputs.subset(np.flatnonzero(outputs.labels != 2)) for outputs in (REFERENCE, FIT_SET))
    assert np.isfinite(Oracle.fused(budget="free").fit(rows, known).trust_logit(FIT_SET)).all()


@pytest.mark.slow
def test_constant_features_are_no_obstacle() -> None:
    flat, known = (
        some.changed(features=np.ones((len(some), 3), dtype=np.float32), auxiliary=np.ones((len(some), 2)))
        for some in (FIT_SET, REFERENCE)
    )
    assert np.isfinite(Oracle.fused().fit(flat, known).trust_logit(flat)).all()


def test_a_seed_gives_the_same_oracle_and_crossfit_is_no_reference() -> None:
    some = FIT_SET.subset(slice(300))
    settings: list[dict[str, Any]] = [{"seed": 1}, {"seed": 1}, {"seed": 1, "errors": "crossfit"}, {"seed": 2}]
    oracles = [FusedOracle(budget="free", **one).fit(some) for one in settings]
    first, again, crossed, other = (one.trust_logit(REFERENCE) for one in oracles)
    assert fit_of(oracles[0]).inputs != ("logits",)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, crossed)
    assert (first != other).any()
    with pytest.raises(SteepslopeError, match="reference: expected none with errors='crossfit'"):
        FusedOracle(errors="crossfit").fit(FIT_SET, REFERENCE)


def test_what_cannot_be_had_is_named() -> None:
    outputs, known = FIT_SET.subset(np.arange(60)), REFERENCE.changed(auxiliary=None)
    with pytest.warns(FewErrorsWarning, match="fitted on only"):
        fitted = fit_of(Oracle.fused().fit(outputs.changed(views=None, dropout=None), known))
    assert fitted.left_out == {
        "views": "no views in the outputs",
        "dropout": "no dropout in the outputs",
        "second_opinion": "no auxiliary in the reference or in its copies",
        "joint_opinion": "no auxiliary in the reference or in its copies",
        "familiar_opinion": "no auxiliary in the reference or in its copies",
    }
    assert fitted.missing["no views in the outputs"] == ["views"]
    with pytest.warns(FewErrorsWarning):
        alone = fit_of(Oracle.fused().fit(outputs.changed(auxiliary=None)))
    assert alone.left_out["neighbors"] == "fewer than 50 references"  # of 60 rows, 48 lie in other folds


@pytest.mark.slow
def test_with_few_errors_neighbours_and_the_net_need_no_weights(tmp_path: Path) -> None:
    """An overconfident classifier is wrong in a twentieth of rows whose features tell the class."""
    fit, new = sure_of_its_errors(400, 0), sure_of_its_errors(1_000, 1)
    with pytest.warns(FewErrorsWarning, match="only 27 errors"):
        oracle = Oracle.fused(budget="free").fit(fit)
    pool = fit_of(oracle).pool
    assert pool.is_linear
    assert pool.inputs == ("logits", "neighbors", "feature_opinion")
    assert aurc(oracle.trust_logit(new), new.is_correct) < 0.2 * aurc(MCP().confidence(new), new.is_correct)
    oracle.save(tmp_path / "oracle")
    np.testing.assert_array_equal(Oracle.load(tmp_path / "oracle").trust_logit(new), oracle.trust_logit(new))
    explained = oracle.explain(new)
    assert np.abs(explained["others"]).max() < 1e-8
    assert explained["neighbors"][new.is_correct].mean() > 0 > explained["neighbors"][~new.is_correct].mean()


@pytest.mark.parametrize(
    ("classes", "missing"),
    [
        (317, ["stack(logits)", "stack(logits+opinion_other)"]),
        pytest.param(224, ["stack(logits+opinion_other)"], marks=pytest.mark.slow),
    ],
)
def test_a_stacker_of_too_many_classes_is_named_as_missing(classes: int, missing: list[str]) -> None:
    """With 317 classes it would have 317 · 317 weights, of 100,000 at most; with an opinion, twice as many."""
    outputs = drawn(400, 0, num_classes=classes, sharpness=1.5)
    other = np.random.default_rng(1).normal(size=(400, classes))
    fitted = fit_of(Oracle.fused(budget="free").fit(outputs.with_opinion("other", other)))
    assert fitted.missing["too many classes for at most 100,000 weights"] == missing


def narrow(outputs: ClassifierOutputs, name: str) -> ClassifierOutputs:
    """Take the last column of an array away, or the last view."""
    array = outputs.require(name)
    return outputs.changed(**{name: array[:, :-1]})


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda *_: FusedOracle().trust_logit(make_complete()), "this oracle is not fitted"),
        (lambda *_: FusedOracle().save("nowhere"), "this oracle is not fitted"),
        (lambda one, _: one.trust_logit(make_complete(num_classes=5)), "fitted for 4 classes, found 5"),
        (lambda one, new: one.trust_logit(narrow(new, "views")), "views: expected the fit set's 2 opinions, found 1"),
        (lambda one, new: one.trust_logit(new.changed(features=None)), "the outputs hold no features"),
        (lambda one, new: one.trust_logit(narrow(new, "features")), "features: expected 8 columns.*, found 7"),
        (lambda one, new: one.trust_logit(narrow(new, "auxiliary")), r"expected (8|16) columns.*, found (7|8 \+ 7)"),
        (lambda *_: Oracle.fused().fit(ClassifierOutputs(np.eye(3), np.arange(3))), "no prediction is wrong"),
        (lambda *_: Oracle.fused().fit(ClassifierOutputs(np.eye(3), [1, 2, 0])), "no prediction is correct"),
        (lambda *_: Oracle.fused().fit(make_complete(90), make_complete(90)), "found 90 in both, such as 'row/0/0'"),
        (lambda *_: Oracle.fused().fit(FIT_SET, make_complete(num_classes=5)), "the fit set's 4 classes, found 5"),
        (lambda *_: Oracle.fused().fit(FIT_SET, narrow(REFERENCE, "features")), "features: .* found 7 and 8"),
    ],
)
def test_wrong_use_is_named(work: Any, message: str, oracle: FusedOracle) -> None:
    with pytest.raises(SteepslopeError, match=message):
        work(oracle, UNSEEN)


def test_an_infinite_auxiliary_feature_is_named_without_a_warning(oracle: FusedOracle) -> None:
    auxiliary = UNSEEN.require("auxiliary").copy()
    auxiliary[3, 0] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SteepslopeError, match="opinion: expected finite values, found others in row 3"):
            oracle.trust_logit(UNSEEN.changed(auxiliary=auxiliary))


def test_rows_of_the_reference_are_known_again_and_calibrate_no_gate(free: FusedOracle) -> None:
    some = REFERENCE.subset(slice(100, 300))
    assert free.rows_fitted_on(some) == 200
    assert free.rows_fitted_on(UNSEEN) == 0
    with pytest.raises(SteepslopeError, match="expected rows that nothing was fitted on, found 200 of 200"):
        Gate.of(free, some)
