"""The whole of compose.yaml under a project name and on a port of its own, driven by the `docker` command."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def docker(*arguments: str, **variables: str) -> str:
    """What the command says; raises AssertionError with everything it said when it fails."""
    done = subprocess.run(  # noqa: S603 - the commands of these tests
        ["docker", *arguments],  # noqa: S607 - whichever docker is found first
        cwd=ROOT,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


class Stack:
    """One running copy of everything."""

    def __init__(self, project: str, *files: str) -> None:
        """`files` are what compose reads, by default compose.yaml alone."""
        self._project = project
        self._files = [argument for file in files for argument in ("--file", file)]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.first_logs = ""
        """What had been written when everything was healthy for the first time."""

    def compose(self, *arguments: str, profile: str = "tools", demonstration: bool = True) -> str:
        """`docker compose …` for this copy."""
        return docker(
            "compose",
            "--project-name",
            self._project,
            *self._files,
            *arguments,
            PORT=str(self._port),
            MANAGEMENT_PORT="0",
            COMPOSE_PROFILES=profile,
            DEMONSTRATION="1" if demonstration else "0",
        )

    def up(self, *arguments: str, demonstration: bool = True) -> None:
        """Start everything but the tools, and wait until it is healthy."""
        try:
            self.compose("up", "--build", "--wait", *arguments, profile="", demonstration=demonstration)
        except AssertionError as failed:
            raise AssertionError(f"{failed}\n{self.logs()[-5000:]}") from None
        self.first_logs = self.first_logs or self.logs()

    def logs(self) -> str:
        """Everything that every container has written."""
        return self.compose("logs", "--no-color")

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """`docker inspect` of the containers, also of those that have done their work."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", *self.compose("ps", "-aq", *services).split()))
        return found

    def name_of(self, network: str) -> str:
        """What the engine calls a network of compose.yaml."""
        return f"{self._project}_{network}"

    def is_internal(self, network: str) -> bool:
        """Whether nothing outside can be reached through the network."""
        if network == "none":
            return True
        (found,) = json.loads(docker("network", "inspect", network))
        return bool(found["Internal"])

    def run_in(self, service: str, *command: str) -> str:
        """What a command says that is run inside the service's container."""
        return self.compose("exec", "-T", service, *command)

    def resolves(self, service: str, name: str) -> bool:
        """Whether the service's container finds an address of the name. It asks with a short timeout."""
        asked = f"RES_OPTIONS=timeout:1 getent hosts {name} || echo unknown"
        return self.run_in(service, "sh", "-c", asked).strip() != "unknown"

    def sql(self, database: str, query: str) -> list[str]:
        """The rows, as psql writes them, with `|` between the columns."""
        return self.run_in("postgres", "psql", "-U", "postgres", "-d", database, "-tAc", query).splitlines()


def service_of(container: dict[str, Any]) -> str:
    """The name in compose.yaml."""
    return str(container["Config"]["Labels"]["com.docker.compose.service"])


@contextmanager
def running_stack(*files: str) -> Iterator[Stack]:
    """Everything, from nothing, inside the block; and nothing of it left behind. Skips the test where it cannot run."""
    commands = (
        (["docker", "info"], "no Docker engine answers here"),
        (["docker", "compose", "version"], "no Compose v2"),
    )
    for command, reason in commands:
        try:
            subprocess.run(command, capture_output=True, check=True, timeout=20)  # noqa: S603 - the commands above
        except (OSError, subprocess.SubprocessError):
            pytest.skip(f"{reason}: {' '.join(files) or 'compose.yaml'} was not tried")
    stack = Stack(f"batalkan-test-{token_hex(4)}", *files)
    try:
        stack.up()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")
