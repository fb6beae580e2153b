"""What the doctor sees."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from batalkan import doctor
from batalkan.cli import app
from batalkan.cli_options import console
from batalkan.doctor import COMPOSE, DEMO, LOCAL, TEST, diagnose


def test_healthy_machine_can_run_the_demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the packages installed and the port free nothing keeps the demonstration from running."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PORT", str(probe.getsockname()[1]))
    diagnosis = diagnose(tmp_path / "data")
    assert diagnosis.commands[DEMO] == []
    assert diagnosis.exit_code == 0
    assert json.loads(json.dumps(diagnosis.as_json()))["commands"][DEMO] == []


def test_busy_port_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is taken is listed with the commands that need it, and the exit code is not 0."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        diagnosis = diagnose(tmp_path)
    assert diagnosis.commands[DEMO] == [f"port {port}"]
    assert f"port {port}" in diagnosis.commands[COMPOSE]
    assert diagnosis.exit_code == 1


def test_an_empty_port_is_the_usual_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the other commands, a variable without a value is as none."""
    monkeypatch.setenv("PORT", "")
    assert "port 8080" in {finding.name for finding in diagnose(tmp_path).findings}


def test_missing_server_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not there keeps only those commands from running that need it, and the package is named."""
    monkeypatch.setattr(doctor, "find", lambda name: None)
    diagnosis = diagnose(tmp_path)
    assert {"PostgreSQL", "RabbitMQ", "Redis"} <= set(diagnosis.commands[LOCAL])
    assert "RabbitMQ" not in diagnosis.commands[DEMO] + diagnosis.commands[COMPOSE]
    assert any("rabbitmq-server" in finding.detail for finding in diagnosis.findings)


def test_what_only_the_tests_need_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test` lacks each program that is not there; the demonstration and compose need none of them."""
    monkeypatch.setattr(doctor, "find", lambda name: None)
    monkeypatch.setattr(doctor, "AXE", tmp_path)
    monkeypatch.setattr("shutil.which", lambda program, path="": None)
    diagnosis = diagnose(tmp_path)
    tools = {"Chromium", "nginx", "Prometheus", "libfaketime", "npm", "kubectl or Docker engine"}
    assert tools <= set(diagnosis.commands[TEST])
    assert tools.isdisjoint(diagnosis.commands[DEMO] + diagnosis.commands[COMPOSE] + diagnosis.commands[LOCAL])
    details = {finding.name: finding.detail for finding in diagnosis.findings}
    assert (details["nginx"], details["npm"]) == ("apt-get install nginx", "apt-get install npm")


def test_a_fetched_package_is_as_good_as_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once axe-core is there, its tests need no npm."""
    (tmp_path / "axe-core-4.14.1.tgz").touch()
    monkeypatch.setattr(doctor, "AXE", tmp_path)
    monkeypatch.setattr("shutil.which", lambda program, path="": None)
    assert "npm" not in diagnose(tmp_path).commands[TEST]


@pytest.mark.parametrize(
    ("kubectl", "engine", "detail"),
    [
        ("Client Version: v1.32.4", None, "kubectl 1.32.4"),
        ("Client Version: v1.31.9", None, "install kubectl 1.32 or newer, or a Docker engine"),
        ('Client Version: version.Info{Major:"1", GitVersion:"v1.20.2"}', "28.1", "kubectl in a container"),
        (None, "28.1", "kubectl in a container"),
    ],
)
def test_a_recent_kubectl_or_an_engine_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kubectl: str | None, engine: str | None, detail: str
) -> None:
    """The manifests are rendered by kubectl 1.32 or newer, or else in a container."""
    said = {"kubectl": kubectl, "docker": engine}
    monkeypatch.setattr(doctor, "_first_line", lambda program, *arguments: said.get(str(program)))
    (finding,) = [one for one in diagnose(tmp_path).findings if one.name == "kubectl or Docker engine"]
    assert finding.detail == detail
    assert finding.ok is not detail.startswith("install")


def test_an_unusable_data_folder_is_named(tmp_path: Path) -> None:
    """Where a file is in the way, no data can be kept."""
    (tmp_path / "file").touch()
    assert "data folder" in diagnose(tmp_path / "file" / "data").commands[DEMO]


def test_a_data_folder_of_another_user_is_named(closed: Path) -> None:
    """What may not be looked into cannot be used."""
    (found,) = [finding for finding in diagnose(closed / "data").findings if finding.name == "data folder"]
    assert (found.ok, found.detail) == (False, f"{closed / 'data'}: Permission denied")


def test_what_is_found_is_printed_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a folder that looks like markup of a terminal is a name."""
    monkeypatch.setattr(console, "width", 300)
    data = tmp_path / "[red]" / "[" / "x]"
    assert str(data) in CliRunner().invoke(app, ["doctor", "--data", str(data)]).output
