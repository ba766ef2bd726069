"""A new loss, score or kind of evidence is an entry: each is added at run time, and runs to the end.

New data sources and metrics: ``tests/nets/data`` and ``tests/metrics``.
"""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import steepslope
from steepslope.cli._main import main
from steepslope.errors import SteepslopeError, number
from steepslope.gate import Gate
from steepslope.losses import LOSSES, cross_entropy
from steepslope.metrics import auroc
from steepslope.nets.export._agreement import require_agreement
from steepslope.nets.export._exporting import export_gate
from steepslope.nets.export._file import ExportedGate
from steepslope.numerics._formulas import float64, log_softmax, namespace_of
from steepslope.numerics._log_space import is_class
from steepslope.oracle import FusedOracle, Oracle
from steepslope.oracle._base import BaseOracle
from steepslope.oracle.evidence import EVIDENCE
from steepslope.oracle.evidence._states import Evidence, State
from steepslope.outputs import ARRAYS, ClassifierOutputs
from steepslope.outputs._arrays import INTEGERS, Array
from steepslope.scores import SCORES, Score
from steepslope.scores._score import Rows
from tests.conftest import make_complete, make_outputs


def table_of(outputs: ClassifierOutputs, folder: Path, *options: str) -> tuple[list[dict[str, Any]], str]:
    """Evaluate by the command line; return the rows and the table."""
    outputs.save(folder / "test.npz")
    given = ["evaluate", "--outputs", str(folder / "test.npz"), "--bootstrap", "20", "--out", str(folder / "report")]
    assert main([*given, *options]) == 0
    return json.loads((folder / "report" / "metrics.json").read_text()), (folder / "report" / "table.md").read_text()


def tempered(trust_logit: Any, target: Any, *, tau: Annotated[float, number(0.1, 10)] = 1.0) -> Any:
    return cross_entropy(trust_logit / tau, target)


@pytest.mark.parametrize("fused", [False, True])
def test_a_loss_with_a_parameter_of_its_own(fused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES, "tempered", tempered)
    outputs, unseen = (make_outputs(600, seed=seed).changed(features=None) for seed in (0, 1))
    build: Any = (
        FusedOracle if fused else partial(Oracle, inputs="logits", head="linear", epochs=60, learning_rate=0.03)
    )
    mild, sharp = (build(loss="tempered", tau=tau).fit(outputs) for tau in (5.0, 0.5))
    if fused:  # which is calibrated by itself: a loss sets its cut alone, and this one cuts at one half
        np.testing.assert_array_equal(mild.trust_logit(unseen) > 0, mild.p_correct(unseen) > 0.5)
    else:
        assert np.abs(mild.trust_logit(unseen)).mean() > 2 * np.abs(sharp.trust_logit(unseen)).mean()
    mild.save(tmp_path / "mild")
    loaded = Oracle.load(tmp_path / "mild")
    assert loaded.loss_settings.parameters == {"tau": 5.0}
    np.testing.assert_array_equal(loaded.trust_logit(unseen), mild.trust_logit(unseen))
    rows, table = table_of(unseen, tmp_path, "--scores", str(tmp_path / "mild"))
    assert [(row["score"], row["loss"]) for row in rows] == [("mcp", None), ("mild", "tempered")]
    assert "| mild (tempered) |" in table
    with pytest.raises(SteepslopeError, match=r"tau: expected a number from 0.1 to 10, found 20"):
        build(loss="tempered", tau=20.0)
    with pytest.raises(SteepslopeError, match="unknown setting 'tua': did you mean 'tau'"):
        build(loss="tempered", tua=2.0)


ONE_FILE = '''

def tempered(trust_logit: Any, target: Any, *, tau: Annotated[float, number(0.1, 10)] = 1.0) -> Any:
    """Return cross entropy of trust logits over a temperature.

    Parameters
    ----------
    tau
        Temperature of the tempered loss, from 0.1 to 10.
    """
    return cross_entropy(trust_logit / tau, target)


LOSSES: '''


def test_one_file_gives_a_loss_its_options_too(tmp_path: Path) -> None:
    """In a copy of the package, losses.py alone is changed; the command line then has the parameter, and its help."""
    package = tmp_path / "steepslope"
    shutil.copytree(Path(steepslope.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    text = (package / "losses.py").read_text(encoding="utf-8").replace("\n\nLOSSES: ", ONE_FILE)
    (package / "losses.py").write_text(text.replace('"focal": focal,', '"focal": focal,\n    "tempered": tempered,'))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "steepslope", "fit", "--help-all"]
    shown = subprocess.run(words, env=environment, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "--tau" in shown.stdout
    assert "Temperature of the tempered loss" in shown.stdout


def exported_alike(model: BaseOracle, calibration: ClassifierOutputs, unseen: ClassifierOutputs, path: Path) -> None:
    """Export a gate of an oracle; the file, read again, decides as the gate does."""
    gate = Gate.of(model, calibration, 0.2)
    exported = export_gate(gate, "gate")
    require_agreement(exported)
    exported.save(path)
    file = ExportedGate.open(path)
    found = file.run({one.name: np.asarray(unseen.require(one.name), dtype=one.dtype) for one in file.inputs})
    expected = gate.decide(unseen)
    np.testing.assert_allclose(found["trust_logit"], expected.trust_logit, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found["accepted"], expected.accepted)
    assert 0 < expected.accepted.sum() < len(unseen)


class Directed(Score):
    """The first feature, in the direction in which it is higher for correct predictions; learnt from errors."""

    fits_on = "errors"
    arrays = ("features",)

    def __init__(self) -> None:
        self.direction_: float | None = None

    def learn(self, outputs: ClassifierOutputs) -> None:
        self.direction_ = float(np.sign(auroc(outputs.require_features()[:, 0], outputs.is_correct) - 0.5))

    def formula(self, rows: Rows) -> Any:
        assert self.direction_ is not None
        return 0.1 * self.direction_ * float64(rows["features"][:, 0])


def told_by_features(n: int, seed: int) -> ClassifierOutputs:
    """Make outputs whose first feature is low exactly where they are right, which no score of ours looks at."""
    outputs = make_complete(n, seed=seed)
    features = outputs.require_features().copy()
    features[:, 0] = 0.1 * features[:, 0] - outputs.is_correct
    return outputs.changed(features=features)


@pytest.mark.slow
def test_a_learned_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORES, "directed", Directed)
    fit_set, unseen, calibration = (told_by_features(500, seed) for seed in (1, 2, 3))
    oracle = Oracle(inputs="directed", head="linear", epochs=60, learning_rate=0.03).fit(fit_set)
    oracle.save(tmp_path / "plain")
    np.testing.assert_array_equal(Oracle.load(tmp_path / "plain").trust_logit(unseen), oracle.trust_logit(unseen))
    fit_set.save(tmp_path / "fit.npz")
    scores = f"directed,{tmp_path / 'plain'}"
    rows, table = table_of(unseen, tmp_path, "--scores", scores, "--fit", str(tmp_path / "fit.npz"))
    assert [row["score"] for row in rows] == ["mcp", "directed", "plain"]
    assert min(row["auc"]["value"] for row in rows[1:]) > 0.99
    assert "| directed |" in table
    score = Directed().fit(fit_set)
    Gate.of(score, calibration, 0.2).save(tmp_path / "gate")
    found = Gate.load(tmp_path / "gate").decide(unseen).trust_logit
    np.testing.assert_array_equal(found, score.confidence(unseen))
    exported_alike(oracle, calibration, unseen, tmp_path / "oracle.onnx")


def bright_columns(rows: Rows, _: State) -> Any:
    return rows["brightness"]


def bright_opinions(rows: Rows, _: State) -> Any:
    """Think of the predicted class, in one of many opinions, that it is right where it is bright."""
    predicted = is_class(rows["predictions"], rows["logits"].shape[1])
    is_bright = 3.3 * (float64(rows["brightness"])[:, :1] - 1.5)
    return log_softmax(namespace_of(is_bright).where(predicted, is_bright, 0.0))[:, None]


@pytest.mark.slow
def test_evidence_with_a_new_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARRAYS, "brightness", Array(("n", "b"), finite=True))
    monkeypatch.setitem(EVIDENCE, "brightness", Evidence(bright_columns, ("brightness",), opinions=bright_opinions))

    def made(seed: int) -> ClassifierOutputs:
        outputs = make_outputs(400, seed=seed).changed(features=None)
        return outputs.changed(brightness=outputs.is_correct[:, None] + np.ones((1, 3)))

    made(0).save(tmp_path / "fit")
    fit_set = ClassifierOutputs.load(tmp_path / "fit")
    assert fit_set.subset(slice(5)).require("brightness").shape == (5, 3)
    plain = Oracle(inputs="brightness,logits", head="linear", epochs=60, learning_rate=0.03).fit(fit_set)
    fused = Oracle.fused(budget="all").fit(fit_set)
    for name, oracle in {"plain": plain, "fused": fused}.items():
        oracle.save(tmp_path / name)
        assert "brightness" in Oracle.load(tmp_path / name).arrays
    exported_alike(fused, made(2), made(1), tmp_path / "fused.onnx")
    rows, _ = table_of(made(1), tmp_path, "--scores", f"{tmp_path / 'plain'},{tmp_path / 'fused'}")
    assert min(row["auc"]["value"] for row in rows[1:]) > 0.999
    with pytest.raises(SteepslopeError, match="brightness: expected 400 rows like the logits, found 3"):
        fit_set.changed(brightness=np.ones((3, 1)))
    with pytest.raises(SteepslopeError, match="the outputs hold no brightness"):
        Oracle.load(tmp_path / "plain").trust_logit(make_outputs())


@pytest.mark.parametrize("form", ["folder", "outputs.npz", "outputs.csv", "outputs.parquet"])
def test_new_arrays_come_back_from_every_format(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    made = {
        "years": (Array(("n",), INTEGERS, column="year"), rng.integers(1990, 2030, 50)),
        "weights": (Array(("n",), finite=True, column="weight"), np.append(rng.random(49), 3)),
        "counts": (Array(("n", "c"), INTEGERS, column="count"), rng.integers(9, size=(50, 3))),
        "angles": (Array(("n", "a"), column="angle"), rng.normal(size=(50, 2))),
    }
    for name, (array, _) in made.items():
        monkeypatch.setitem(ARRAYS, name, array)
    make_outputs(50).changed(**{name: values for name, (_, values) in made.items()}).save(tmp_path / form)
    loaded = ClassifierOutputs.load(tmp_path / form)
    for name, (_, values) in made.items():
        np.testing.assert_array_equal(loaded.require(name), values)
        assert loaded.require(name).dtype == values.dtype
