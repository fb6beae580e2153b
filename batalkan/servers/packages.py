"""Which of the three servers this machine has, and how to get the others from the distribution's packages. The same for
what tests need beside them: a browser, nginx, and the library that shifts a process's clock."""

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
    "chromium": "chromium",
    "faketime": "libfaketime",
    "nginx": "nginx",
}
SERVERS = ("rabbitmq", "redis", "postgres")
FOR_TESTS = ("chromium", "faketime", "nginx")
POLICY = Path("/usr/sbin/policy-rc.d")


class ServersMissing(Exception):
    """Programs are not on this machine and could not be installed; the message says what to do."""


def missing(names: Sequence[str] = SERVERS) -> list[str]:
    """Those of the names (keys of PACKAGES) that this machine does not have."""
    return [name for name in names if find(name) is None]


def need(name: str) -> Path:
    """The program; raises ServersMissing."""
    if program := find(name):
        return program
    raise ServersMissing(f"{PACKAGES[name]} is not installed on this machine")


def find(name: str) -> Path | None:
    """The program, wherever this distribution keeps it."""
    match name:
        case "postgres":  # Debian keeps every major version apart, others put one on PATH
            versions = list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
            newest = max(versions, key=lambda path: float(path.parts[4]), default=None)
            return newest or _on_path("postgres")
        case "rabbitmq":  # the script itself: the distribution's wrapper on PATH insists on its own user and folders
            script = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
            return script if script.exists() else _on_path("rabbitmq-server")
        case "chromium":
            names = ("chromium", "chromium-browser", "google-chrome")
            return next((found for found in map(_on_path, names) if found), None)
        case "faketime":
            folders = ("lib/*/faketime", "lib*/faketime")
            found = (path for folder in folders for path in Path("/usr").glob(f"{folder}/libfaketimeMT.so.1"))
            return next(found, None)
        case "nginx":
            return _on_path("nginx")
        case _:
            return _on_path("redis-server")


def _on_path(program: str) -> Path | None:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")  # which not everybody has on PATH
    return Path(found) if found else None


def install(log: Path, say: Callable[[str], None] = print, names: Sequence[str] = SERVERS) -> None:
    """Install those of `names` that are missing with apt-get, leaving no daemon of the distribution started by it.

    Raises ServersMissing when this user or machine cannot, or when the installation fails.
    """
    packages = [PACKAGES[name] for name in missing(names)]
    if not packages:
        return
    by_hand = f"install these packages and try again: {' '.join(packages)}"
    root = _become_root()
    if shutil.which("apt-get") is None or root is None:
        raise ServersMissing(f"not everything is on this machine; {by_hand}")
    log.parent.mkdir(parents=True, exist_ok=True)
    say(f"Installing {', '.join(packages)} from the distribution's packages (log: {log})")
    with log.open("w") as out, daemons_stay_off(root):
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            command = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
            command += ["-o", "DPkg::Lock::Timeout=120", *arguments]
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False)
    # What counts is what is there now: apt-get also fails over packages that are none of ours.
    if still := missing(names):
        raise ServersMissing(f"apt-get did not bring {', '.join(still)} (see {log}); {by_hand}")
    say("Installed.")


def _become_root() -> list[str] | None:
    """What to put before a command that needs root: nothing, `sudo`, or None when neither works unasked."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None


@contextmanager
def daemons_stay_off(root: list[str]) -> Iterator[None]:
    """Tell the package scripts not to start what they install; a policy that the machine already has stays as it is.

    The policy holds only while this process lives, so that being killed here leaves no lasting trace.
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
