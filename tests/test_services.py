"""What holds for all files: each list of services is that of `services/__init__.py`, and no file of code is long."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from services import PORTS, SERVICES, SETTINGS
from simulators import PORTS as SIMULATORS

ROOT = Path(__file__).parent.parent
LISTS = [
    ("compose.yaml", r"x-services: &services (.+)"),
    ("compose.yaml", r"- (\w+)-secrets:/secrets/\1"),
    ("compose.yaml", r"^  (\w+)-secrets:$"),
    ("compose.yaml", r"^      (\w+): \{condition: service_healthy\}"),
    ("compose.yaml", r"command: \[python, -m, services\.(\w+)\]"),
    ("compose.yaml", r'volumes: \["(\w+)-secrets:/run/secrets:ro"\]'),
    ("compose.yaml", r"healthy\.py, /(\w+)/health/ready\]"),
    ("compose.yaml", r"^      (\w+)_URL: http://\w+:8000$"),
    ("compose.yaml", r"(\w+)_DATABASE_URL_FILE: /run/secrets/\w+_database_url"),
    ("compose.cluster.yaml", r"^  (\w+): \*service$"),
    ("compose.ha.yaml", r"^  (\w+): \*service$"),
    ("Dockerfile", r"install -d -o 10001 -g 10001 -m 755 (.+) dana operator gateway"),
    ("deploy/observability/prometheus.yml", r"names: \[(.+)\], type"),
    ("deploy/kubernetes/base/kustomization.yaml", r"^  - (\w+)\.yaml$"),
    ("deploy/kubernetes/base/kustomization.yaml", r"^      - (\w+)_DATABASE_URL_FILE="),
    ("deploy/kubernetes/base/web.yaml", r"\{name: (\w+)_URL, value"),
    ("deploy/gateway/nginx.conf", r"# A new service is one more name here.\n.*<service>(.+)\)\(/"),
]
WITHOUT_WEB = {
    r"^      (\w+)_URL: http://\w+:8000$",  # the services that `web` calls
    r"\{name: (\w+)_URL, value",
    r"# A new service is one more name here.\n.*<service>(.+)\)\(/",  # pages have a rule of their own
}
OTHERS = {*SIMULATORS, "gateway", "namespace", "networks", "operator", "postgres", "rabbitmq", "redis"}
"""What the patterns find beside services."""


@pytest.mark.parametrize(("page", "pattern"), LISTS)
def test_a_list_of_services_has_all(page: str, pattern: str) -> None:
    """A list names each service and no other, but for `web` where it calls the others or has a rule of its own."""
    found = re.findall(pattern, (ROOT / page).read_text(), re.MULTILINE)
    listed = {name.lower() for names in found for name in re.findall(r"\w+", names)} - OTHERS
    assert listed == set(SERVICES) - ({"web"} if pattern in WITHOUT_WEB else set())


def test_every_package_is_listed() -> None:
    """The packages in services/ are the services, and every process has a port of its own."""
    assert {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")} == set(SERVICES)
    assert len({*PORTS.values(), *SIMULATORS.values()}) == len(PORTS) + len(SIMULATORS)


def test_settings_are_passed_on() -> None:
    """What a service reads as a number or as networks is in `SETTINGS`, unless the guided run sets it, and compose.yaml
    passes it on; empty means the default."""
    containers = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    read = {
        (name, str(node.args[0].value))
        for name in SERVICES
        for node in ast.walk(ast.parse((ROOT / "services" / name / "main.py").read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("number", "seconds", "networks")
        and isinstance(node.args[0], ast.Constant)
    }
    assert {setting for _, setting in read} == {*SETTINGS, "DANA_TIMEOUT", "SETTLING"}
    assert [(name, it) for name, it in read if containers[name]["environment"].get(it) != f"${{{it}:-}}"] == []


def test_no_file_is_long() -> None:
    """A file of code has at most 300 lines, as CONTRIBUTING says."""
    folders = ("batalkan", "contracts", "deploy", "lab", "runtime", "services", "simulators", "tests")
    paths = [path for folder in folders for kind in ("*.py", "*.js") for path in (ROOT / folder).rglob(kind)]
    assert [path.name for path in paths if len(path.read_text("utf-8").splitlines()) > 300] == []
    assert len(paths) > 500


def test_no_container_waits_long_for_a_lost_name() -> None:
    """In the clusters every service and every node stops asking for a name after a second: that of a lost node gets no
    answer there, and a standby or a broker does nothing else meanwhile."""
    files = [yaml.safe_load((ROOT / name).read_text()) for name in ("compose.cluster.yaml", "compose.ha.yaml")]
    nodes = {f"{kind}{end}" for kind in ("rabbitmq", "postgres") for end in ("", "-2", "-3")} | {"etcd-1", "etcd-2"}
    brief = {
        name
        for file in files
        for name, container in file["services"].items()
        if container.get("dns_opt") == ["timeout:1", "attempts:1"]
    }
    assert {*SERVICES, *nodes, "etcd-3"} == brief
