"""Out-of-class rows, from scores and oracles to gates, reports and monitors: errors, and never a class."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from steepslope import Gate, Oracle
from steepslope.cli._main import main
from steepslope.losses import LOSSES
from steepslope.oracle.evidence._registry import EVIDENCE
from steepslope.outputs import ClassifierOutputs
from steepslope.report._comparison import _why_comparison_unpaired
from steepslope.report._evaluation import _UnknownRows, evaluate_predictions
from steepslope.report._page import _html_page
from steepslope.report._runs import read_run
from steepslope.scores import SCORES
from tests.conftest import make_complete

ROWS = np.arange(400)
STRANGE = ROWS % 7 == 3


def with_unknown(outputs: ClassifierOutputs) -> ClassifierOutputs:
    """Return the same with every seventh row out-of-class."""
    return outputs.changed(labels=np.where(STRANGE, -1, outputs.require_labels()))


def with_wrong(outputs: ClassifierOutputs) -> ClassifierOutputs:
    """Return the same with the same rows wrong, of a class that was not predicted."""
    others = (outputs.predictions + 1) % outputs.num_classes
    return outputs.changed(labels=np.where(STRANGE, others, outputs.require_labels()))


LEARNING = [name for name, score in SCORES.items() if score.fits_on != "nothing"]
OF_KNOWN = [name for name in LEARNING if SCORES[name].fits_on == "reference" or name == "temperature_scaled_mcp"]


@pytest.mark.parametrize("name", OF_KNOWN)
def test_what_learns_classes_learns_from_the_known_rows_alone(name: str) -> None:
    outputs = make_complete()
    found = SCORES[name]().fit(with_unknown(outputs)).state()
    expected = SCORES[name]().fit(outputs.subset(np.flatnonzero(~STRANGE))).state()
    assert found.keys() == expected.keys()
    for key, array in found.items():
        np.testing.assert_array_equal(array, expected[key])


@pytest.mark.parametrize("name", sorted({*LEARNING} - {*OF_KNOWN}))
def test_what_learns_from_errors_counts_the_unknown_as_such(name: str) -> None:
    outputs = make_complete()
    found, expected = (SCORES[name]().fit(rows).state() for rows in (with_unknown(outputs), with_wrong(outputs)))
    for key, array in found.items():
        np.testing.assert_array_equal(array, expected[key])


@pytest.mark.parametrize("loss", LOSSES)
def test_an_oracle_of_each_loss_learns_from_unknown_rows_as_errors(loss: str) -> None:
    outputs = make_complete()
    oracles = [Oracle(loss, inputs="logits", epochs=3).fit(rows(outputs)) for rows in (with_unknown, with_wrong)]
    same = [oracle.trust_logit(outputs) for oracle in oracles]
    if loss == "true_class_probability":  # learns towards 0 for unknown rows, towards what a wrong label has for others
        assert same[0][STRANGE].mean() < same[1][STRANGE].mean()
    else:
        np.testing.assert_array_equal(same[0], same[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, kind in EVIDENCE.items() if kind.needs_reference])
@pytest.mark.parametrize("errors", ["holdout", "crossfit"])
def test_evidence_of_classes_never_takes_an_unknown_row_for_one(name: str, errors: str) -> None:
    outputs, reference = make_complete(), make_complete(seed=1, prefix="reference")
    given = None if errors == "crossfit" else with_unknown(reference)
    oracle = Oracle(inputs=(name,), epochs=1, errors=errors).fit(with_unknown(outputs), given)  # type: ignore[arg-type]
    known = (with_unknown(outputs) if given is None else given).of_known_classes()
    learning = EVIDENCE[name].learning
    assert learning is not None
    assert oracle.fitted_ is not None
    for key, array in learning.fit(known).items():
        np.testing.assert_array_equal(array, oracle.fitted_.states[name][key])


def test_a_score_s_table_of_unknown_rows_is_that_of_scikit_learn() -> None:
    outputs = with_unknown(make_complete())
    (row,) = evaluate_predictions(outputs, ["mcp"], bootstrap=0).rows
    values, correct, unknown = row.confidence, outputs.is_correct, outputs.is_unknown
    found = row.unknown
    assert found is not None
    assert (found.n, found.share) == (unknown.sum(), unknown.mean())
    assert found.auc_known == pytest.approx(roc_auc_score(correct[~unknown], values[~unknown]))
    assert found.auc_unknown == pytest.approx(roc_auc_score(correct[correct | unknown], values[correct | unknown]))
    threshold = max(one for one in values[~unknown] if np.mean(values[~unknown] >= one) >= 0.9)
    assert found.accepted == np.mean(values[unknown] >= threshold)
    assert row.metrics["accuracy"]["value"] == correct.mean()


@pytest.mark.parametrize(
    ("correct", "unknown", "auc_known", "auc_unknown"),
    [([0, 0], [1, 1], None, None), ([1, 0], [0, 1], None, 1.0), ([0, 0], [0, 1], None, None)],
)
def test_what_is_undefined_of_unknown_rows_is_null(
    correct: list[int], unknown: list[int], auc_known: float | None, auc_unknown: float | None
) -> None:
    found = _UnknownRows.from_rows(np.array([0.9, 0.1]), np.array(correct, bool), np.array(unknown, bool))
    assert found is not None
    shown = found.as_json()
    assert (shown["auc_known"], shown["auc_correct_vs_unknown"]) == (auc_known, auc_unknown)
    assert (shown["accepted_at_90_of_known"] is None) == all(unknown)


@pytest.mark.parametrize("classes", [None, ["ant", "bee", "cat", "dog"]])
def test_a_report_shows_errors_and_unknown_rows_apart(tmp_path: Path, classes: list[str] | None, capsys: Any) -> None:
    outputs = with_unknown(make_complete()).named(classes)
    outputs.save(tmp_path / "outputs")
    command = ["evaluate", "--outputs", str(tmp_path / "outputs"), "--scores", "mcp,margin,entropy"]
    assert main([*command, "--bootstrap", "20", "--out", str(tmp_path / "report")]) == 0
    n, wrong = outputs.is_unknown.sum(), np.sum(~outputs.is_correct)
    apart = f"{wrong - n} of known classes, {n} unknown ({n / 4:.1f} % of all)"
    shown = (tmp_path / "report" / "table.md").read_text()
    assert apart in shown
    assert apart in capsys.readouterr().out
    assert apart in (tmp_path / "report" / "report.html").read_text()
    (mcp, *_) = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert (mcp["unknown"]["n"], mcp["unknown"]["share"]) == (n, n / 400)
    accepted = 100 * mcp["unknown"]["accepted_at_90_of_known"]
    assert re.search(rf"\| mcp \| {accepted:.1f} \|", shown)
    assert f"all of them wrong: mcp {accepted:.1f} %, margin" in shown
    assert "unknown → " in shown
    assert re.search(rf"\| unknown \| {n} \| 0\.0 \|", shown)  # the group of these labels
    rows = np.load(tmp_path / "report" / "rows.npz")
    names = [outputs.label_names[label] for label in outputs.require_labels()]
    assert rows["classes"][rows["label"]].tolist() == names
    assert rows["is_correct"].tolist() == outputs.is_correct.tolist()
    run = read_run(tmp_path / "report", "a")
    assert _why_comparison_unpaired(run, run) == ""


def test_a_gallery_names_unknown_inputs() -> None:
    evaluation = evaluate_predictions(with_unknown(make_complete()), ["mcp"], bootstrap=0)
    cards = json.loads(re.search(r'"cards": ?(\[.*?\]), ?"references"', _html_page(evaluation))[1])  # type: ignore[index]
    labels = {card["label"] for card in cards}
    assert labels == {"0", "1", "2", "3", "unknown"}
    assert not any(card["right"] for card in cards if card["label"] == "unknown")


def test_a_table_goes_from_evaluate_to_a_gate_with_one_warning_each(tmp_path: Path, capsys: Any) -> None:
    outputs, names = make_complete(2_000), ["ant", "bee", "cat", "dog"]
    labels = [names[label] for label in outputs.require_labels()]
    labels[::10] = ["unknown"] * 100 + ["yak"] * 60 + ["dgo"] * 40
    columns = {f"logit_{name}": outputs.logits[:, place] for place, name in enumerate(names)}
    pq.write_table(pa.table({**columns, "label": labels}), tmp_path / "rows.parquet")
    for command in ("evaluate --bootstrap 0", "calibrate --max-risk 0.4"):
        words = [*command.split(), "--outputs", str(tmp_path / "rows.parquet"), "--out", str(tmp_path / command[:4])]
        assert main(words) == 0
        said = capsys.readouterr()
        (warning,) = [line for line in said.err.splitlines() if line.startswith("steepslope: warning:")]
        assert "in 100 rows, the first of them row 1000; they count as unknown, never right" in warning
        assert "'yak' (60), 'dgo' (40; did you mean 'dog'?)" in warning
        assert "out-of-class" in said.out or "200 unknown (10.0 % of all)" in said.out
    gate = Gate.load(tmp_path / "cali")
    (promise,) = gate.certificates
    assert 0 < promise.unknown_accepted <= promise.errors
    assert 150 < promise.unknown <= 200
    assert gate.sentences() in (tmp_path / "cali" / "certificate.md").read_text()
