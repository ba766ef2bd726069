"""Rows that an oracle hands over, and auxiliary features that are standardised anew: in rows, words and files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.oracle import FusedOracle, Oracle
from steepslope.outputs import ClassifierOutputs, Confidences
from steepslope.report.confidences import HandedOver, Resources, score_predictions
from steepslope.report.evaluation import evaluate_predictions
from steepslope.report.sentences import handed_over, verdicts
from tests.conftest import make_complete

FACTORS, OFFSETS = np.array([3, 0.2, 1, 2, 1, 5, 1, 0.5]), np.arange(8) - 2.0


def shifted(outputs: ClassifierOutputs) -> ClassifierOutputs:
    """Scale and shift each auxiliary feature of all rows alike."""
    return outputs.changed(auxiliary=outputs.require("auxiliary") * FACTORS + OFFSETS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Fit an oracle with an auxiliary backbone, and one without."""
    folder = tmp_path_factory.mktemp("oracles")
    fit_set = make_complete(300, seed=2)
    for name in ("auxiliary", "free"):
        FusedOracle(budget=name).fit(fit_set).save(folder / name)
    return {name: str(folder / name) for name in ("auxiliary", "free")}


def loaded(folder: str) -> FusedOracle:
    oracle = Oracle.load(folder)
    assert isinstance(oracle, FusedOracle)
    return oracle


def test_the_part_handed_over_is_in_rows_and_words(folders: dict[str, str]) -> None:
    unseen = shifted(make_complete(200, seed=3))
    evaluation = evaluate_predictions(unseen, list(folders.values()), bootstrap=0)
    weights = loaded(folders["auxiliary"]).handed_over(unseen)
    assert weights is not None
    mcp, auxiliary, free = (row.as_json() for row in evaluation.rows)
    assert (mcp["handed_over"], free["handed_over"]) == (None, None)
    assert auxiliary["handed_over"] == pytest.approx(weights.mean()) == pytest.approx(1, abs=0.05)
    assert [row["standardised"] for row in (mcp, auxiliary, free)] == [False] * 3
    (sentence,) = (line for line in verdicts(evaluation.rows) if "hands" in line)
    assert sentence.startswith(f"auxiliary hands {100 * weights.mean():.0f} % of its rows over to what needs no second")
    assert sentence.endswith("%): these images look unlike those it was fitted on.")


def test_the_fit_sets_own_part_is_kept(folders: dict[str, str]) -> None:
    fit_set, oracle = make_complete(300, seed=2), loaded(folders["auxiliary"])
    weights = oracle.handed_over(fit_set)
    assert weights is not None
    assert oracle.usual_handover == pytest.approx(weights.mean())
    assert 0 < weights.mean() < 0.2
    assert loaded(folders["free"]).usual_handover is None
    assert FusedOracle().usual_handover is None


@pytest.mark.parametrize(
    ("part", "usual", "words"),
    [
        (0.16, 0.05, "look unlike those"),
        (0.14, 0.05, "look like those"),
        (0.04, 0.0, "look like those"),
        (0.06, 0.0, "look unlike those"),
        (0.3, None, "fused hands 30 % of its rows over to what needs no second backbone."),
    ],
)
def test_what_looks_unlike_is_above_the_usual(
    part: float, usual: float | None, words: str, outputs: ClassifierOutputs
) -> None:
    (row,) = evaluate_predictions(outputs, [], bootstrap=0).rows
    assert handed_over(row) == ""
    assert words in handed_over(replace(row, name="fused", handed_over=HandedOver(part, usual)))


def test_standardised_features_are_judged_as_before_the_shift(folders: dict[str, str]) -> None:
    """Features shifted and scaled by a constant per column give the trust logits of before the shift."""
    unseen, oracle = make_complete(200, seed=3), loaded(folders["auxiliary"])
    fit_set = make_complete(300, seed=2).require("auxiliary").astype(np.float64)
    columns = unseen.require("auxiliary").astype(np.float64)
    by_hand = (columns - columns.mean(axis=0)) / columns.std(axis=0) * fit_set.std(axis=0) + fit_set.mean(axis=0)
    expected = oracle.trust_logit(unseen.changed(auxiliary=by_hand))
    (_, scored) = score_predictions([folders["auxiliary"]], shifted(unseen), Resources(standardise=True))
    np.testing.assert_allclose(scored.confidence, expected, atol=1e-3)
    assert np.abs(oracle.trust_logit(shifted(unseen)) - expected).max() > 1
    assert scored.standardised
    assert scored.handed_over is not None
    assert scored.handed_over.part < 0.2
    assert scored.explain is not None
    parts = scored.explain(np.arange(5))
    np.testing.assert_allclose(sum(parts.values()), scored.confidence[:5], atol=1e-9)


def test_only_auxiliary_features_change(folders: dict[str, str]) -> None:
    outputs = make_complete(64, seed=3)
    found = loaded(folders["auxiliary"]).standardised(outputs)
    assert found.arrays.keys() == outputs.arrays.keys()
    assert all(found.arrays[name] is outputs.arrays[name] for name in ("logits", "features", "views"))
    constant = outputs.changed(auxiliary=np.full((64, 8), 0.1, dtype=np.float16))
    fit_set = make_complete(300, seed=2).require("auxiliary")
    restored = loaded(folders["auxiliary"]).standardised(constant).require("auxiliary")
    np.testing.assert_allclose(restored, np.tile(fit_set.mean(axis=0), (64, 1)), rtol=1e-4)
    assert loaded(folders["free"]).standardised(outputs) is outputs


def test_what_cannot_be_standardised_is_refused(folders: dict[str, str]) -> None:
    few, anew = make_complete(63, seed=3), Resources(standardise=True)
    with pytest.raises(SteepslopeError, match=r"standardise: expected 64 rows or more, with .* classes, found 63"):
        score_predictions([folders["auxiliary"]], few, anew)
    with pytest.raises(SteepslopeError, match=r"standardise: expected an oracle that sees an auxiliary .* found none"):
        score_predictions([folders["free"]], few, anew)
    with pytest.raises(SteepslopeError, match="standardise: expected an oracle"):
        score_predictions([], Confidences(np.array([0.2, 0.9]), np.array([False, True])), anew)
    narrow = make_complete(100, seed=3)
    narrow = narrow.changed(auxiliary=narrow.require("auxiliary")[:, :5])
    with pytest.raises(SteepslopeError, match="auxiliary: expected 8 columns, found 5"):
        score_predictions([folders["auxiliary"]], narrow, anew)


def test_oracles_without_moments_are_read_but_cannot_standardise(folders: dict[str, str]) -> None:
    oracle, outputs = loaded(folders["auxiliary"]), make_complete(100, seed=3)
    assert oracle.fitted_ is not None
    oracle.fitted_ = replace(oracle.fitted_, moments=None)
    with pytest.raises(SteepslopeError, match=r"standardise: the oracle lacks .* fit it again"):
        oracle.standardised(outputs)


@pytest.mark.parametrize("usual", [-0.1, 1.5, "much"])
def test_a_damaged_part_is_named(folders: dict[str, str], tmp_path: Path, usual: object) -> None:
    loaded(folders["auxiliary"]).save(tmp_path / "oracle")
    path = tmp_path / "oracle" / "oracle.json"
    card = json.loads(path.read_text())
    card["fitted"]["usual_handover"] = usual
    path.write_text(json.dumps(card))
    with pytest.raises(SteepslopeError, match=r"oracle\.json: .*usual_handover"):
        Oracle.load(tmp_path / "oracle")


def test_the_command_standardises_and_says_so(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shifted(make_complete(200, seed=3)).save(tmp_path / "test.npz")
    words = f"evaluate --outputs {tmp_path}/test.npz --scores {folders['auxiliary']} --bootstrap 20 --out {tmp_path}/"
    assert main(f"{words}plain".split()) == 0
    assert "these images look unlike those it was fitted on." in capsys.readouterr().out
    assert main(f"{words}anew --standardise".split()) == 0
    shown = capsys.readouterr().out
    assert "auxiliary sees auxiliary features that were standardised anew on these 200 rows." in shown
    assert "look like those it was fitted on." in shown
    for name in ("table.md", "report.html"):
        assert "standardised anew" in (tmp_path / "anew" / name).read_text()
    plain, anew = (json.loads((tmp_path / name / "metrics.json").read_text())[1] for name in ("plain", "anew"))
    assert anew["auc"]["value"] > plain["auc"]["value"]
    assert (plain["standardised"], anew["standardised"]) == (False, True)
    assert plain["handed_over"] > 0.9 > 0.2 > anew["handed_over"]
