"""Finds the three servers, and installs missing ones from the distribution's packages. The same for the programs that
tests need: a browser, nginx, Prometheus, and the library that shifts a process's clock."""

# ruff: noqa: S603 - fixed commands of the package installer

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PACKAGES = {
    "rabbitmq": "rabbitmq-server",
    "redis": "redis-server",
    "postgres": "postgresql",
    "chromium": "chromium-headless-shell",
    "faketime": "libfaketime",
    "nginx": "nginx",
    "prometheus": "prometheus",
}
SERVERS = ("rabbitmq", "redis", "postgres")
FOR_TESTS = ("chromium", "faketime", "nginx", "prometheus")
POLICY = Path("/usr/sbin/policy-rc.d")


class ServersMissing(Exception):
    """Programs are missing and cannot be installed; the message says what to do."""


def missing(names: Sequence[str] = SERVERS) -> list[str]:
    """The names (keys of PACKAGES) of programs that this machine does not have."""
    return [name for name in names if find(name) is None]


def need(name: str) -> Path:
    """The program; raises ServersMissing."""
    if program := find(name):
        return program
    raise ServersMissing(f"{PACKAGES[name]} is not installed; install it with: make servers")


def find(name: str) -> Path | None:
    """The path of the program, or None."""
    match name:
        case "postgres":  # Debian installs each major version in its own folder
            versions = list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
            newest = max(versions, key=lambda path: float(path.parts[4]), default=None)
            return newest or _on_path("postgres")
        case "rabbitmq":  # the distribution's wrapper on PATH requires its own user and folders
            script = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
            return script if script.exists() else _on_path("rabbitmq-server")
        case "chromium":
            names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")  # fastest first
            return next((found for found in map(_on_path, names) if found), None)
        case "faketime":
            folders = ("lib/*/faketime", "lib*/faketime")
            found = (path for folder in folders for path in Path("/usr").glob(f"{folder}/libfaketimeMT.so.1"))
            return next(found, None)
        case "nginx" | "prometheus":
            return _on_path(name)
        case _:
            return _on_path("redis-server")


def _on_path(program: str) -> Path | None:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")  # not on every user's PATH
    return Path(found) if found else None


def install(log: Path, say: Callable[[str], None] = print, names: Sequence[str] = SERVERS) -> None:
    """Installs the missing ones of `names` with apt-get, and starts no daemon of the distribution.

    Raises ServersMissing if this user or machine cannot install, or if the installation fails.
    """
    packages = [PACKAGES[name] for name in missing(names)]
    if not packages:
        return
    by_hand = f"install these packages and try again: {' '.join(packages)}"
    root = _become_root()
    if shutil.which("apt-get") is None or root is None:
        raise ServersMissing(f"programs are missing; {by_hand}")
    log.parent.mkdir(parents=True, exist_ok=True)
    say(f"Installing {', '.join(packages)} from the distribution's packages (log: {log})")
    with log.open("w") as out, daemons_stay_off(root):
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            command = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
            command += ["-o", "DPkg::Lock::Timeout=120", *arguments]
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False)
    # Check the programs, not the exit code: apt-get also fails because of unrelated packages.
    if still := missing(names):
        raise ServersMissing(f"apt-get did not install {', '.join(still)} (see {log}); {by_hand}")
    say("Installed.")


def _become_root() -> list[str] | None:
    """The prefix of a command that needs root: nothing, `sudo`, or None if neither works without a password."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None


@contextmanager
def daemons_stay_off(root: list[str]) -> Iterator[None]:
    """Tells the package scripts not to start what they install; an existing policy of the machine stays.

    The policy is valid only while this process lives, so that a kill leaves no permanent change.
    """
    if POLICY.exists():
        yield
        return
    policy = f"#!/bin/sh\n# Made while batalkan installs servers.\n[ -d /proc/{os.getpid()} ] && exit 101\nexit 0\n"
    subprocess.run([*root, "tee", POLICY], input=policy.encode(), stdout=subprocess.DEVNULL, check=True)
    try:
        subprocess.run([*root, "chmod", "755", POLICY], check=True)
        yield
    finally:
        subprocess.run([*root, "rm", "-f", POLICY], check=True)
