"""The oracle: what it learns, keeps, refuses, and remembers of its classifier and the rows that it was fitted on."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from steepslope.errors import FewErrorsWarning, SteepslopeError
from steepslope.files.folders import read_json, write_json
from steepslope.files.weights import load_arrays, save_arrays
from steepslope.losses import LOSSES
from steepslope.metrics import auroc
from steepslope.numerics.blocks import read_rows
from steepslope.oracle import Oracle
from steepslope.oracle.evidence.values import columns
from steepslope.oracle.net import Rows
from steepslope.oracle.storage import CARD, FIT_ROWS, ORACLE
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


@pytest.mark.parametrize(("right", "message"), [(True, "no prediction is wrong"), (False, "no prediction is correct")])
def test_one_sided_outputs_are_refused(outputs: ClassifierOutputs, right: bool, message: str) -> None:
    labels = outputs.predictions if right else (outputs.predictions + 1) % 4
    with pytest.raises(SteepslopeError, match=message):
        Oracle().fit(ClassifierOutputs(outputs.logits, labels, outputs.features))


def test_few_errors_are_warned_of() -> None:
    few = make_outputs(60)
    with pytest.warns(FewErrorsWarning, match=r"fitted on only \d+ errors"):
        Oracle(**QUICK).fit(few)


def test_mismatched_use_is_named(outputs: ClassifierOutputs) -> None:
    oracle = Oracle(**QUICK).fit(outputs)
    other_classes = make_outputs(num_classes=5)
    wider = ClassifierOutputs(outputs.logits, outputs.labels, np.ones((400, 9)))
    with pytest.raises(SteepslopeError, match="fitted for 4 classes, found 5"):
        oracle.trust_logit(other_classes)
    with pytest.raises(SteepslopeError, match="features: expected the fit set's 6 columns, found 9"):
        oracle.trust_logit(wider)
    with pytest.raises(SteepslopeError, match="the outputs hold no features"):
        oracle.trust_logit(ClassifierOutputs(outputs.logits, outputs.labels))
    with pytest.raises(SteepslopeError, match="this oracle is not fitted"):
        Oracle().trust_logit(outputs)


def test_features_that_are_not_finite_are_named(outputs: ClassifierOutputs) -> None:
    features = outputs.require_features().copy()
    features[7, 2] = np.nan
    with pytest.raises(SteepslopeError, match="features: expected finite values, found others in row 7"):
        Oracle().fit(ClassifierOutputs(outputs.logits, outputs.labels, features))


def test_a_diverging_fit_is_named(outputs: ClassifierOutputs) -> None:
    with pytest.raises(SteepslopeError, match="the loss became NaN"):
        Oracle(hidden=8, head="linear", **(QUICK | {"learning_rate": 1e30})).fit(outputs)


@pytest.mark.parametrize("damage", ["missing", "weights", "settings", "other"])
def test_damaged_oracles_are_named(outputs: ClassifierOutputs, tmp_path: Path, damage: str) -> None:
    Oracle(**QUICK).fit(outputs).save(tmp_path)
    card = read_json(tmp_path / CARD, "a card")
    if damage == "missing":
        shutil.rmtree(tmp_path)
    elif damage == "weights":
        (tmp_path / "oracle.safetensors").write_bytes(b"")
    elif damage == "settings":
        write_json(tmp_path / CARD, card | {"settings": {"loss": "none"}})
    else:
        write_json(tmp_path / CARD, card | {"settings": {"hidden": [3]}})
    with pytest.raises(SteepslopeError, match=str(tmp_path)):
        Oracle.load(tmp_path)


@pytest.mark.parametrize("num_classes", [2, 50])
def test_logit_evidence_ignores_the_numbering_of_classes(num_classes: int) -> None:
    outputs = make_outputs(50, num_classes)
    order = np.random.default_rng(0).permutation(num_classes)
    shuffled = ClassifierOutputs(outputs.logits[:, order], np.argsort(order)[outputs.labels])
    whole = slice(0, 50)
    found = columns(outputs, ["logits"], whole)
    np.testing.assert_allclose(found, columns(shuffled, ["logits"], whole), atol=1e-6)
    expected = np.sort(log_softmax(outputs.logits.astype(np.float64), axis=1))[:, ::-1][:, :10]
    np.testing.assert_allclose(found[:, 1 + expected.shape[1] :], expected, rtol=1e-5)
    highest = np.sort(outputs.logits, axis=1)[:, ::-1][:, :10]
    np.testing.assert_allclose(found[:, 1 : 1 + expected.shape[1]], highest, rtol=1e-6)


def test_moments_are_those_of_the_whole_set() -> None:
    columns_ = np.random.default_rng(0).normal(1000, 0.1, size=(5000, 3)).astype(np.float32)
    columns_[:, 2] = 7
    mean, deviation = Rows(5000, lambda rows: columns_[rows], np.ones(5000, dtype=bool)).moments()
    np.testing.assert_allclose(mean, columns_.mean(axis=0, dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(deviation[:2], columns_.std(axis=0, dtype=np.float64)[:2], rtol=1e-3)
    assert deviation[2] == 0


def test_blocks_hold_every_row_once_and_fits_read_many_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With tiny blocks the same oracle is learnt as with one block, to the noise of another order."""
    outputs = make_outputs(3000)
    whole = Oracle(**QUICK).fit(outputs).trust_logit(outputs)
    monkeypatch.setattr("steepslope.oracle.net.PIECE_ROWS", 64)
    monkeypatch.setattr("steepslope.oracle.net.BLOCK_PIECES", 4)
    rows = Rows(3000, lambda rows: np.arange(3000, dtype=np.float32)[rows, None], np.ones(3000, dtype=bool))
    seen = torch.cat([block for block, _ in rows.blocks(torch.zeros(1), torch.ones(1))])
    assert sorted(seen[:, 0].tolist()) == list(range(3000))
    pieced = Oracle(**QUICK).fit(outputs).trust_logit(outputs)
    assert np.corrcoef(whole, pieced)[0, 1] > 0.99


def test_features_in_float16_stay_so_in_blocks_and_give_the_same_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steepslope.oracle.net.PIECE_ROWS", 64)
    monkeypatch.setattr("steepslope.oracle.net.BLOCK_PIECES", 4)
    monkeypatch.setattr("steepslope.oracle.net.BLOCK_ROWS", 256)
    outputs = make_outputs(3000)
    halves = outputs.changed(features=outputs.require_features().astype(np.float16))
    wide = outputs.changed(features=halves.require_features().astype(np.float32))
    dtypes = []
    take = Rows._block

    def watched(self: Rows, *given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        dtypes.append((block := take(self, *given))[0].dtype)
        return block

    monkeypatch.setattr(Rows, "_block", watched)
    found, expected = (Oracle(**QUICK).fit(some).trust_logit(outputs) for some in (halves, wide))
    np.testing.assert_array_equal(found, expected)
    assert dtypes == [torch.float16] * (len(dtypes) // 2) + [torch.float32] * (len(dtypes) // 2)


def test_trust_logits_are_made_of_a_few_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, 65,536 rows of 1,280 features would take 2 GiB."""
    oracle, outputs, sizes = Oracle(epochs=1).fit(make_outputs()), make_outputs(10_000), list[int]()
    expected = oracle.trust_logit(outputs)

    def watched(outputs: ClassifierOutputs, names: Any, rows: slice, *given: Any) -> Any:
        sizes.append(rows.stop - rows.start)
        return columns(outputs, names, rows, *given)

    monkeypatch.setattr("steepslope.oracle.columns.columns", watched)
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


def test_any_order_of_bytes_in_memory_will_do(tmp_path: Path) -> None:
    outputs = make_outputs()
    expected = Oracle(epochs=2).fit(outputs).trust_logit(outputs)
    for change in (np.asfortranarray, lambda array: array[::-1][::-1], np.copy):
        features = change(outputs.require_features())
        features.flags.writeable = False
        other = ClassifierOutputs(outputs.logits, outputs.labels, features)
        np.testing.assert_array_equal(Oracle(epochs=2).fit(other).trust_logit(other), expected)


def test_outputs_stay_what_they_were_when_their_folder_is_written_anew(tmp_path: Path) -> None:
    before, after = make_outputs(seed=0), make_outputs(seed=1)
    before.save(tmp_path)
    loaded = ClassifierOutputs.load(tmp_path)
    after.save(tmp_path)
    np.testing.assert_array_equal(columns(loaded, ["features"], slice(0, 400)), before.features)


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
        with pytest.raises(SteepslopeError, match="the oracle: expected outputs of the classifier that it was fitted"):
            work(others.of_classifier(ANOTHERS).subset(slice(9)))
        work(others.of_classifier(MINE))
        work(others)  # whose they are is not known


def _record(**changed: NDArray[Any]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        save_arrays({**load_arrays(folder / FIT_ROWS), **changed}, folder / FIT_ROWS)

    return change


def _sealed(**changed: NDArray[Any]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        _record(**changed)(folder)
        seal_again(ORACLE, folder)

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: (folder / FIT_ROWS).unlink(),
            "fit_rows.safetensors: expected the file written with oracle.json, found none: copy",
        ),
        (
            _record(hashes=np.arange(400, dtype=np.uint64)),
            "fit_rows.safetensors: expected the file written with oracle.json, found another: copy",
        ),
        (_sealed(hashes=np.arange(400.0)), "fit_rows.safetensors: expected the hashes of rows, found others"),
        (_sealed(hashes=np.arange(40, dtype=np.uint64)), "fit_rows.safetensors: expected the hashes of rows, found"),
        (
            _sealed(sketches=np.zeros((400, 2), np.float32)),
            "fit_rows.safetensors: expected the sketches of rows, found",
        ),
        (_sealed(sketches=np.zeros((400, 5))), "fit_rows.safetensors: expected the sketches of rows, found others"),
    ],
)
def test_a_damaged_record_is_named(damage: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    damage(fitted(tmp_path, make_outputs()))
    with pytest.raises(SteepslopeError, match=message):
        Oracle.load(tmp_path)


def test_outputs_keep_their_classifier(tmp_path: Path) -> None:
    outputs = make_outputs().of_classifier(MINE)
    assert outputs.subset(slice(3)).changed(features=None).named(["a", "b", "c", "d"]).classifier == MINE
    assert make_outputs().classifier is None
    outputs.save(tmp_path / "copy")
    assert ClassifierOutputs.load(tmp_path / "copy").classifier is None  # who made a copy is not known
