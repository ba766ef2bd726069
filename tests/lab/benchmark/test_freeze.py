"""Outputs to be frozen: of rows that the classifier never saw, the same each time, and small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pytest
import yaml
from numpy.testing import assert_array_equal

from steepslope.files._progress import silent
from steepslope.files._yaml_files import read_yaml
from steepslope.score_benchmark._frozen import FILE, load_frozen_pairs
from steepslope_lab.benchmark import freeze
from steepslope_lab.benchmark.estimators import logistic_classifier
from steepslope_lab.benchmark.freeze import FrozenRows, freeze_benchmark, frozen_pair
from steepslope_lab.benchmark.preset import read_evidence_preset
from tests.lab.benchmark.tables import noisy_table, table_preset

ROWS = FrozenRows("table", "CC0", 300, 100, 150, 200, ("forest",), "cow")


def test_rows_are_new_to_the_classifier_and_named_by_their_numbers(tmp_path: Path) -> None:
    table = noisy_table(800, 0)
    table.to_csv(tmp_path / "t.csv", index=False)
    preset = table_preset(opinions={"forest": "forest"})
    pair, again = (frozen_pair(preset, ROWS, tmp_path, tmp_path, silent) for _ in range(2))
    assert pair.digest == again.digest
    assert (len(pair.fit_set), len(pair.judged), pair.judged.opinions) == (150, 200, ("forest",))
    assert {array.dtype.itemsize for name, array in pair.arrays.items() if name != "ids"} == {2}
    assert pair.training is not None
    assert_array_equal(np.unique(pair.training.require_labels()), [0, 1])  # no cows
    ids = pair.arrays["ids"]
    assert_array_equal(pair.arrays["labels"], table["kind"].map({"ant": 0, "bee": 1, "cow": -1}).to_numpy()[ids])
    inputs = pandas.read_csv(tmp_path / "t.csv").drop(columns="kind")
    trained = np.setdiff1d(np.flatnonzero(table["kind"] != "cow"), ids)
    order = np.random.default_rng(freeze.SEED).permutation(800)
    train = [row for row in order if table["kind"][row] != "cow"][:300]
    assert {*train} <= {*trained.tolist()}
    model = logistic_classifier(0).fit(inputs.iloc[train], table["kind"].to_numpy()[train])
    expected = model.predict_log_proba(inputs.iloc[ids])
    np.testing.assert_allclose(pair.arrays["logits"], expected, rtol=2e-3, atol=1e-6)


def test_published_probabilities_have_no_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400)
    won = (rng.random(400) < first).astype(int)
    (tmp_path / "basketball").mkdir()
    games = pandas.DataFrame({"season": 1, "prob1": first, "prob2": 1 - first, "prob1_outcome": won})
    games.to_csv(tmp_path / "basketball" / "nba_games.csv", index=False)
    settings = {"kind": "forecast", "licence": "CC0", "train": 0, "reference": 0, "fit": 100, "judged": 200}
    (tmp_path / "frozen.yaml").write_text(yaml.safe_dump({"basketball": settings}))
    monkeypatch.setattr(freeze, "PAIRS", tmp_path / "frozen.yaml")
    freeze_benchmark(tmp_path, tmp_path / "out", tmp_path / "work", silent)
    (pair,) = load_frozen_pairs(tmp_path / "out" / FILE.name)
    assert (len(pair.judged), pair.training, pair.judged.features) == (200, None, None)
    assert_array_equal(pair.arrays["labels"], 1 - won[pair.arrays["ids"]])


def test_all_pairs_are_presets_with_a_licence() -> None:
    for name, settings in read_yaml(freeze.PAIRS).items():
        assert {*settings.get("opinions", ())} <= {*read_evidence_preset(name).opinions}
        assert settings["licence"]
