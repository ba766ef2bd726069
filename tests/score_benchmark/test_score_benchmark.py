"""One line that judges a score: on tiny frozen outputs, against ``steepslope.metrics``; and on the package's own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import steepslope
from steepslope.cli._main import main
from steepslope.errors import SteepslopeError, unknown_name
from steepslope.files._folders import digest_of
from steepslope.metrics import auroc, compare
from steepslope.outputs import ClassifierOutputs
from steepslope.score_benchmark import _standing as standing
from steepslope.score_benchmark._frozen import FILE, About, FrozenPair, load_frozen_pairs, save_frozen_pairs
from steepslope.score_benchmark._standing import benchmark, checked_submission
from steepslope.scores import SCORES
from steepslope_lab.benchmark.rivals import OTHERS
from tests.refusal import refusal

N, FIT = 400, 150
ABOUT = About("made", "table", "drawn here", "CC0", FIT)


def margin_of_two(outputs: ClassifierOutputs) -> NDArray[Any]:
    assert outputs.labels is None
    return np.asarray(np.abs(outputs.logits[:, 0] - outputs.logits[:, 1]))


class Centre:
    """Learns where the fit rows are right, and wants the training rows as well."""

    def fit(self, outputs: ClassifierOutputs, reference: ClassifierOutputs | None) -> None:
        self.centre = outputs.require_features()[outputs.is_correct].mean(axis=0)
        self.reference = reference

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[Any]:
        assert self.reference is not None
        return np.asarray(-np.abs(outputs.require_features() - self.centre).sum(axis=1))


def made_pair(name: str = "one", seed: int = 0) -> FrozenPair:
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=N)
    logits = 1.5 * np.eye(2)[labels] + rng.normal(size=(N, 2))
    features = np.hstack([logits + rng.normal(size=(N, 2)), rng.normal(size=(N, 2))])
    arrays: dict[str, NDArray[Any]] = {
        "ids": np.arange(N, dtype=np.int32),
        "logits": logits.astype(np.float16),
        "labels": labels.astype(np.int16),
        "features": features.astype(np.float16),
        "vote_other": np.where(rng.random(N) < 0.8, labels, 1 - labels).astype(np.int16),
    }
    truths = rng.integers(2, size=100)
    columns = 1.5 * np.eye(4)[truths] + rng.normal(size=(100, 4))
    reference = {"logits": columns[:, :2].astype(np.float16), "labels": truths.astype(np.int16)}
    reference["features"] = columns.astype(np.float16)
    return FrozenPair(name, ABOUT, arrays, reference)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frozen") / "tiny.safetensors"
    save_frozen_pairs([made_pair("one"), made_pair("two", 1)], path)
    return path


@pytest.fixture(scope="module")
def found(tiny: Path) -> standing._Standing:
    return benchmark(margin_of_two, tiny)


def test_pairs_come_back_as_they_were_written(tiny: Path) -> None:
    pairs, made = load_frozen_pairs(tiny), made_pair("two", 1)
    assert [pair.name for pair in pairs] == ["one", "two"]
    assert (len(pairs[1].fit_set), len(pairs[1].judged), pairs[1].digest) == (FIT, N - FIT, made.digest)
    assert_array_equal(pairs[1].judged.logits, made.arrays["logits"][FIT:])
    assert pairs[1].judged.logits.dtype == np.float32
    assert pairs[1].judged.opinions == ("other",)
    assert pairs[1].judged.ids is not None
    assert pairs[1].judged.ids[0] == str(FIT)


@pytest.mark.parametrize("array", ["ids", "labels", "logits", "features"])
def test_changed_rows_are_refused(array: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = made_pair()
    other = replace(pair, arrays={**pair.arrays, array: np.roll(pair.arrays[array], 1, axis=0)})
    assert other.digest != pair.digest
    digest = pair.digest
    with monkeypatch.context() as patched:
        patched.setattr(FrozenPair, "digest", digest)
        save_frozen_pairs([other], tmp_path / "changed.safetensors")
    with pytest.raises(SteepslopeError, match="expected pair one as it was made, found changed rows, ids or numbers"):
        load_frozen_pairs(tmp_path / "changed.safetensors")


def test_what_is_no_frozen_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no arrays")
    with pytest.raises(SteepslopeError, match="text: cannot be read"):
        load_frozen_pairs(tmp_path / "text")


def test_numbers_are_those_of_metrics(tiny: Path, found: standing._Standing) -> None:
    for pair in load_frozen_pairs(tiny):
        judged, row = pair.judged, found.content["pairs"][pair.name]
        right = judged.is_correct
        own = np.abs(np.diff(judged.logits.astype(float), axis=1))[:, 0]
        assert_allclose(row["lines"]["score"]["auc"][0], auroc(own, right), atol=6e-6)
        difference = compare(own, SCORES["mcp"]().confidence(judged), right)
        for metric in ("auc", "aurc"):
            expected = [difference[metric][key] for key in ("value", "low", "high")]
            assert_allclose(row["lines"]["score"]["minus MCP"][metric], expected, atol=6e-6)
        assert row["promises"]["score"].keys() == {"0.02", "0.05"}
        assert row["right"] == round(right.mean(), 5)
    means = [found.content["pairs"][name]["lines"]["score"]["auc"][0] for name in ("one", "two")]
    assert found.content["mean"]["lines"]["score"]["auc"][0] == pytest.approx(np.mean(means), abs=1e-5)


def test_it_prints_a_line_a_pair_and_their_mean(found: standing._Standing) -> None:
    lines = str(found).splitlines()
    assert [line.split()[0] for line in lines[4:7]] == ["one", "two", "mean"]
    assert {"AUC − MCP", "AURC − fused", "at 2 %", "at 5 %, fused"} <= {*found.grid.columns}


def test_a_class_an_object_and_the_fused_oracle_are_scores(tiny: Path) -> None:
    for score in (Centre, Centre(), SCORES["trust_score"]):
        row = standing._row_of_pair(score, load_frozen_pairs(tiny)[0])
        assert -1 <= row["lines"]["score"]["minus fused"]["auc"][0] <= 1
    fused = standing._row_of_pair(standing.score_by_name("fused"), load_frozen_pairs(tiny)[0])
    assert fused["lines"]["score"]["minus fused"]["auc"] == [0, 0, 0]


def test_where_a_pair_lacks_what_a_score_needs_it_counts_as_mcp(tiny: Path) -> None:
    pair = load_frozen_pairs(tiny)[0]
    bare = replace(pair, arrays={name: one for name, one in pair.arrays.items() if name != "features"}, reference={})
    for score, lacks in ((SCORES["trust_score"], "features, reference"), (OTHERS["Δ-KNN + margin"], "features")):
        row = standing._row_of_pair(score, bare)
        assert row["lacks"] == lacks
        assert row["lines"]["score"]["minus MCP"]["auc"] == [0, 0, 0]
    assert standing._row_of_pair(standing.score_by_name("fused"), bare)["lacks"] == ""


def noisy(outputs: ClassifierOutputs) -> NDArray[Any]:
    return np.random.default_rng().normal(size=len(outputs))


def raising(outputs: ClassifierOutputs) -> NDArray[Any]:
    raise KeyError("no such array")


def changing(outputs: ClassifierOutputs) -> NDArray[Any]:
    outputs.logits[:] = 0
    return outputs.logits[:, 0]


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (noisy, "one, which holds .*: score: expected the same confidences twice, found others: fix its seed"),
        (raising, "one, which holds .*: score raising: raises KeyError .*no such array"),
        (changing, "one, which holds .*: score changing: raises ValueError .*read-only"),
        (lambda outputs: outputs.logits, r"expected a number for each prediction, \(250,\), found float32 of shape"),
        (lambda outputs: np.full(len(outputs), "sure"), "expected a number for each prediction"),
        (lambda outputs: np.where(np.arange(len(outputs)) == 3, np.nan, 1), "found NaN in row 3"),
        (lambda outputs: outputs.is_correct, "expected the true class of each prediction, found none"),
        (7, "expected a function, or an object with confidence, found int"),
    ],
)
def test_bad_scores_get_one_line(score: Any, message: str, tiny: Path) -> None:
    assert re.search(message, refusal(benchmark, score, tiny))


def test_what_others_send_is_checked(tiny: Path, found: standing._Standing, tmp_path: Path) -> None:
    path = tmp_path / "margin.json"
    found.save(path)
    assert str(checked_submission(path, tiny)) == str(found)

    def refused(message: str, seal: bool = True, **changes: Any) -> None:
        content = {**json.loads(path.read_text()), **changes}
        if seal:
            content["digest"] = digest_of({name: value for name, value in content.items() if name != "digest"})
        (tmp_path / "other.json").write_text(json.dumps(content))
        with pytest.raises(SteepslopeError, match=message):
            checked_submission(tmp_path / "other.json", tiny)

    pairs = json.loads(path.read_text())["pairs"]
    refused("expected the file as it was written, found a changed one", seal=False, score="mine")
    refused("expected numbers on this tiny.safetensors, found those on another file", frozen="0" * 64)
    refused("expected the rows of one, two, found other pairs or ids", pairs={"one": pairs["one"]})
    other_ids = {**pairs, "two": {**pairs["two"], "digest": "0" * 64}}
    refused("expected the rows of one, two, found other pairs or ids", pairs=other_ids)
    lines = pairs["one"]["lines"]
    better = {**lines, "score": {**lines["score"], "auc": [1.2, 1.1, 1.3]}}
    refused("lines.score.auc.0: expected a number from 0 to 1, found 1.2", pairs={
        **pairs, "one": {**pairs["one"], "lines": better}})  # fmt: skip
    of_others = {**lines, "MCP": {**lines["MCP"], "auc": [0.5, 0.4, 0.6]}}
    refused("one: expected an AUC of MCP of", pairs={**pairs, "one": {**pairs["one"], "lines": of_others}})
    refused("expected the mean of its pairs, found another", mean={})
    refused("expected a submission", pairs={**pairs, "one": {"digest": pairs["one"]["digest"]}})


def test_the_command_judges_a_module_of_ones_own(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine_to_judge.py").write_text("def score(outputs):\n    return outputs.logits.max(axis=1)\n")
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", "mine_to_judge:score", "--frozen", str(tiny), "--out", "."]) == 0
    assert "written: score.json" in capsys.readouterr().out
    assert main(["benchmark", "--check", "score.json", "--frozen", str(tiny)]) == 0
    assert "score on frozen outputs" in capsys.readouterr().out
    for words, message in (
        (["no_such_module:score"], "no_such_module:score: cannot be imported (No module named 'no_such_module')"),
        (["maxlogit"], str(unknown_name("score", "maxlogit", ["fused", *SCORES]))),
        ([], "expected a score, such as module:name, or --check FILE.json"),
    ):
        assert main(["benchmark", *words]) == 2
        assert capsys.readouterr().err == f"steepslope: error: {message}\n"


@pytest.mark.parametrize("name", OTHERS)
def test_rivals_of_others_are_better_than_nothing(name: str, tiny: Path) -> None:
    pair = load_frozen_pairs(tiny)[0]
    lines = standing._row_of_pair(OTHERS[name], pair)["lines"]
    assert lines["score"]["auc"][0] > 0.6
    expected = "agreement × confidence"  # two classes leave a temperature nothing but the order of MCP
    assert (lines["score"]["minus MCP"]["auc"][0] > 0.02) == (name == expected)


@pytest.mark.slow
def test_the_frozen_outputs_of_the_package() -> None:
    pairs = load_frozen_pairs(FILE)
    assert FILE.stat().st_size < 5_000_000
    assert len(pairs) >= 10
    assert {pair.about.kind for pair in pairs} == {"image", "text", "table", "sensor", "forecast"}
    assert all(pair.about.licence for pair in pairs)
    found = steepslope.benchmark(SCORES["margin"])
    assert [*found.content["pairs"]] == [pair.name for pair in pairs]
    fused = found.content["mean"]["lines"]["fused"]["minus MCP"]["auc"]
    assert fused[1] > 0
