"""A monitor behind the server: it sees every decision, and its file survives the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._storage import digest_of_gate
from steepslope.monitor import Monitor
from steepslope.monitor._predictions import Predicted
from steepslope.monitor._state import WAIT, open_state
from steepslope.nets.predict._image_gate import ImageGate
from steepslope.serve._app import Answers, make_app
from steepslope.serve._decision_log import DecisionLog
from steepslope.serve._gate_folder import served_gate_folder
from steepslope.serve._monitoring import RETRY, SECONDS, ServedMonitor
from tests.serve.live import running
from tests.serve.models import PREDICT, client_of, encoded, posted

NOISE = np.random.default_rng(0).integers(128, 256, (600, 8, 8, 1), dtype=np.uint8)


def until(is_so: Callable[[], bool]) -> None:
    """Wait for what the batches' thread does after an answer."""
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_noise_is_a_change_that_outlives_the_server(gates: Path, tmp_path: Path) -> None:
    served, state = served_gate_folder(gates / "free"), tmp_path / "watch.sqlite"
    watch = ServedMonitor.open(state, served.card.gate, served.gate)
    with client_of(served, watch) as client:
        assert "steepslope_health 0.0" in client.get("/metrics").text
        for start in range(0, len(NOISE), 200):
            assert posted(client, images=NOISE[start : start + 200]).status_code == 200
        assert "steepslope_health 4.0" in client.get("/metrics").text
    watch.write()
    judge = ImageGate.load(gates / "free")
    decisions, expected = judge.predict_rows(NOISE[..., 0]), Monitor.of(judge.gate)
    made = (decisions.p_correct, decisions.accepted, decisions.probability, decisions.labels, decisions.distance)
    expected.update(*made)
    again = ServedMonitor.open(state, served.card.gate, served.gate)
    assert again.code == 4
    assert again.monitor.rows == len(NOISE)
    assert again.monitor.alarms == expected.alarms


def test_a_state_is_begun_by_a_gate_and_goes_on_without_one(gates: Path, tmp_path: Path) -> None:
    """An exported file knows its gate's digest alone; the state of another gate is refused."""
    state, digest = tmp_path / "watch.sqlite", digest_of_gate(gates / "free")
    with pytest.raises(SteepslopeError, match=r"watch.sqlite: expected a state, .* steepslope monitor --gate DIR"):
        ServedMonitor.open(state, digest)
    ServedMonitor.open(state, digest, Gate.load(gates / "free"))
    assert ServedMonitor.open(state, digest).monitor.rows == 0
    with pytest.raises(SteepslopeError, match=r"watch.sqlite: expected the state of the gate that is served"):
        ServedMonitor.open(state, digest_of_gate(gates / "mcp"), Gate.load(gates / "mcp"))


def test_servers_share_a_state_with_whatever_else_counts(gates: Path, tmp_path: Path) -> None:
    served, state = served_gate_folder(gates / "free"), tmp_path / "watch.sqlite"
    first, second = (ServedMonitor.open(state, served.card.gate, served.gate) for _ in range(2))
    for watch, rows in ((first, 7), (second, 5)):
        with client_of(served, watch) as client:
            assert posted(client, images=NOISE[:rows]).status_code == 200
    first.write()
    assert Monitor.load(state).rows == 7
    second.write()
    assert Monitor.load(state) == second.monitor
    assert second.monitor.rows == 12


def test_what_cannot_be_written_now_is_written_later(
    gates: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = ServedMonitor.open(tmp_path / "watch.sqlite", digest_of_gate(gates / "free"), Gate.load(gates / "free"))
    watch.written -= SECONDS
    row = Predicted.of([0.9], [True], [0.9], [3])
    watch.update(row)
    assert watch.path is not None
    with open_state(watch.path):
        watch.write_in_time()
    assert caplog.records[-1].message.endswith("(database is locked); what was seen waits in memory")
    watch.update(row)
    with open_state(watch.path), pytest.raises(SteepslopeError, match="database is locked"):
        watch.write(wait=0)
    assert [len(part) for part in watch.unwritten] == [2]  # so that each further try takes them at once
    assert (Monitor.load(watch.path).rows, watch.monitor.rows) == (0, 2)
    watch.write()
    assert Monitor.load(watch.path).rows == 2


def test_from_the_alarm_on_nothing_is_accepted(gates: Path, tmp_path: Path) -> None:
    """The log says why, and the command counts it. A server without a state begins again in memory."""
    folder = gates / "free"
    served, gate = served_gate_folder(folder), Gate.load(folder)
    monitor = Monitor.of(gate)
    decisions = ImageGate.load(folder).predict_rows(NOISE[..., 0])
    alone = decisions.accepted
    monitor.update(decisions.p_correct, alone, decisions.probability, decisions.labels, decisions.distance)
    first = min(monitor.alarms.values())
    for state in (tmp_path / "watch.sqlite", None):
        watch = ServedMonitor.open(state, served.card.gate, gate, reviews=True)
        log = DecisionLog.open(tmp_path / f"{state is None}.csv", served.card.classes, served.card.threshold)
        with TestClient(make_app(Answers(served, watch=watch, log=log)), "http://localhost") as client:
            for start in range(0, len(NOISE), 50):
                assert posted(client, images=NOISE[start : start + 50]).status_code == 200
            answer = client.post(PREDICT, content=encoded(NOISE[0, ..., 0])).json()
        assert (answer["decision"], answer["accepted"]) == ("review", False)
        table = pd.read_csv(tmp_path / f"{state is None}.csv")[: len(NOISE)]
        assert table["accepted"].tolist() == [*alone[: first - 1], *[False] * (len(NOISE) - first + 1)]
        np.testing.assert_array_equal(table["accepted"] | table["stopped"], alone)
    words = f"monitor --gate {folder} --predictions {tmp_path}/False.csv --state {tmp_path}/later.sqlite"
    assert main(words.split()) == 4


@pytest.mark.slow
def test_a_server_that_stops_writes_the_state(gates: Path, tmp_path: Path) -> None:
    import httpx

    with running(gates / "free", f"--monitor {tmp_path}/watch.sqlite") as live:
        for _ in range(3):
            assert httpx.post(f"{live.url}/predict", content=encoded(NOISE[0, ..., 0])).status_code == 200
        assert live.stopped() == 0
    assert Monitor.load(tmp_path / "watch.sqlite").rows == 3


def test_a_server_is_not_ready_while_its_monitors_state_is_lost(gates: Path, tmp_path: Path) -> None:
    """It answers all the same; a state that comes back is found even where no requests come, as of one not ready."""
    served, state = served_gate_folder(gates / "free"), tmp_path / "watch.sqlite"
    watch = ServedMonitor.open(state, served.card.gate, served.gate)
    with client_of(served, watch) as client:
        assert client.get("/v2/health/ready").status_code == 200
        assert "steepslope_monitor_lost 0.0" in client.get("/metrics").text
        state.rename(tmp_path / "elsewhere")
        watch.written -= SECONDS
        assert posted(client, images=NOISE[:7]).status_code == 200
        until(lambda: watch.is_lost)
        for route in ("/v2/health/ready", "/v2/models/gate/ready"):
            answer = client.get(route)
            assert (answer.status_code, "state cannot be written" in answer.text) == (400, True)
        assert "steepslope_monitor_lost 1.0" in client.get("/metrics").text
        assert client.get("/v2/health/live").status_code == 200
        assert posted(client, images=NOISE[:5]).status_code == 200
        until(lambda: watch.monitor.rows == 12)
        (tmp_path / "elsewhere").rename(state)
        until(lambda: client.get("/v2/health/ready").status_code == 200)
        assert "steepslope_monitor_lost 0.0" in client.get("/metrics").text
    assert Monitor.load(state).rows == 12


def test_a_state_that_another_process_writes_is_not_lost_but_after_a_minute(gates: Path, tmp_path: Path) -> None:
    watch = ServedMonitor.open(tmp_path / "watch.sqlite", digest_of_gate(gates / "free"), Gate.load(gates / "free"))
    assert watch.path is not None
    with open_state(watch.path):
        with pytest.raises(SteepslopeError, match="database is locked"):
            watch.write(wait=0)
        assert watch.can_write()
        watch.failing_since -= WAIT
        with pytest.raises(SteepslopeError, match="database is locked"):
            watch.write(wait=0)
        assert not watch.can_write()
    assert not watch.can_write()  # it was tried a moment ago
    watch.written -= RETRY
    assert watch.can_write()


def test_decisions_are_written_where_the_state_cannot_be(gates: Path, tmp_path: Path) -> None:
    served, state = served_gate_folder(gates / "free"), tmp_path / "watch.sqlite"
    watch = ServedMonitor.open(state, served.card.gate, served.gate)
    log = DecisionLog.open(tmp_path / "served.csv", served.card.classes, served.card.threshold)
    with client_of(served, watch, log) as client:
        state.unlink()
        watch.written -= SECONDS
        assert posted(client, images=NOISE[:7]).status_code == 200
        until(lambda: watch.is_lost)
    assert len(pd.read_csv(tmp_path / "served.csv")) == 7


def test_what_waits_for_a_lost_state_is_bounded(
    gates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A state that comes back has the rows of before; a monitor without a file keeps none."""
    gate, digest = Gate.load(gates / "free"), digest_of_gate(gates / "free")
    monkeypatch.setattr("steepslope.serve._monitoring.MOST_UNWRITTEN", 100)
    watch, in_memory = (ServedMonitor.open(path, digest, gate) for path in (tmp_path / "watch.sqlite", None))
    assert gate.calibration_rows is not None
    rows = gate.calibration_rows
    assert rows.probability is not None
    parts = [
        Predicted.of(rows.p_correct[part], rows.accepted[part], rows.probability[part])
        for part in (slice(start, start + 30) for start in range(0, 150, 30))
    ]
    for part in parts:
        watch.update(part)
        in_memory.update(part)
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "90 predictions wait to be written; no more are kept"
    ]
    assert not in_memory.unwritten
    watch.write()
    assert watch.monitor.rows == 90
    begun = Monitor.of(gate, digest=digest)
    for part in parts[:3]:
        begun.take(part)
    assert Monitor.load(tmp_path / "watch.sqlite").as_json() == begun.as_json()
