"""A preset from files to rows on disk: whole on small data, and resumed after it was stopped or changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from steepslope.errors import SteepslopeError
from steepslope.metrics import aurc
from steepslope.promise import _draws as draws
from steepslope_lab.benchmark import run
from steepslope_lab.benchmark.estimates import MONITOR
from steepslope_lab.benchmark.lines import AVERAGE, BEST, ENSEMBLE, MCP
from steepslope_lab.benchmark.preset import Preset
from steepslope_lab.benchmark.run import row_of_trial, run_preset
from steepslope_lab.benchmark.trial import ALL, FREE, TEST, trial_of
from tests.lab.benchmark.tables import noisy_table, table_preset

pytestmark = pytest.mark.usefixtures("quick_nets")


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "DRAWS", 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    noisy_table(400, 0).to_csv(tmp_path / "t.csv", index=False)
    noisy_table(150, 1).to_csv(tmp_path / "later.csv", index=False)
    return tmp_path


def ran(preset: Preset, folder: Path) -> list[dict[str, Any]]:
    return run_preset(preset, folder, folder / "out", folder / "work")


def saved(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "out" / "made.json").read_text())
    assert isinstance(content, dict)
    return content


@pytest.fixture
def quick_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure nothing: a row has its seed and the classifier, which is all that tells it from others."""
    monkeypatch.setattr(run, "trial_of", lambda *_: None)
    monkeypatch.setattr(run, "row_of_trial", lambda preset, _, seed: {"seed": seed, "by": preset.classifier})


@pytest.mark.usefixtures("quick_rows")
def test_a_run_that_ends_early_keeps_its_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of what is complete reads no data, so these may be gone."""
    both = table_preset(note="N", seeds=(0, 1))

    def until_seed_1(*given: Any) -> None:
        if given[3] == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "trial_of", until_seed_1)
        with pytest.raises(KeyboardInterrupt):
            ran(both, folder)
    (first,) = saved(folder)["rows"]
    rows = ran(both, folder)
    assert [row["seed"] for row in rows] == [0, 1]
    assert rows[0] == first
    content, before = saved(folder), (folder / "out" / "made.json").read_bytes()
    assert content["rows"] == json.loads(json.dumps(rows))
    assert [content[name] for name in ("title", "kind", "source", "note")] == ["Made rows", "table", "made", "N"]
    (folder / "t.csv").unlink()
    told: list[str] = []
    assert run_preset(both, folder, folder / "out", folder / "work", told.append) == content["rows"]
    assert told == ["made: seed 0 is complete", "made: seed 1 is complete"]
    monkeypatch.setattr(run, "trial_of", trial_of)
    with pytest.raises(SteepslopeError, match=r"t.csv: expected a file of the data set, found none"):
        ran(table_preset(seeds=(0, 1, 2)), folder)
    assert (folder / "out" / "made.json").read_bytes() == before


@pytest.mark.usefixtures("quick_rows")
def test_rows_of_other_settings_or_data_are_not_replaced(folder: Path) -> None:
    rows = ran(table_preset(), folder)
    before = (folder / "out" / "made.json").read_bytes()
    assert ran(table_preset(title="Another", note="N"), folder) == json.loads(json.dumps(rows))
    with pytest.raises(SteepslopeError, match=r"made\.json: has rows of other settings: remove it, or name another"):
        ran(table_preset(classifier="bayes"), folder)
    noisy_table(400, 7).to_csv(folder / "t.csv", index=False)
    with pytest.raises(SteepslopeError, match=r"made\.json: has rows of other data: remove it, or name another"):
        ran(table_preset(), folder)
    assert (folder / "out" / "made.json").read_bytes() == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::steepslope.errors.NothingPromisedWarning")
def test_a_row_has_all_that_was_measured(folder: Path) -> None:
    preset = table_preset(opinions={"tree": "tree", "bayes": "bayes"}, shifted={"later": {"files": ["later.csv"]}})
    trial = trial_of(preset, folder, folder / "work", 0, lambda _: None)
    row = row_of_trial(preset, trial, 0)
    outputs = trial.judged[TEST].outputs
    right = outputs.is_correct
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert (row["n"], row["classes"], row["errors"], row["known"]) == (160, 3, (~right).sum(), len(trial.known))
    assert row["accuracy"] == pytest.approx(right.mean(), abs=1e-5)
    for line in (FREE, "fused, tree", "fused, bayes", ALL):
        assert row["lines"][line]["auc"][0] == pytest.approx(
            roc_auc_score(right, trial.judged[TEST].fused[line]), abs=6e-6
        )
    assert {MCP, BEST, AVERAGE} <= {*row["lines"]}
    assert [*row["gates"]] == [MCP, BEST, AVERAGE, FREE, ALL, *row["in its place"]]
    assert ENSEMBLE in row["in its place"]
    assert {*row["opinions"]} == {"tree", "bayes"}
    assert {*row["seconds"]} == {*trial.seconds}
    later = row["shifted"]["later"]
    labels = trial.judged["later"].outputs
    assert (later["n"], later["accuracy"]) == (150, pytest.approx(labels.is_correct.mean(), abs=1e-5))
    assert later["lines"][ALL]["aurc"] == pytest.approx(
        aurc(trial.judged["later"].fused[ALL], labels.is_correct), abs=6e-6
    )
    assert MONITOR in later["estimates"]


@pytest.mark.usefixtures("quick_rows")
def test_a_row_of_another_run_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 1 ends while seed 0 is measured, by a run with a work folder of its own."""

    def meanwhile(*given: Any) -> None:
        if given[3] == 0:
            run_preset(table_preset(seeds=(1,)), folder, folder / "out", folder / "other")

    monkeypatch.setattr(run, "trial_of", meanwhile)
    assert [row["seed"] for row in ran(table_preset(), folder)] == [1, 0]
