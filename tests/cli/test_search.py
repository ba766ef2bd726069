"""`steepslope search`: it finds slopes that are known to be right, keeps that oracle, and refuses what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli.main import main
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import refuses
from tests.conftest import files_below, make_outputs

FAST = "--head linear --epochs 60 --learning-rate 0.1"


def two_groups(n: int, seed: int) -> ClassifierOutputs:
    """Make predictions of two groups, told by the features, of which 80 % and 40 % are correct."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 2
    is_correct = np.where(group == 0, np.arange(n) // 2 % 10 < 8, np.arange(n) // 2 % 10 < 4)
    labels = np.where(is_correct, 0, 1)
    logits = np.column_stack([2 + rng.random(n), np.zeros(n)])
    features = np.eye(2, dtype=np.float32)[group]
    return ClassifierOutputs(logits, labels, features, [f"{seed}/{row}" for row in range(n)])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Write a fit set and held-out rows of the two groups."""
    two_groups(400, 0).save(tmp_path / "fit.npz")
    two_groups(200, 1).save(tmp_path / "valid.npz")
    return tmp_path


def command(files: Path, *options: str) -> list[str]:
    return [*f"search --outputs {files}/fit.npz --out {files}/out {FAST}".split(), *options]


def test_the_pair_whose_cut_parts_the_groups_is_found(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trusted is what is correct with a probability > α⁻ / (α⁺ + α⁻): only (1, 1.5) cuts between 40 % and 80 %."""
    slopes = ["--negatives", "0.5,1.5,6", "--positives", "0.25,1,4"]
    assert main(command(files, "--valid", f"{files}/valid.npz", *slopes)) == 0
    shown = capsys.readouterr().out
    content = json.loads((files / "out" / "search.json").read_text())
    assert (content["criterion"], content["alpha_pos"], content["alpha_neg"]) == ("balanced", 1, 1.5)
    tried = content["alpha_neg_trials"] + content["alpha_pos_trials"]
    pairs = [(1, 0.5), (1, 1.5), (1, 6), (0.25, 1.5), (1, 1.5), (4, 1.5)]
    assert [(one["alpha_pos"], one["alpha_neg"]) for one in tried] == pairs
    parted = (80 / 120 + 60 / 80) / 2
    assert [one["value"] for one in tried] == pytest.approx([0.5, parted, 0.5, 0.5, parted, 0.5])
    assert [one["tpr"] for one in tried] == pytest.approx([1, 80 / 120, 0, 0, 80 / 120, 1])
    assert (content["held_out_rows"], content["held_out_errors"]) == (200, 80)
    table = (files / "out" / "table.md").read_text()
    assert [line.split(" | ")[:4] for line in table.splitlines() if "◄ chosen" in line] == [
        ["| α⁻ ◄ chosen", "1", "1.5", "70.8"],
        ["| α⁺ ◄ chosen", "1", "1.5", "70.8"],
    ]
    summary = "Chosen by balanced: alpha_pos 1, alpha_neg 1.5 (on 200 held-out predictions, 80 of them wrong)."
    assert summary in table
    assert summary in shown
    assert shown.count("◄ chosen") == 2
    oracle = Oracle.load(files / "out" / "oracle")
    assert oracle.loss_settings.parameters == {"alpha_pos": 1.0, "alpha_neg": 1.5}
    assert oracle.rows_fitted_on(ClassifierOutputs.load(files / "fit.npz")) == 400


def test_the_oracle_is_the_one_that_fit_makes(files: Path) -> None:
    assert main(command(files, "--negatives", "3", "--positives", "2", "--valid", f"{files}/valid.npz")) == 0
    assert main(f"fit --outputs {files}/fit.npz --alpha-pos 2 --alpha-neg 3 --out {files}/o {FAST}".split()) == 0
    unseen = two_groups(100, 2)
    found, fitted = (Oracle.load(files / name).trust_logit(unseen) for name in ("out/oracle", "o"))
    np.testing.assert_array_equal(found, fitted)


def test_a_fifth_is_held_back_where_no_rows_are_given(files: Path) -> None:
    """It has a fifth of the errors, the oracle does not see it, and another seed draws others."""
    fits = ["--negatives", "3", "--positives", "1"]
    assert main(command(files, *fits)) == 0
    content = json.loads((files / "out" / "search.json").read_text())
    assert (content["held_out_rows"], content["held_out_errors"]) == (80, 32)
    rows = ClassifierOutputs.load(files / "fit.npz")
    first = Oracle.load(files / "out" / "oracle").record_
    assert first is not None
    assert (len(first.rows), first.shared_with(rows)) == (320, 320)
    assert main(command(files, *fits, "--seed", "1", "--replace")) == 0
    second = Oracle.load(files / "out" / "oracle").record_
    assert second is not None
    assert not np.array_equal(second.rows.sketches, first.rows.sketches)


def test_the_lowest_aurc_is_chosen(files: Path) -> None:
    """With --criterion aurc; the fitted hyperplanes of noisy rows do not all rank alike."""
    make_outputs(300).save(files / "fit.npz")
    make_outputs(300, seed=1).save(files / "valid.npz")
    options = ["--valid", f"{files}/valid.npz", "--negatives", "1,8", "--positives", "0.5,3", "--criterion", "aurc"]
    assert main(command(files, *options)) == 0
    content = json.loads((files / "out" / "search.json").read_text())
    for name, slope in (("alpha_neg", content["alpha_neg"]), ("alpha_pos", content["alpha_pos"])):
        values = {trial[name]: trial["value"] for trial in content[f"{name}_trials"]}
        assert len(set(values.values())) == 2
        assert values[slope] == min(values.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--valid {0}/fit.npz", "{0}/fit.npz: expected other rows than those of {0}/fit.npz, found 400 of them"),
        ("--valid {0}/valid.npz --reference {0}/valid.npz", "expected other rows than those of {0}/valid.npz, found 2"),
        ("--valid {0}/bare.npz", "{0}/bare.npz: features: the outputs hold no features"),
        ("--valid {0}/right.npz", "criterion: balanced has no value for any of 5 pairs of slopes: it needs"),
        ("--criterion auroc", "unknown criterion 'auroc': did you mean "),
        ("--negatives 0", "negatives: expected a number from 1e-06 to 80, found 0.0"),
        ("--positives none", "positives: expected at least one number, each once, found none"),
        ("--inputs featurs", "unknown input 'featurs': did you mean 'features'"),
        ("--loss focal", "unrecognized arguments: --loss focal"),
        ("--alpha-neg 3", "unrecognized arguments: --alpha-neg 3"),
        ("--reference {0}/fit.npz --inputs neighbors", "{0}/fit.npz and {0}/fit.npz: reference: expected other rows"),
    ],
)
def test_wrong_input_ends_in_one_line(
    options: str, message: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    valid = two_groups(200, 1)
    valid.changed(features=None).save(files / "bare.npz")
    valid.subset(np.flatnonzero(valid.is_correct)).save(files / "right.npz")
    refuses(command(files, "--epochs", "1", *options.format(files).split()), capsys, message.format(files))
    assert not files_below(files / "out")
