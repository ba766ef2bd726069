"""A cluster that is joined or started, its options, and what is said where it cannot be; none is started here."""

from __future__ import annotations

import builtins
import io
import os
import socket
import threading
from contextlib import nullcontext
from typing import Any

import pytest

from steepslope.errors import SteepslopeError
from steepslope.nets.predict import _cluster as sessions
from steepslope.nets.predict._cluster import _ray_session, _room_for_actors, _WithoutRay
from steepslope.nets.predict._options import ClusterOptions


def test_no_head_is_one_line_and_no_long_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", "127.0.0.1:99999"):
        with pytest.raises(SteepslopeError, match=f"{address}: expected the head of a Ray cluster, found none"):
            _ray_session(ClusterOptions(address=address)).__enter__()


def test_a_folder_of_code_has_to_be_there() -> None:
    with pytest.raises(SteepslopeError, match="no/such: expected a folder of Python modules"):
        _ray_session(ClusterOptions(code="no/such")).__enter__()


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_ray(name: str, *given: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "ray":
            raise ImportError("no ray")
        return real(name, *given, **named)

    monkeypatch.setattr("importlib.import_module", without_ray)
    with pytest.raises(SteepslopeError, match=r"--engine ray needs ray: pip install 'steepslope\[ray\]'"):
        _ray_session(ClusterOptions()).__enter__()


@pytest.mark.parametrize(
    ("resources", "settings", "room"),
    [
        ({"CPU": 8.0}, {"cpus": 3}, 2),
        ({"CPU": 8.0, "GPU": 2.0}, {"gpus": 0.5}, 4),
        ({"CPU": 2.0, "GPU": 4.0}, {"gpus": 0.5}, 2),
    ],
)
def test_room_for_actors(resources: dict[str, float], settings: dict[str, Any], room: int) -> None:
    assert _room_for_actors(resources, ClusterOptions(**settings)) == room


def test_no_room_is_told() -> None:
    with pytest.raises(SteepslopeError, match="1 CPUs and 1 GPUs, found 8 CPUs and 0 GPUs"):
        _room_for_actors({"CPU": 8.0}, ClusterOptions(gpus=1))


def test_what_the_process_has_joined_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user set in the environment goes before ours."""
    ray = pytest.importorskip("ray")
    ended: list[bool] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 3.0})
    monkeypatch.setenv("RAY_DEDUP_LOGS", "1")
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    with _ray_session(ClusterOptions()) as room:
        assert room == 3
        assert (os.environ["RAY_USAGE_STATS_ENABLED"], os.environ["RAY_DEDUP_LOGS"]) == ("0", "1")
    assert not ended


def test_what_was_started_is_stopped_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    calls: list[str] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda *_, **named: calls.append(f"init {named['num_cpus']}"))
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("shutdown"))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 64.0})
    monkeypatch.setattr(sessions, "_without_stderr_of_ray", nullcontext)
    with pytest.raises(RuntimeError, match="of the block"), _ray_session(ClusterOptions(actors=32, cpus=2)):
        raise RuntimeError("of the block")
    assert calls == ["init 64", "shutdown"]


def test_words_of_rays_threads_are_dropped() -> None:
    kept = io.StringIO()
    stream = _WithoutRay(kept)
    print("ours", file=stream)
    thread = threading.Thread(target=lambda: print("theirs", file=stream), name="ray_listen_error_messages")
    thread.start()
    thread.join()
    stream.flush()
    assert kept.getvalue() == "ours\n"


def test_addresses() -> None:
    for address in (None, "auto", "10.0.0.1:6379", "head.cluster.local:6379", "[fd00::1]:6379"):
        assert ClusterOptions(address=address).address == address
    for address in ("ray://head:10001", "head"):
        with pytest.raises(SteepslopeError, match="address: expected auto or HOST:PORT"):
            ClusterOptions(address=address)


def test_what_a_cluster_is_no_use_for() -> None:
    cluster = ClusterOptions(engine="ray")
    cluster.require_use(None, "found.csv")
    with pytest.raises(SteepslopeError, match="engine: expected --data with ray"):
        cluster.require_use("x.npz", "found.csv")
    with pytest.raises(SteepslopeError, match="out: expected a file to write to with ray"):
        cluster.require_use(None, "-")
    with pytest.raises(SteepslopeError, match="actors: expected none without --engine ray"):
        ClusterOptions(actors=2).require_use("x.npz", "found.csv")
