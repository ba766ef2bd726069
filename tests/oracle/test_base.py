"""An oracle remembers its classifier and the rows that it was fitted on, on disk too, and refuses what does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.files.weights import save_arrays
from steepslope.oracle import Oracle
from steepslope.oracle.base import FIT_ROWS
from steepslope.oracle.storage import CARD
from steepslope.outputs import ClassifierOutputs
from tests.conftest import make_outputs

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
    assert oracle.rows_fitted_on(outputs.changed(ids=None)) == 0  # not known without ids
    assert (tmp_path / FIT_ROWS).stat().st_size < 8 * len(outputs) + 200
    for work in (oracle.trust_logit, oracle.confidence, oracle.trusts, oracle.explain):
        with pytest.raises(SteepslopeError, match="the oracle: expected outputs of the classifier that it was fitted"):
            work(others.of_classifier(ANOTHERS).subset(slice(9)))
        work(others.of_classifier(MINE))
        work(others)  # whose they are is not known


def _edited(folder: Path) -> None:
    text = (folder / CARD).read_text()
    (folder / CARD).write_text(text.replace('"told_by": "ids"', '"told_by": "luck"'))


def _hashes(values: NDArray[Any]) -> Callable[[Path], None]:
    return lambda folder: save_arrays({"hashes": values}, folder / FIT_ROWS)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / FIT_ROWS).unlink(), "fit_rows.safetensors: cannot be read"),
        (
            _hashes(np.arange(400, dtype=np.uint64)),
            "expected the rows of the digest in oracle.json, found others: copy",
        ),
        (_hashes(np.arange(400.0)), "fit_rows.safetensors: expected the hashes of rows, found others"),
        (_edited, "unknown told_by in .*'luck'"),
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
