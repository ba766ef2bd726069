"""The model card: its numbers are the report's and the certificate's, its code runs, and it hides nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from steepslope.errors import SteepslopeError
from steepslope.files.folders import write_json
from steepslope.gate import Gate
from steepslope.metrics.measures import METRICS, table_metrics
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.promise.certificate import ASSUMES
from steepslope.report.evaluation import evaluate_predictions
from steepslope.scores import SCORES
from steepslope.share.model_card import model_card
from steepslope.share.options import CardOptions
from steepslope.share.sharing import GATE, ORACLE, Shared, tensor_shapes
from tests.conftest import make_complete, make_outputs

Card = Callable[..., Any]  # returns a card as the Hub's library reads it


@pytest.fixture
def card_of(tmp_path: Path) -> Card:
    def made(
        name: Path, kind: str = GATE, place: str = "hub:me/mine", for_monitor: bool = False, **options: Any
    ) -> Any:
        shutil.rmtree(tmp_path / "shared", ignore_errors=True)
        (tmp_path / "shared").mkdir()
        shared = Shared.of(str(name), kind, for_monitor=for_monitor)
        shared.copy(tmp_path / "shared")
        return ModelCard(model_card(shared, tmp_path / "shared", place, CardOptions(**options)))

    return made


def section(card: Any, title: str) -> str:
    text: str = card.text
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def code(card: Any, language: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", card.text, re.DOTALL)
    return blocks[0]


@pytest.fixture(scope="module")
def report(gates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the metrics of a report on the oracle without a second backbone."""
    outputs = ClassifierOutputs.load(gates / "outputs" / "test")
    rows = evaluate_predictions(outputs, ["margin", str(gates / "free-oracle")], bootstrap=20).rows
    folder = tmp_path_factory.mktemp("report")
    write_json(folder / "made.json", {"made": {"outputs": "/home/somebody/june/test"}})
    (folder / "metrics.json").write_text(json.dumps([row.as_json() for row in rows]), encoding="utf-8")
    return folder


def rows_of(report: Path) -> dict[str, Any]:
    return {row["score"]: row for row in json.loads((report / "metrics.json").read_text(encoding="utf-8"))}


def test_its_numbers_are_those_of_the_report(report: Path, gates: Path, card_of: Card) -> None:
    card = card_of(gates / "free", report=str(report), row="free-oracle", dataset="digits", license="mit")
    rows = rows_of(report)
    own = rows["free-oracle"]
    results = {one.metric_type: one for one in card.data.eval_results or []}
    assert [*results] == ["accuracy", *table_metrics()]
    for name, result in results.items():
        assert result.metric_value == own[name]["value"]
        assert (result.dataset_name, result.metric_name) == ("digits", METRICS[name].title)
    assert (card.data.license, card.data.library_name, card.data.model_name) == ("mit", "steepslope", "mine")
    assert "pipeline_tag" not in yaml.safe_load(card.content.split("---")[1])  # it classifies nothing
    text = section(card, "How good it is")
    table = {line.split(" | ")[0][2:]: line.strip("| ").split(" | ")[1:] for line in text.splitlines() if "↑ |" in line}
    assert len(table) > 3
    for name, metric in table_metrics().items():
        if metric.heading in table:
            shown = [float(cell.split(" ")[0]) for cell in table[metric.heading]]
            values = [own[name], rows["mcp"][name], own["vs_mcp"][name]]
            assert shown == pytest.approx([metric.scale * one["value"] for one in values], abs=0.051)
            assert f"[{metric.scale * values[1]['low']:.1f}, " in table[metric.heading][1]
    wrong = round(own["n"] * (1 - own["accuracy"]["value"]))
    assert f"{own['n']:,} labelled predictions, {wrong:,} of them wrong (data set: digits)" in text
    assert "compares 2 scores with MCP" in text


def test_it_tells_what_is_shared_and_hides_where_it_was_made(gates: Path, home: Path, card_of: Card) -> None:
    card, gate = card_of(gates / "free"), Gate.load(gates / "free")
    promises = section(card, "What it promises")
    assert gate.certificates[0].sentences() in promises
    assert all(one in promises for one in ASSUMES)
    net = gate.origin.classifier
    assert net is not None
    assert f"`checkpoint:classifier`, digest `{net.digest}`" in section(card, "What it is for")
    assert str(home) not in card.content
    assert "No evaluation was given" in card.text
    assert card.data.eval_results is None
    text = section(card, "What is inside of the rows it learnt from")
    assert gate.source is not None
    assert gate.source.oracle is not None
    assert gate.source.oracle.record_ is not None
    own = gate.source.oracle.fitted_.states["neighbors"]["points"]  # type: ignore[attr-defined]
    assert len(own) >= len(ClassifierOutputs.load(gates / "outputs" / "train"))
    assert f"**Features of {len(own):,} rows**, {own.shape[1]} numbers each" in text
    assert f"**Sketches** of the {len(gate.source.oracle.record_.rows):,} rows" in text
    assert f"**Confidences** of the {len(gate.of_errors):,} calibration rows" in text
    assert "**Paths** of the machine" in text


@pytest.mark.parametrize("name", SCORES)
def test_features_inside_a_score_are_told(name: str, tmp_path: Path, card_of: Card) -> None:
    """They are those arrays of what it learnt that have a row for each of 300 rows."""
    score = SCORES[name]().fit(make_complete(300, seed=2))
    Gate.of(score, make_complete(900, seed=3), 0.3).save(tmp_path / "gate")
    text = section(card_of(tmp_path / "gate"), "What is inside of the rows it learnt from")
    by_row = [key for key, one in score.state().items() if 300 in one.shape]
    assert ("**Features of 300 rows**" in text) == bool(by_row)
    assert all(f"`score:{key}`" in text for key in by_row)


@pytest.mark.parametrize(
    ("kind", "for_monitor"), [("mcp", True), ("temperature", False), ("columns", True), ("auxiliary", False)]
)
def test_each_array_is_on_a_line_of_the_card(
    kind: str, for_monitor: bool, gates: Path, card_of: Card, tmp_path: Path
) -> None:
    """By its name, if it has a number for each of some rows, else by its file."""
    text = section(card_of(gates / kind, for_monitor=for_monitor), "What is inside of the rows it learnt from")
    gate, shapes = Gate.load(gates / kind), tensor_shapes(tmp_path / "shared")
    oracle = None if gate.source is None else gate.source.oracle
    counts = {gate.n, len(gate.of_errors), *(shape[0] for name, shape in shapes.items() if name.endswith("points"))}
    counts |= set() if oracle is None or oracle.record_ is None else {len(oracle.record_.rows)}
    assert any(name.startswith("calibration_rows:") for name in shapes) == for_monitor
    for name, shape in shapes.items():
        by_row = any(size in counts for size in shape)
        assert f"`{name}`" in text or (not by_row and f"`{name.partition(':')[0]}:`" in text), (name, shape)
    assert ("Left out is what the gate makes of each" in text) != for_monitor


def test_its_code_runs_on_images(gates: Path, home: Path, card_of: Card, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "image.png")
    card = card_of(gates / "free", place=str(gates / "free"))
    python = code(card, "python").replace("checkpoint:CLASSIFIER", f"checkpoint:{home / 'classifier'}")
    names: dict[str, Any] = {}
    exec(compile(python.replace('"IMAGE"', repr(str(tmp_path / "image.png"))), "README.md", "exec"), names)
    assert len(names["decisions"]) == 1
    assert f"--gate {gates / 'free'} --classifier checkpoint:CLASSIFIER --data images:FOLDER" in code(card, "sh")


def test_it_asks_for_each_net_that_lies_elsewhere_and_hides_where(gates: Path, card_of: Card, tmp_path: Path) -> None:
    gate = Gate.load(gates / "auxiliary")
    origin = gate.origin
    assert origin.auxiliary is not None
    second = replace(origin.auxiliary, spec="timm:resnet18?weights=/home/somebody/own.pt")
    replace(gate, origin=replace(origin, auxiliary=second)).save(tmp_path / "gate")
    card = card_of(tmp_path / "gate", place="mine")
    assert "--classifier checkpoint:CLASSIFIER --auxiliary 'timm:resnet18?weights=AUXILIARY' --data" in code(card, "sh")
    assert 'classifier="checkpoint:CLASSIFIER", auxiliary="timm:resnet18?weights=AUXILIARY")' in code(card, "python")
    assert "`AUXILIARY` is where it lies" in card.text
    assert "`timm:resnet18?weights=own.pt`" in card.text
    assert "somebody" not in card.text


def test_its_code_runs_on_outputs(tmp_path: Path, card_of: Card) -> None:
    make_outputs(50, seed=4).save(tmp_path / "new.npz")
    Oracle(epochs=1).fit(make_outputs(600)).save(tmp_path / "oracle")
    Gate.of(Oracle.load(tmp_path / "oracle"), make_outputs(900, seed=3), 0.3).save(tmp_path / "gate")
    for kind, found in ((GATE, "decisions"), (ORACLE, "trust_logit")):
        card = card_of(tmp_path / kind, kind, str(tmp_path / kind))
        names: dict[str, Any] = {}
        exec(compile(code(card, "python").replace("OUTPUTS", str(tmp_path / "new.npz")), "README.md", "exec"), names)
        assert len(names[found]) == 50
        assert "with logits, features of that classifier" in section(card, "How to use it")
        assert "Classifier: not recorded" in section(card, "What it is for")
    assert section(card, "What it promises").strip().startswith("Nothing: an oracle ranks.")


def test_its_code_runs_on_confidences(tmp_path: Path, card_of: Card) -> None:
    draw = np.random.default_rng(0)
    confidence = draw.random(2_000)
    groups = np.where(confidence < 0.5, "<b>", "ü")
    Gate.calibrate(confidence, draw.random(2_000) < 0.5, 0.01, groups=groups).save(tmp_path / "gate")
    card = card_of(tmp_path / "gate", place=str(tmp_path / "gate"))
    names: dict[str, Any] = {"confidence": confidence, "groups": groups}
    exec(compile(code(card, "python"), "README.md", "exec"), names)
    assert not names["accepted"].any()
    promises = section(card, "What it promises")
    assert "nothing can be promised" in promises
    assert "accepts nothing where nothing is promised" in promises
    assert ASSUMES[0] not in promises
    assert "<b>" not in card.text


def changed(report: Path, folder: Path, **changes: Any) -> str:
    rows = rows_of(report)
    rows["free-oracle"] |= changes
    (folder / "metrics.json").write_text(json.dumps([*rows.values()]), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((0.2, 0.1, 0.3), "free-oracle ranks better than MCP (+20.0 AUC points, 95 % interval +10.0 to +30.0)"),
        ((-0.2, -0.3, -0.1), "free-oracle does NOT beat MCP: it ranks worse (-20.0 AUC points"),
        ((0.1, None, None), "without resamples it is not known if by luck"),
    ],
)
def test_whether_it_beats_mcp_is_said(
    difference: tuple[float | None, ...], words: str, report: Path, gates: Path, card_of: Card, tmp_path: Path
) -> None:
    bounds = dict(zip(("value", "low", "high"), difference, strict=True))
    other = changed(report, tmp_path, delta_auc_vs_mcp=bounds, fit_rows=1_234)
    text = section(card_of(gates / "free-oracle", ORACLE, report=other), "How good it is")  # found by its folder's name
    assert words in text
    assert "**1,234 of these rows are those it was fitted on: the numbers are too good.**" in text
    assert "(data set: not named)" in text


def test_the_row_of_a_score_is_that_of_mcp_itself(gates: Path, report: Path, card_of: Card) -> None:
    text = section(card_of(gates / "mcp", report=str(report)), "How good it is")
    assert "| MCP, by which it ranks |" in text
    assert "no better than that" in text
    assert "(data set: june/test)" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"report": "no"}, "expected a report's metrics, but they cannot be read"),
        ({"report": "REPORT"}, "which score is what is shared? Give --row with one of mcp, margin, free-oracle"),
        ({"report": "REPORT", "row": "free-orcale"}, "did you mean 'free-oracle'"),
        ({"report": "REPORT", "row": "margin"}, "of the loss steep_slope, found None in margin"),
        ({"dataset": "digits"}, "dataset: expected --report with it, found none"),
    ],
)
def test_wrong_options_are_one_line(
    options: dict[str, str], words: str, gates: Path, report: Path, card_of: Card
) -> None:
    given = {name: str(report) if value == "REPORT" else value for name, value in options.items()}
    with pytest.raises(SteepslopeError, match=re.escape(words)) as error:
        card_of(gates / "free", **given)
    assert "\n" not in str(error.value)
