"""A row that lacks an opinion which nearly all calibration rows had goes to review, however it comes to lack it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from steepslope.gate import Gate
from steepslope.gate._decisions import REVIEW
from steepslope.nets.export._exporting import export_gate
from steepslope.nets.export._file import ExportedGate
from steepslope.numerics import _small_net as small_net
from steepslope.oracle import FusedOracle, Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.serve._served import served_file
from tests.cli.predictions import predict
from tests.nets.export.rows import run

CLASSES, N = 4, 2_000
pytestmark = pytest.mark.filterwarnings("ignore:opinion second", "ignore:the opinion second is right")
KINDS = ("logits", "votes")


def drawn(n: int, seed: int) -> tuple[ClassifierOutputs, np.ndarray]:
    """Return outputs that are right in two of three rows, and the logits of a better classifier."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=n)
    own, other = (rng.normal(size=(n, CLASSES)) + by * np.eye(CLASSES)[labels] for by in (1.5, 3.2))
    return ClassifierOutputs(own.astype(np.float32), labels), other


def told(rows: tuple[ClassifierOutputs, np.ndarray], kind: str, lacking: Any = ()) -> ClassifierOutputs:
    """Return outputs with the other's opinion, which some rows lack."""
    outputs, other = rows
    given = other.copy() if kind == "logits" else other.argmax(axis=1).astype(np.float64)
    given[list(lacking)] = np.nan
    if kind == "votes":
        return outputs.with_opinion("second", given)
    both = outputs.with_opinion("second", ClassifierOutputs.of({"logits": np.nan_to_num(given)}))
    return both.changed(opinion_second=np.where(np.isnan(given), np.nan, both.arrays["opinion_second"]))


@pytest.fixture(scope="module")
def oracles() -> dict[str, FusedOracle]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_net, "LEAST_STEPS", 30)
        patch.setattr(small_net, "EPOCHS", 1)
        return {kind: FusedOracle(budget="opinions").fit(told(drawn(800, 0), kind)) for kind in KINDS}


def gate_of(oracle: FusedOracle, kind: str, lacking: Any = ()) -> Gate:
    return Gate.of(oracle, told(drawn(N, 1), kind, lacking), 0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_all_or_half_of_the_rows_lack_it(oracles: dict[str, FusedOracle], kind: str) -> None:
    """Others are judged as before, and only these are accepted; the promise holds for them."""
    gate, new = gate_of(oracles[kind], kind), drawn(1_000, 2)
    whole, half = gate.decide(told(new, kind)), told(new, kind, range(500))
    assert whole.coverage > 0.5
    assert whole.lacking is not None
    assert not whole.lacking.any()
    decisions = gate.decide(half)
    assert not decisions.accepted[:500].any()
    assert set(decisions.decision[:500]) == {REVIEW}
    np.testing.assert_array_equal(decisions.accepted[500:], whole.accepted[500:])
    assert (~half.is_correct)[decisions.accepted].mean() < 0.1
    assert decisions.table()["lacks_opinion"].tolist() == [True] * 500 + [False] * 500


def test_a_vote_for_another_class_says_nothing_that_calibration_rows_told(oracles: dict[str, FusedOracle]) -> None:
    gate, (outputs, other) = gate_of(oracles["votes"], "votes"), drawn(500, 3)
    votes = other.argmax(axis=1)
    with pytest.warns(UserWarning, match="another class"):
        odd = outputs.with_opinion("second", ["none of these", *map(str, votes[1:])])
    assert odd.require("vote_second")[0] == CLASSES
    decisions = gate.decide(odd)
    assert decisions.lacking is not None
    assert decisions.lacking.tolist() == [True] + 499 * [False]


@pytest.mark.parametrize(("count", "judged"), [(0, False), (99, False), (100, True), (600, True)])
def test_from_5_percent_of_calibration_rows_on_they_are_judged(
    oracles: dict[str, FusedOracle], count: int, judged: bool
) -> None:
    """With fewer, these calibration rows are not counted, and the certificate is that of the others alone."""
    gate, new = gate_of(oracles["logits"], "logits", range(count)), told(drawn(4_000, 2), "logits", range(4_000))
    assert bool(gate.decide_rows(new).accepted.any()) == judged
    assert gate.n == (N if judged else N - count)
    assert gate.certificates[0].n == gate.n
    goes_on = "is judged without it" if judged else "goes to review"
    side = "at least" if judged else "fewer than"
    line = f"A row that lacks the opinion second {goes_on}: {count:,} of 2,000 calibration rows lacked it, {side} 5 %."
    assert line in gate.sentences().splitlines()


def test_a_certificate_of_the_rows_that_have_it(oracles: dict[str, FusedOracle]) -> None:
    rows = told(drawn(N, 1), "logits")
    some = gate_of(oracles["logits"], "logits", range(50))
    others = Gate.of(oracles["logits"], rows.subset(slice(50, None)), 0.1)
    assert some.certificates == others.certificates
    assert some.calibration_rows is not None
    assert len(some.calibration_rows) == N - 50  # rows that lack it tell of no change
    assert int(some.calibration_rows.accepted.sum()) == some.certificates[0].accepted


def test_groups_are_of_the_rows_that_are_counted(oracles: dict[str, FusedOracle]) -> None:
    groups = np.arange(N) % 2
    gate = Gate.of(oracles["logits"], told(drawn(N, 1), "logits", range(50)), 0.1, groups=groups)
    assert [one.n for one in gate.certificates] == [975, 975]
    half = gate.decide(told(drawn(500, 2), "logits", range(250)), np.arange(500) % 2)
    assert not half.accepted[:250].any()
    assert half.accepted[250:].any()


def test_nothing_that_lacks_it_is_rejected(oracles: dict[str, FusedOracle]) -> None:
    gate = Gate.of(oracles["logits"], told(drawn(N, 1), "logits"), 0.1, reject=0.5)
    new = drawn(1_000, 2)
    assert "reject" in gate.decide(told(new, "logits")).decision
    assert set(gate.decide(told(new, "logits", range(1_000))).decision) == {REVIEW}


def test_a_gate_on_disk_and_another_mix_know_it(oracles: dict[str, FusedOracle], tmp_path: Path) -> None:
    gate = gate_of(oracles["votes"], "votes", range(3))
    gate.save(tmp_path / "gate")
    again, rows = Gate.load(tmp_path / "gate"), told(drawn(500, 2), "votes", range(250))
    np.testing.assert_array_equal(again.decide(rows).decision, gate.decide(rows).decision)
    source = json.loads((tmp_path / "gate" / "gate.json").read_text())["source"]
    assert (source["lacked"], source["rows"]) == ({"vote_second": 3}, N)
    assert "goes to review: 3 of 2,000 calibration rows lacked it" in (tmp_path / "gate" / "certificate.md").read_text()
    mix = dict.fromkeys("0123", 0.25)
    for options in ({"class_mix": mix}, {"target": rows}):
        moved = Gate.of(oracles["votes"], told(drawn(N, 1), "votes", range(3)), 0.1, **options)
        assert not moved.decide(rows).accepted[:250].any()
        assert moved.decide(rows).accepted[250:].any()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_and_a_served_file_decide_as_python_does(
    oracles: dict[str, FusedOracle], kind: str, tmp_path: Path
) -> None:
    gate = Gate.of(oracles[kind], told(drawn(N, 1), kind), 0.1, reject=0.5)
    rows = told(drawn(500, 2), kind, range(200))
    exported, expected = export_gate(gate, "gate"), gate.decide(rows)
    found = run(exported.model, rows.arrays)
    np.testing.assert_array_equal(found["accepted"], expected.accepted)
    np.testing.assert_array_equal(found["rejected"], expected.decision == "reject")
    assert not found["accepted"][:200].any()
    assert found["accepted"][200:].any()
    exported.save(tmp_path / "gate.onnx")
    served = served_file(ExportedGate.open(tmp_path / "gate.onnx", threads=1), 64)
    arrays = {one.name: rows.arrays[one.name].astype(one.dtype) for one in served.inputs}
    (answer,) = served.run([arrays], 1)
    np.testing.assert_array_equal(answer["decision"], expected.decision)


def test_predict_leaves_them_to_review(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows whose cell is empty, whose name is none of a class, or that the file does not have."""
    array, (rows, other) = "vote_second", drawn(400, 2)
    oracle = Oracle(inputs=("logits", array), epochs=1).fit(told(drawn(800, 0), "votes"))
    Gate.of(oracle, told(drawn(N, 1), "votes"), 0.3).save(tmp_path / "gate")
    rows.changed(labels=None, ids=np.arange(400).astype(str)).save(tmp_path / "rows.npz")
    votes = [str(vote) if row % 2 == 0 else "x" * (row % 3) for row, vote in enumerate(other.argmax(axis=1))]
    lines = [f"{row},{vote}" for row, vote in enumerate(votes) if row % 8 != 1]
    (tmp_path / "votes.csv").write_text("\n".join(["id,vote", *lines, ""]))
    given = ["--outputs", str(tmp_path / "rows.npz"), "--opinion", f"second={tmp_path}/votes.csv"]
    assert predict(tmp_path / "gate", tmp_path / "out.parquet", *given) in (0, 4)  # 4: so few are accepted
    found, lacking = pq.read_table(tmp_path / "out.parquet"), np.arange(400) % 2 == 1
    np.testing.assert_array_equal(found["lacks_opinion"].to_numpy(), lacking)
    assert set(np.array(found["decision"].to_pylist())[lacking]) == {REVIEW}
    assert found["accepted"].to_numpy()[~lacking].any()
    assert "200 lack an opinion that nearly all calibration rows had" in capsys.readouterr().err
