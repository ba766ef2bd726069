"""The oracle: what it learns, keeps, refuses, and remembers of its classifier and the rows that it was fitted on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from steepslope.errors import FewErrorsWarning, SteepslopeError
from steepslope.files._folders import read_json, write_json
from steepslope.files._weights import load_arrays, save_arrays
from steepslope.losses import LOSSES
from steepslope.metrics import auroc
from steepslope.nets.training import _columns as columns
from steepslope.numerics._blocks import read_rows
from steepslope.oracle import Oracle
from steepslope.oracle._column_net import FitRows
from steepslope.oracle._storage import CARD, FIT_ROWS, ORACLE
from steepslope.oracle.evidence._values import evidence_columns
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_outputs
from tests.files.sealing import seal_again

QUICK: dict[str, Any] = {"epochs": 60, "learning_rate": 0.03}


@pytest.mark.parametrize(("loss", "head"), [*((loss, "hyperplane") for loss in LOSSES), ("steep_slope", "linear")])
def test_every_loss_and_head_learns(loss: str, head: str, outputs: ClassifierOutputs) -> None:
    """Correctness depends on the first feature: each oracle must find it on rows it has not seen."""
    oracle = Oracle(loss=loss, head=head, **QUICK).fit(outputs)
    unseen = make_outputs(2000, seed=1)
    z = oracle.trust_logit(unseen)
    assert z.dtype == np.float64
    best = auroc(unseen.require_features()[:, 0], unseen.is_correct)
    assert auroc(z, unseen.is_correct) > best - 0.05
    np.testing.assert_array_equal(oracle.trusts(unseen), oracle.confidence(unseen) > 0.5)
    np.testing.assert_allclose(oracle.confidence(unseen), 1 / (1 + np.exp(-z)))


@pytest.mark.parametrize(
    "settings",
    [{}, {"hidden": (8, 4), "inputs": "features,logits"}, {"inputs": "logits,neighbors", "errors": "crossfit"}],
)
def test_saving_keeps_settings_and_answers(
    settings: dict[str, Any], outputs: ClassifierOutputs, tmp_path: Path
) -> None:
    oracle = Oracle(**settings, **QUICK).fit(outputs)
    oracle.save(tmp_path)
    loaded = Oracle.load(tmp_path)
    assert isinstance(loaded, Oracle)
    assert loaded.settings == oracle.settings
    np.testing.assert_array_equal(loaded.trust_logit(outputs), oracle.trust_logit(outputs))


def test_a_seed_fixes_the_oracle(outputs: ClassifierOutputs) -> None:
    answers = [Oracle(seed=seed, hidden=8, **QUICK).fit(outputs).trust_logit(outputs) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])


def test_alphas_move_the_cut(outputs: ClassifierOutputs) -> None:
    """A larger alpha_neg asks for a higher probability of being correct, so less is trusted."""
    fractions = [Oracle(alpha_neg=a, **QUICK).fit(outputs).trusts(outputs).mean() for a in (0.5, 1, 3, 6)]
    assert (np.diff(fractions) < 0).all()


def test_tcp_regresses_the_true_class_probability(outputs: ClassifierOutputs) -> None:
    oracle = Oracle(loss="true_class_probability", inputs="features,logits", hidden=32, epochs=60).fit(outputs)
    correlation = np.corrcoef(oracle.confidence(outputs), outputs.true_class_probability)[0, 1]
    assert correlation > 0.8


def test_a_constant_feature_is_harmless(outputs: ClassifierOutputs) -> None:
    features = np.column_stack([outputs.require_features(), np.full(len(outputs), 7.0)])
    constant = ClassifierOutputs(outputs.logits, outputs.labels, features)
    assert np.isfinite(Oracle(**QUICK).fit(constant).trust_logit(constant)).all()


def test_few_errors_are_warned_of() -> None:
    few = make_outputs(60)
    with pytest.warns(FewErrorsWarning, match=r"fitted on only \d+ errors"):
        Oracle(**QUICK).fit(few)


def test_mismatched_use_is_named(outputs: ClassifierOutputs) -> None:
    oracle = Oracle(**QUICK).fit(outputs)
    wider = ClassifierOutputs(outputs.logits, outputs.labels, np.ones((400, 9)))
    for other, message in (
        (make_outputs(num_classes=5), "fitted for 4 classes, found 5"),
        (wider, "features: expected the fit set's 6 columns, found 9"),
        (outputs.changed(features=None), "the outputs hold no features"),
    ):
        with pytest.raises(SteepslopeError, match=message):
            oracle.trust_logit(other)


def test_features_that_are_not_finite_are_named(outputs: ClassifierOutputs) -> None:
    features = outputs.require_features().copy()
    features[7, 2] = np.nan
    with pytest.raises(SteepslopeError, match="features: expected finite values, found others in row 7"):
        Oracle().fit(ClassifierOutputs(outputs.logits, outputs.labels, features))


def test_a_diverging_fit_is_named(outputs: ClassifierOutputs) -> None:
    with pytest.raises(SteepslopeError, match="the loss became NaN"):
        Oracle(hidden=8, head="linear", **(QUICK | {"learning_rate": 1e30})).fit(outputs)


@pytest.mark.parametrize("settings", [{"loss": "none"}, {"hidden": [3]}])
def test_damaged_oracles_are_named(outputs: ClassifierOutputs, tmp_path: Path, settings: dict[str, Any]) -> None:
    Oracle(epochs=1).fit(outputs).save(tmp_path)
    write_json(tmp_path / CARD, read_json(tmp_path / CARD, "a card") | {"settings": settings})
    seal_again(ORACLE, tmp_path)
    with pytest.raises(SteepslopeError, match=str(tmp_path)):
        Oracle.load(tmp_path)


@pytest.mark.parametrize("num_classes", [2, 50])
def test_logit_evidence_ignores_the_numbering_of_classes(num_classes: int) -> None:
    outputs, whole = make_outputs(50, num_classes), slice(0, 50)
    order = np.random.default_rng(0).permutation(num_classes)
    shuffled = ClassifierOutputs(outputs.logits[:, order], np.argsort(order)[outputs.labels])
    found = evidence_columns(outputs, ["logits"], whole)
    np.testing.assert_allclose(found, evidence_columns(shuffled, ["logits"], whole), atol=1e-6)
    log_p = np.sort(log_softmax(outputs.logits.astype(np.float64), axis=1))[:, ::-1][:, :10]
    odds = log_p[:, :1] - np.log1p(-np.exp(log_p[:, :1]))
    highest = np.sort(outputs.logits, axis=1)[:, ::-1][:, :10]
    np.testing.assert_allclose(found, np.concatenate([odds, highest, log_p], axis=1), rtol=1e-4, atol=1e-5)


def test_moments_are_those_of_the_whole_set() -> None:
    columns_ = np.random.default_rng(0).normal(1000, 0.1, size=(5000, 3)).astype(np.float32)
    columns_[:, 2] = 7
    mean, deviation = FitRows(5000, lambda rows: columns_[rows], np.ones(5000, dtype=bool)).moments()
    np.testing.assert_allclose(mean, columns_.mean(axis=0, dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(deviation[:2], columns_.std(axis=0, dtype=np.float64)[:2], rtol=1e-3)
    assert deviation[2] == 0


def test_blocks_hold_every_row_once_and_fits_read_many_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With tiny blocks the same oracle is learnt as with one block, to the noise of another order."""
    outputs = make_outputs(3000)
    whole = Oracle(**QUICK).fit(outputs).trust_logit(outputs)
    monkeypatch.setattr("steepslope.nets.training._columns.PIECE_ROWS", 64)
    monkeypatch.setattr("steepslope.nets.training._columns.BLOCK_PIECES", 4)
    rows = FitRows(3000, lambda rows: np.arange(3000, dtype=np.float32)[rows, None], np.ones(3000, dtype=bool))
    seen = torch.cat([block for block, _ in columns._shuffled_blocks(rows, torch.zeros(1), torch.ones(1))])
    assert sorted(seen[:, 0].tolist()) == list(range(3000))
    pieced = Oracle(**QUICK).fit(outputs).trust_logit(outputs)
    assert np.corrcoef(whole, pieced)[0, 1] > 0.99


def test_one_block_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory, Python can wait forever for a thread to start."""
    outputs = make_outputs(300)
    expected = Oracle(**QUICK).fit(outputs).trust_logit(outputs)
    monkeypatch.setattr(columns, "ThreadPoolExecutor", None)
    np.testing.assert_array_equal(Oracle(**QUICK).fit(outputs).trust_logit(outputs), expected)


def test_features_in_float16_stay_so_in_blocks_and_give_the_same_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steepslope.nets.training._columns.PIECE_ROWS", 64)
    monkeypatch.setattr("steepslope.nets.training._columns.BLOCK_PIECES", 4)
    monkeypatch.setattr("steepslope.nets.training._columns.BLOCK_ROWS", 256)
    outputs = make_outputs(3000)
    halves = outputs.changed(features=outputs.require_features().astype(np.float16))
    wide = outputs.changed(features=halves.require_features().astype(np.float32))
    dtypes = []
    take = columns._block

    def watched(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        dtypes.append((block := take(*given))[0].dtype)
        return block

    monkeypatch.setattr(columns, "_block", watched)
    found, expected = (Oracle(**QUICK).fit(some).trust_logit(outputs) for some in (halves, wide))
    np.testing.assert_array_equal(found, expected)
    assert dtypes == [torch.float16] * (len(dtypes) // 2) + [torch.float32] * (len(dtypes) // 2)


def test_trust_logits_are_made_of_a_few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, 65,536 rows of 1,280 features would take 2 GiB."""
    oracle, outputs, sizes = Oracle(epochs=1).fit(make_outputs()), make_outputs(10_000), list[int]()
    expected = oracle.trust_logit(outputs)

    def watched(outputs: ClassifierOutputs, names: Any, rows: slice, *given: Any) -> Any:
        sizes.append(rows.stop - rows.start)
        return evidence_columns(outputs, names, rows, *given)

    monkeypatch.setattr("steepslope.oracle._columns.evidence_columns", watched)
    np.testing.assert_array_equal(oracle.trust_logit(outputs), expected)
    assert max(sizes) == 4_096


def test_features_in_a_file_are_read_not_mapped(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    outputs.save(tmp_path)
    mapped = ClassifierOutputs.load(tmp_path).require_features()
    for array in (mapped, mapped[5:], outputs.require_features()):
        found = read_rows(array, slice(3, 9))
        np.testing.assert_array_equal(found, array[3:9])
    assert not isinstance(read_rows(mapped, slice(0, 2)), np.memmap)
    fitted = Oracle(**QUICK).fit(ClassifierOutputs.load(tmp_path)).trust_logit(outputs)
    np.testing.assert_array_equal(fitted, Oracle(**QUICK).fit(outputs).trust_logit(outputs))


MINE, ANOTHERS = "a1" * 32, "b2" * 32


def fitted(folder: Path, outputs: ClassifierOutputs, fused: bool = False) -> Path:
    oracle = Oracle.fused(budget="free") if fused else Oracle(epochs=1)
    oracle.fit(outputs).save(folder)
    return folder


@pytest.mark.parametrize("fused", [False, True])
def test_rows_and_classifier_are_kept(fused: bool, tmp_path: Path) -> None:
    outputs, others = make_outputs().of_classifier(MINE), make_outputs(seed=1)
    oracle = Oracle.load(fitted(tmp_path, outputs, fused))
    assert oracle.rows_fitted_on(outputs.subset(slice(5, 12))) == 7
    assert oracle.rows_fitted_on(others) == 0
    assert oracle.rows_fitted_on(outputs.changed(ids=None)) == 400  # known by their values
    assert (tmp_path / FIT_ROWS).stat().st_size < 28 * len(outputs) + 250
    for work in (oracle.trust_logit, oracle.confidence, oracle.trusts, oracle.explain):
        with pytest.raises(
            SteepslopeError,
            match="the oracle: expected outputs of the net with digest a1a1a1a1a1a1, for which it was fitted",
        ):
            work(others.of_classifier(ANOTHERS).subset(slice(9)))
        work(others.of_classifier(MINE))
        work(others)  # whose they are is not known


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ({"hashes": np.arange(400.0)}, "hashes"),
        ({"hashes": np.arange(40, dtype=np.uint64)}, "hashes"),
        ({"sketches": np.zeros((400, 2), np.float32)}, "sketches"),
        ({"sketches": np.zeros((400, 5))}, "sketches"),
    ],
)
def test_a_damaged_record_is_named(damage: dict[str, NDArray[Any]], what: str, tmp_path: Path) -> None:
    path = fitted(tmp_path, make_outputs()) / FIT_ROWS
    save_arrays({**load_arrays(path), **damage}, path)
    seal_again(ORACLE, tmp_path)
    with pytest.raises(SteepslopeError, match=f"fit_rows.safetensors: expected the {what} of rows, found"):
        Oracle.load(tmp_path)
