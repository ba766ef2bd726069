"""Requests have ids, under which their decisions are kept, so that labels that come later find them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fastapi.testclient import TestClient

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._storage import digest_of_gate
from steepslope.nets.export._exporting import export_gate
from steepslope.nets.export._file import ExportedGate
from steepslope.promise._change import CHANGED, EXIT_CODES, HARMFUL
from steepslope.scores import MCP
from steepslope.serve._app import REQUEST_ID, Answers, make_app
from steepslope.serve._decision_log import DecisionLog
from steepslope.serve._monitoring import ServedMonitor
from steepslope.serve._served import served_file
from tests.conftest import Captured, make_outputs
from tests.serve.models import (
    INFER,
    PREDICT,
    FullDisk,
    asked,
    client_of,
    drawn,
    encoded,
    file_served,
    image_gate,
    tensor,
)

NEW = make_outputs(60, seed=1)
ALERTS = Path(__file__).parents[2] / "docs" / "serving-alerts.yaml"


@pytest.fixture(scope="module")
def gate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "gate"
    Gate.of(MCP(), make_outputs(4_000), max_risk=0.1).save(folder)
    return folder


def test_each_answer_tells_the_id_of_its_request(tmp_path: Path) -> None:
    """It is the one that was sent; where none was, or one that no header can hold, one that no other has."""
    picture = encoded(drawn(1, 4, 4)[0])
    with client_of(file_served(image_gate(tmp_path))) as client:
        sent = client.post(PREDICT, content=picture, headers={REQUEST_ID: "order-7"})
        assert (sent.headers[REQUEST_ID], sent.json()["id"]) == ("order-7", "order-7")
        assert client.post(INFER, content=b"{", headers={REQUEST_ID: "order-8"}).headers[REQUEST_ID] == "order-8"
        made = [client.post(PREDICT, content=picture, headers={REQUEST_ID: given}) for given in ("", "x" * 201, "a\tb")]
        ids = {one.headers[REQUEST_ID] for one in made}
        assert len(ids) == 3
        assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
        mine = client.post(INFER, content=asked(tensor(), id="mine"))
        assert (mine.json()["id"], mine.headers[REQUEST_ID]) == ("mine", "mine")
        named = [client.post(INFER, content=asked(tensor(), id=name)) for name in ("row 17", "", "Zeile ü")]
        assert [answer.status_code for answer in named] == [200, 200, 400]
        assert named[0].headers[REQUEST_ID] == "row 17"
        assert named[2].json()["error"] == "id: expected printable ASCII, 200 characters at most, found 'Zeile ü'"
        both = client.post(INFER, content=asked(tensor(), id="mine"), headers={REQUEST_ID: "order-9"})
        assert (both.json()["id"], both.headers[REQUEST_ID]) == ("mine", "order-9")


def test_labels_that_come_later_find_the_decisions_that_were_served(
    gate_folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    """The command counts the file as those of predict, with the label of each row by its request's id."""
    gate = Gate.load(gate_folder)
    export_gate(gate, "gate", digest_of_gate(gate_folder)).save(tmp_path / "gate.onnx")
    served = served_file(ExportedGate.open(tmp_path / "gate.onnx"), 64)
    logits = NEW.logits.astype(np.float32)
    for half in (logits[:40], logits[40:]):  # the server is started twice
        log = DecisionLog.open(tmp_path / "served.csv", served.card.classes)
        with TestClient(make_app(Answers(served, log=log)), "http://localhost") as client:
            asked_for = {"name": "logits", "datatype": "FP32", "shape": half.shape, "data": half.ravel().tolist()}
            name = f"batch{len(half)}"
            assert client.post(INFER, content=asked(asked_for), headers={REQUEST_ID: name}).status_code == 200
    table = pd.read_csv(tmp_path / "served.csv")
    expected = gate.decide(NEW)
    assert table["id"].tolist() == [f"batch{n}/{row}" for n in (40, 20) for row in range(n)]
    assert table["accepted"].tolist() == expected.accepted.tolist()
    np.testing.assert_allclose(table["p_correct"], expected.p_correct, rtol=1e-6)
    labels = pd.DataFrame({"id": table["id"], "label": NEW.require_labels()})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    words = f"monitor --gate {gate_folder} --predictions {tmp_path}/served.csv --labels {tmp_path}/labels.csv"
    assert main([*words.split(), "--state", str(tmp_path / "late.sqlite"), "--json"]) == 0
    assert '"labels": 60' in capsys.readouterr().out


def test_rows_above_the_threshold_that_go_to_review_lack_an_opinion(tmp_path: Path) -> None:
    """So `monitor` takes them for what they are, and counts the labels of all others."""
    log = DecisionLog.open(tmp_path / "served.csv", None, threshold=0.5)
    row = {name: np.array([0.25, 0.75]) for name in ("probability", "p_correct", "trust_logit")}
    row |= {"id": np.array(["a", "b"]), "label": np.array([1, 2]), "accepted": np.zeros(2, dtype=bool)}
    log.write({**row, "decision": np.array(["review", "review"])})
    log.close()
    assert pd.read_csv(tmp_path / "served.csv")["lacks_opinion"].tolist() == [False, True]


def test_half_a_row_is_cut_off_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "served.csv"
    row = {"label": np.array([1]), "accepted": np.array([True]), "decision": np.array(["accept"])}
    row |= {name: np.array([0.75]) for name in ("probability", "p_correct", "trust_logit")}
    for name in ("a", "b"):
        log = DecisionLog.open(path, ("cat", "dog"))
        log.write({**row, "id": np.array([name], dtype=object), "handed_over": np.array([0.5])})
        log.close()
        with path.open("a") as file:
            file.write("c,dog,0.7")  # killed while it wrote
    DecisionLog.open(path, ("cat", "dog")).close()
    assert path.read_text().splitlines()[1:] == [
        f"{name},dog,0.75,0.75,0.75,true,accept,false,,false" for name in ("a", "b")
    ]
    others = {"other.csv": "id,cat\n1,0.5\n", "cut.csv": "id,note\na,1\nb,2", "notes.csv": "one line", "i.csv": "is"}
    for name, text in others.items():
        (tmp_path / name).write_text(text)
    for name, message in (
        *((name, "expected the columns id, label, .*, found others") for name in others),
        ("served.parquet", r"decisions: expected a file that ends in \.csv, found 'served\.parquet'"),
        ("no/served.csv", "cannot be written"),
    ):
        with pytest.raises(SteepslopeError, match=message):
            DecisionLog.open(tmp_path / name, None)
    assert {name: (tmp_path / name).read_text() for name in others} == others
    (tmp_path / "killed.csv").write_text("id,label,prob")  # as the header was written
    DecisionLog.open(tmp_path / "killed.csv", None).close()
    assert (tmp_path / "killed.csv").read_text().startswith("id,label,probability,")


@pytest.mark.parametrize("rotate", ["renamed", "removed", "emptied", "its folder renamed"])
def test_a_file_that_is_rotated_is_begun_anew(rotate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := tmp_path / "log").mkdir()
    path = folder / "served.csv"
    row = {name: np.array([0.75]) for name in ("probability", "p_correct", "trust_logit")}
    row |= {"label": np.array([1]), "accepted": np.array([True]), "decision": np.array(["accept"])}
    log = DecisionLog.open(path, None)

    def decide(name: str) -> None:
        log.write({**row, "id": np.array([name], dtype=object)})

    decide("a")
    if rotate == "renamed":
        path.rename(folder / "served.csv.1")
    elif rotate == "removed":
        path.unlink()
    elif rotate == "emptied":
        path.write_bytes(b"")
    else:
        folder.rename(tmp_path / "moved")
    decide("b")
    if rotate == "its folder renamed":
        assert not log.can_write()
        folder.mkdir()
    assert log.can_write()
    with monkeypatch.context() as patch:  # the next is half written, and the file goes
        patch.setattr(os, "write", FullDisk(10))
        decide("c")
        path.unlink()
    decide("d")
    log.close()
    assert pd.read_csv(path)["id"].tolist() == ["d"]
    assert log.lost == 1


def test_alerts_are_about_metrics_that_are_there(gate_folder: Path, tmp_path: Path) -> None:
    gate, digest = Gate.load(gate_folder), digest_of_gate(gate_folder)
    watch = ServedMonitor.open(tmp_path / "watch.sqlite", digest, gate)
    log = DecisionLog.open(tmp_path / "served.csv", None)
    with client_of(file_served(image_gate(tmp_path)), watch, log) as client:
        assert client.post(PREDICT, content=encoded(drawn(1, 4, 4)[0])).status_code == 200
        shown = {re.split("[ {]", line)[0] for line in client.get("/metrics").text.splitlines()}
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    used = {name for rule in rules for name in re.findall(r"\bsteepslope_\w+", rule["expr"])}
    assert used <= shown
    assert {"steepslope_health", "steepslope_evidence", "steepslope_monitor_lost"} <= used
    paging = {rule["expr"] for rule in rules if rule["labels"]["severity"] == "page"}
    assert {f"steepslope_health == {code}" for code in (EXIT_CODES[CHANGED], EXIT_CODES[HARMFUL])} <= paging
