"""Files of deploy/ are well formed, and agree with the server's options and limits, and with each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from steepslope.cli._parser import parser_options_of
from steepslope.cli._serve import serve
from steepslope.serve import _limits as limits
from tests.linters import require_clean

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
KINDS = {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8"))}
NGINX = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
POD: dict[str, Any] = KINDS["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
COMMANDS = {"compose": COMPOSE["gate"]["command"], "kubernetes": CONTAINER["args"]}
USER, PORT = 10001, 8000
GIB = 1 << 30
WRITING = 10  # seconds that a server has after --stop-within to write its state


def options_of(command: list[str]) -> dict[str, str]:
    """Return the values of a command's options, the last one of each."""
    return dict(word.split("=", 1) for word in command)


def nginx_values(directive: str) -> list[str]:
    """Return what follows a directive wherever it stands."""
    return re.findall(rf"^\s*{directive} ([^;]+);", NGINX, re.MULTILINE)


def seconds(text: str) -> int:
    """Return a duration such as 60s as a number."""
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("name", COMMANDS)
def test_all_options_are_those_of_serve(name: str) -> None:
    known = {option.spelt for option in parser_options_of(serve)}
    assert set(options_of(COMMANDS[name])) <= known
    written = set(re.findall(r'"(--[\w-]+)"', "\n".join(CONTAINERFILE.splitlines()[-3:])))
    assert written == {"--host", "--gate"} <= known


@pytest.mark.parametrize("name", COMMANDS)
def test_a_server_has_the_time_that_its_stop_takes(name: str) -> None:
    within = int(options_of(COMMANDS[name])["--stop-within"])
    assert within == limits.STOP_SECONDS
    assert [seconds(text) for text in nginx_values("proxy_read_timeout")] == [within]
    first = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    graces = {
        "kubernetes": POD["terminationGracePeriodSeconds"],
        "compose": seconds(COMPOSE["gate"]["stop_grace_period"]),
    }
    assert graces[name] == first + within + WRITING
    assert [seconds(text) for text in nginx_values("worker_shutdown_timeout")] == [graces[name]]


def test_the_proxy_has_the_limits_of_the_server() -> None:
    assert nginx_values("client_max_body_size") == [f"{limits.MAX_BODY >> 20}m"]
    assert f"at most {limits.MAX_BODY:,} bytes" in NGINX
    for directive in ("client_header_timeout", "client_body_timeout"):
        assert [seconds(text) for text in nginx_values(directive)] == [limits.BODY_SECONDS]
    assert f"of_all {limits.MAX_CONNECTIONS}" in nginx_values("limit_conn")
    (connections,) = nginx_values("worker_connections")
    assert int(connections) >= 2 * limits.MAX_CONNECTIONS
    assert nginx_values("proxy_set_header Host") == ["$http_host"]
    assert nginx_values("proxy_set_header X-Request-Id") == ["$forwarded_id"]


def test_memory_is_for_all_bodies_and_as_much_again() -> None:
    expected = 2 * limits.MAX_MEMORY // GIB
    assert CONTAINER["resources"]["limits"]["memory"] == f"{expected}Gi"
    assert COMPOSE["gate"]["mem_limit"] == f"{expected}g"


def test_names_and_ports_fit_together() -> None:
    assert f"EXPOSE {PORT}\n" in CONTAINERFILE
    assert CONTAINER["ports"] == [{"name": "http", "containerPort": PORT}]
    assert nginx_values(r"\s*server gate:\d+") == []
    assert re.findall(r"server (gate:\d+);", NGINX) == [f"gate:{PORT}"]
    allowed = options_of(COMMANDS["compose"])["--allow-host"]
    assert allowed in nginx_values("server_name")[0].split()
    assert options_of(COMMANDS["kubernetes"])["--allow-host"] == KINDS["Service"]["metadata"]["name"]
    labels = KINDS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        KINDS["Service"]["spec"]["selector"],
        KINDS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        KINDS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector == labels


def test_probes_ask_routes_that_are_there() -> None:
    source = (ROOT / "src" / "steepslope" / "serve" / "_app.py").read_text(encoding="utf-8")
    routes = set(re.findall(r'add_api_route\("([^"]+)"', source))
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    asked = {CONTAINER[probe]["httpGet"]["path"] for probe in probes}
    assert asked == {"/v2/health/live", "/v2/health/ready"} <= routes
    annotations = KINDS["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in routes
    assert annotations["prometheus.io/port"] == str(PORT)


def test_no_server_is_root_or_can_write_where_it_need_not() -> None:
    pod, container = POD["securityContext"], CONTAINER["securityContext"]
    assert (pod["runAsNonRoot"], pod["runAsUser"], pod["fsGroup"]) == (True, USER, USER)
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["readOnlyRootFilesystem"]
    assert not container["allowPrivilegeEscalation"]
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert f"USER {USER}:{USER}\n" in CONTAINERFILE
    for service in COMPOSE.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    gate = options_of(CONTAINER["args"])["--gate"]
    (mount,) = (mount for mount in CONTAINER["volumeMounts"] if mount["mountPath"] == gate)
    assert mount["readOnly"]
    assert any(
        volume.endswith(f":{options_of(COMMANDS['compose'])['--gate']}:ro") for volume in COMPOSE["gate"]["volumes"]
    )


def test_they_pass_their_linters() -> None:
    package = "pip install '.[dev]'"
    require_clean("kubernetes-validate", package, "--strict", DEPLOY / "kubernetes.yaml")
    compose_schema = "--builtin-schema", "vendor.compose-spec"
    require_clean("check-jsonschema", package, *compose_schema, DEPLOY / "compose.yaml")


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    """It looks up the server's name, which is known inside of compose alone."""
    path = tmp_path / "nginx.conf"
    path.write_text(
        NGINX.replace("server gate:", "server 127.0.0.1:").replace("/tmp/", f"{tmp_path}/"), encoding="utf-8"
    )
    require_clean("nginx", "apt-get install nginx-light", "-t", "-c", path)


def test_the_page_for_the_night_has_each_alert_as_a_heading() -> None:
    rules = yaml.safe_load((ROOT / "docs" / "serving-alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = {name for line in re.findall(r"^## (.*)$", page, re.MULTILINE) for name in line.split(" and ")}
    assert {rule["alert"] for rule in rules} <= headings
