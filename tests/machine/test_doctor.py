"""What the doctor sees."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from batalkan import doctor
from batalkan.cli import app
from batalkan.cli_options import console
from batalkan.doctor import COMPOSE, DEMO, LOCAL, diagnose


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
