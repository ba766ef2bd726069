"""From names to confidences: which are found, how they are called, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs, Confidences
from steepslope.report.confidences import Resources, score_predictions
from steepslope.scores import MCP, SCORES, Score
from tests.conftest import make_outputs

UNSEEN = make_outputs(seed=1)  # rows that no oracle here was fitted on


def test_mcp_comes_first_once(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    for name in ("a/ss", "b/ss", "b/ce"):
        Oracle(epochs=1).fit(outputs).save(tmp_path / name)
    names = [str(tmp_path / name) for name in ("a/ss", "b/ss", "b/ce")]
    scored = score_predictions(["mcp", *names, f"{names[2]}/", str(tmp_path / "b" / ".." / "b" / "ce")], UNSEEN)
    assert [one.name for one in scored] == ["mcp", names[0], names[1], "ce"]
    np.testing.assert_array_equal(scored[0].confidence, MCP().confidence(UNSEEN))
    assert [one.loss for one in scored] == [None] + 3 * ["steep_slope"]


def test_unknown_scores_are_named(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError, match="unknown score 'mpc': did you mean 'mcp'"):
        score_predictions(["mpc"], outputs)
    with pytest.raises(SteepslopeError, match="expected the folder of a fitted oracle"):
        score_predictions([str(tmp_path)], outputs)
    with pytest.raises(SteepslopeError, match="no/such: expected the folder of a fitted oracle"):
        score_predictions(["no/such"], outputs)


def test_only_a_loss_with_a_cut_of_its_own_has_a_natural_cut(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    Oracle(loss="steep_slope", alpha_pos=2, alpha_neg=5, epochs=1).fit(outputs).save(tmp_path / "ss")
    Oracle(loss="focal", epochs=1).fit(outputs).save(tmp_path / "focal")
    scored = score_predictions([str(tmp_path / "focal"), str(tmp_path / "ss")], UNSEEN)
    assert [one.natural_cut for one in scored] == [None, None, 5 / 7]


def test_confidences_alone_are_their_only_score() -> None:
    is_correct = np.array([True, False])
    assert score_predictions([], Confidences(np.array([0.2, 0.9]), is_correct))[0].scale == "probability"
    ranks = Confidences(np.array([0.2, 1.9]), is_correct)
    assert score_predictions(["mcp"], ranks)[0].only_ranks
    with pytest.raises(SteepslopeError, match="margin needs logits"):
        score_predictions(["mcp", "margin"], ranks)


@pytest.mark.parametrize(
    ("name", "resources", "message"),
    [
        (
            "temperature_scaled_mcp",
            Resources(),
            r"learns from the classifier: expected outputs of held-out rows \(--fit\)",
        ),
        ("trust_score", Resources(), r"learns from the classifier: expected its training outputs \(--reference\)"),
        ("temperature_scaled_mcp", Resources(make_outputs(num_classes=5, seed=1)), "expected 4 classes to fit on"),
        ("trust_score", Resources(reference=make_outputs()), "expected other rows, found 400 in both"),
    ],
)
def test_what_a_score_that_learns_lacks_is_named(name: str, resources: Resources, message: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^{name}.*{message}"):
        score_predictions([name], make_outputs(), resources)


def test_an_error_inside_names_the_score_or_oracle_once(
    outputs: ClassifierOutputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def undefined(self: Score, outputs: ClassifierOutputs) -> np.ndarray:
        return np.full(len(outputs), np.nan)

    monkeypatch.setattr(SCORES["margin"], "confidence", undefined)
    with pytest.raises(
        SteepslopeError, match=r"^margin: expected a confidence of each prediction, found NaN in row 0$"
    ):
        score_predictions(["margin"], outputs)
    Oracle(epochs=1).fit(outputs).save(tmp_path / "o")
    with pytest.raises(SteepslopeError, match=f"^oracle {tmp_path / 'o'}: "):
        score_predictions([str(tmp_path / "o")], make_outputs(num_classes=5))
