"""`steepslope serve`: what it tells, and one line for what cannot be served."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.serve._server import open_server_socket
from tests.cli.predictions import refuses
from tests.conftest import Captured
from tests.serve.live import running
from tests.serve.models import CARD, CERTIFICATE, image_gate


def test_it_tells_what_it_serves_and_stops_with_0(tmp_path: Path, capsys: Captured) -> None:
    """Also that the gate accepts nothing; and a second server on the same port ends in one line."""
    nothing = {**CARD, "threshold": None, "certificates": [{**CERTIFICATE, "threshold": None}]}
    path = image_gate(tmp_path, nothing)
    with running(path, "--name tints") as live:
        assert live.lines[0].endswith(f"images.onnx: {CARD['words']}")
        assert live.lines[1].startswith("warning: this gate accepts nothing")
        assert live.lines[2].startswith("serving tints on http://127.0.0.1:")
        told = f"127.0.0.1:{live.address[1]}: cannot listen here (Address already in use): choose another --port"
        refuses(f"serve --gate {path} --port {live.address[1]}", capsys, told)
        assert live.stopped() == 0


def test_what_cannot_be_served_is_told_in_one_line(tmp_path: Path, capsys: Captured) -> None:
    path = image_gate(tmp_path)
    (tmp_path / "text.onnx").write_text("hello")
    for words, message in {
        f"--gate {tmp_path}/none": "expected a calibrated gate, but it has no gate.json",
        f"--gate {tmp_path}/text.onnx": "expected a file that steepslope export wrote",
        f"--gate {path} --classifier timm:a": "classifier: expected none with an ONNX file",
        f"--gate {path} --port 70000": "port: expected a whole number from 0 to 65535",
        f"--gate {path} --name a/b": "name: expected letters, digits, dots, dashes",
        f"--gate {path} --max-batch 0": "max_batch: expected a whole number >= 1",
        f"--gate {path} --host a..b": "expected a host to listen on",
        f"--gate {path} --host 203.0.113.7": "cannot listen here",
    }.items():
        refuses(f"serve {words} --port 0" if "--port" not in words else f"serve {words}", capsys, message)


def test_a_missing_extra_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    refuses(f"serve --gate {tmp_path}", capsys, "serve needs fastapi: pip install 'steepslope[serve]'")


def test_the_socket_is_on_this_machine_alone_and_may_have_any_port() -> None:
    with open_server_socket("127.0.0.1", 0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"
        assert bound.getsockname()[1] > 0
    with open_server_socket("localhost", 0) as bound, pytest.raises(ConnectionRefusedError):
        socket.create_connection(bound.getsockname()[:2], 1)  # it does not listen before the gate is there
    with pytest.raises(SteepslopeError, match="choose another --port"), socket.create_server(("127.0.0.1", 0)) as taken:
        open_server_socket(*taken.getsockname())
