"""Every score, and oracles on every kind of evidence, as graphs: their trust logits are the oracles' own."""

import warnings
from typing import Any

import numpy as np
import pytest

from steepslope.errors import FewErrorsWarning, SteepslopeError
from steepslope.nets.export._exporting import _export_oracle
from steepslope.nets.export._gate_graph import REFUSED
from steepslope.oracle import Oracle
from steepslope.oracle.evidence._registry import EVIDENCE
from steepslope.scores import SCORES
from tests.nets.export.rows import FIT, NEW, REFERENCE, exported_score, judged, rows_of, run, source_of

ALL = ",".join(name for name in EVIDENCE if name not in REFUSED)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, score in SCORES.items() if not {*score.arrays} & {*REFUSED}])
def test_scores_are_the_same(name: str) -> None:
    judged(*exported_score(name), NEW, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("inputs", ["features", ALL])
@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_oracles_on_columns_are_the_same(inputs: str) -> None:
    oracle = Oracle(inputs=inputs, hidden=8, epochs=3).fit(FIT, REFERENCE)
    source = source_of(oracle, NEW)
    judged(source, _export_oracle(source).model, NEW, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("num_classes", "budget"), [(2, "auxiliary"), (15, "auxiliary"), (15, "free")])
@pytest.mark.usefixtures("quick_nets")
@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_fused_oracles_are_the_same(budget: Any, num_classes: int) -> None:
    reference, fit, new = (rows_of(n, num_classes, seed) for n, seed in ((400, 4), (400, 5), (200, 6)))
    oracle = Oracle.fused(budget=budget).fit(fit, reference)
    if budget == "free":
        few = rows_of(150, num_classes, 7)
        oracle = oracle.adapted(few.changed(features=few.require("features")[::-1]))  # which mislead
        assert oracle.fitted_ is not None
        assert oracle.fitted_.own_slope > 0
    source = source_of(oracle, new)
    model = _export_oracle(source).model
    judged(source, model, new, 1e-4)
    handed_over, found = oracle.handed_over(new), run(model, new.arrays)
    assert handed_over is not None
    assert handed_over.max() > 0
    np.testing.assert_allclose(found["handed_over"], handed_over, atol=1e-4)


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_the_image_again_is_refused_with_the_way_out(name: str) -> None:
    dropout = np.stack([np.log(np.full((400, 5), 0.2)), np.full((400, 5), 0.1)], axis=1).astype(np.float32)
    rows = FIT.changed(views=np.asarray(FIT.logits)[:, None] + 0.1, dropout=dropout)
    with warnings.catch_warnings(action="ignore", category=FewErrorsWarning):
        oracle = Oracle(inputs=name, epochs=1).fit(rows)
    with pytest.raises(SteepslopeError, match=f"{name}: cannot be exported, since it .*--budget free"):
        _export_oracle(source_of(oracle, NEW))
