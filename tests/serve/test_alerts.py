"""Each rule of the alerts fires on what a server really shows in that state, by Prometheus' own judgement."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from steepslope.nets.export._file import Arrays
from steepslope.serve._app import Answers, make_app
from steepslope.serve._decision_log import DecisionLog
from steepslope.serve._served import Served
from tests.linters import require_program
from tests.serve.models import PREDICT, FullDisk, encoded, file_served, image_gate

ALERTS = Path(__file__).parents[2] / "docs" / "serving-alerts.yaml"
RULES = {rule["alert"]: rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]}
COUNTERS = "_total", "_bucket", "_count", "_sum"
MINUTES = 150  # longer than any rule waits
RED, GREY = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 99, np.uint8)
RED[..., 0] = 255


@dataclass
class Known:
    """A monitor of known health."""

    code: int = 0
    least: float = 0.0
    is_written: bool = True

    def judge(self, answers: list[Arrays]) -> list[Arrays]:
        """Change nothing."""
        return answers

    def write_in_time(self) -> None:
        """Write nothing."""

    def can_write(self) -> bool:
        """Return whether the state can be written."""
        return self.is_written

    def evidence(self) -> dict[str, float]:
        """Return the evidence of one signal."""
        return {"trust": self.least}


def slow(served: Served) -> Served:
    """Return a model that takes over a second."""

    def run(parts: Any, top: int) -> Any:
        time.sleep(1.1)
        return served.run(parts, top)

    return replace(served, run=run)


def broken(served: Served) -> Served:
    """Return a model that fails."""

    def run(parts: Any, top: int) -> Any:
        raise ZeroDivisionError

    return replace(served, run=run)


@dataclass(frozen=True)
class State:
    """What a server does in some state, and the alerts that fire then."""

    alerts: set[str]
    watch: Known
    pixels: Any = None
    changed: Callable[[Served], Served] = replace
    stopped: str | None = None
    is_full: bool = False


STATES = {
    "well": State(set(), Known()),
    "changed": State({"GateChanged", "GateMayChange"}, Known(code=4, least=1.0)),
    "harmful": State({"GateHarmful"}, Known(code=3)),
    "half of the evidence": State({"GateMayChange"}, Known(least=0.6)),
    "hardly any is accepted": State({"GateAcceptsLess"}, Known(), pixels=GREY),
    "the state is lost": State({"MonitorLost"}, Known(is_written=False)),
    "the disk is full": State({"DecisionsUnwritten"}, Known(), is_full=True),
    "stopped": State({"GateStopped", "GateAcceptsLess"}, Known(), stopped="wrong joins"),
    "it fails": State({"RequestsFail"}, Known(), changed=broken),
    "it is slow": State({"RequestsSlow"}, Known(), changed=slow),
}


def shown(client: TestClient) -> dict[str, float]:
    """Return what Prometheus would read, with the labels that it adds."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            labels = {**sample.labels, "instance": "here:8000", "job": "gate"}
            written = ",".join(f'{name}="{value}"' for name, value in labels.items())
            found[f"{sample.name}{{{written}}}"] = sample.value
    return found


def series(before: dict[str, float], after: dict[str, float]) -> list[dict[str, str]]:
    """Return series that go on as between two looks, a minute apart: counters grow, and all others stay."""
    made = []
    for name, value in after.items():
        is_counter = name.partition("{")[0].endswith(COUNTERS)
        step = value - before.get(name, 0) if is_counter else 0
        made.append({"series": name, "values": f"{value:.17g}+{step:.17g}x{MINUTES}"})
    return made


def test_each_alert_has_a_state() -> None:
    assert set.union(*(state.alerts for state in STATES.values())) == set(RULES)


@pytest.mark.parametrize("name", STATES)
def test_alerts_fire(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promtool, state = require_program("promtool", "apt-get install prometheus"), STATES[name]
    log = DecisionLog.open(tmp_path / "served.csv", None)
    if state.is_full:
        monkeypatch.setattr("steepslope.serve._decision_log.os.write", FullDisk(room=0))
    served = state.changed(file_served(image_gate(tmp_path)))
    watch: Any = state.watch
    app = make_app(Answers(served, watch=watch, log=log, stopped=lambda: state.stopped))
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        looks = []
        for _ in range(2):
            client.post(PREDICT, content=encoded(RED if state.pixels is None else state.pixels))
            time.sleep(0.1)  # a batch is counted after its answers
            looks.append(shown(client))
    case = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series(*looks),
                "alert_rule_test": [
                    {"eval_time": f"{MINUTES - 10}m", "alertname": alert, "exp_alerts": []} for alert in RULES
                ],
            }
        ],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(case))
    done = subprocess.run(
        [promtool, "test", "rules", str(tmp_path / "case.yaml")], capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    fired = set(re.findall(r"alertname: ?(\w+)", told)) | set(re.findall(r'alertname="(\w+)"', told))
    assert fired == state.alerts, told
