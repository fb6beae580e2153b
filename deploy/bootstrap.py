"""Creates `.venv` from the hashed locks, on a machine with only Python and pip.

    python3 deploy/bootstrap.py runtime | tracing | dev | docs   the environment: alone, with OpenTelemetry, with that
                                                                 and the developers' tools, or with Sphinx as well
    python3 deploy/bootstrap.py lock [--upgrade]                 the locks themselves, from pyproject.toml

pip installs uv into `.venv/uv`; uv creates the environment, which needs neither the venv module nor permission to
install into the system's Python. This file uses only the standard library: it runs before any package is installed.
"""

# ruff: noqa: S603, T201 - it runs pip and uv, and prints

from __future__ import annotations  # so that an old Python can print the error message

import ast
import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKS = {
    "runtime": "requirements.lock",
    "tracing": "requirements-tracing.lock",
    "dev": "requirements-dev.lock",
    "docs": "requirements-docs.lock",
}
"""Each contains the one before."""
OPTIONS = {
    "runtime": ["--group=build"],
    "tracing": ["--group=build", "--extra=tracing"],
    "dev": ["--group=build", "--extra=tracing", "--group=dev"],
    "docs": ["--group=build", "--extra=tracing", "--group=dev", "--group=docs"],
}
UV_INDEX_SETTINGS = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_CONFIG_FILE")

LAUNCHER = """#!/bin/sh
'''exec' "$(dirname "$(readlink -f "$0")")/python" -S "$0" "$@"
'''
# A Ctrl-C while Python imports its own modules would print a traceback, or be swallowed. So it first just ends the
# process.
import _signal

_signal.signal(_signal.SIGINT, _signal.SIG_DFL)
import os.path
import sys

sys.path.insert(0, os.path.abspath(os.path.realpath(__file__) + "/../../.."))
from runtime.shutdown.early import exit_on_signal

exit_on_signal("batalkan")
import site

site.main()
from batalkan.__main__ import main

main()
"""


def main() -> int:
    """Returns 0 if the environment matches the locks, 1 after an error message."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        return complain(f"Python 3.11 to 3.14 is needed, this is {sys.version.split()[0]}; try: make PYTHON=python3.13")
    if importlib.util.find_spec("pip") is None:
        return complain(f"pip is missing for {sys.executable} (Debian and Ubuntu: apt-get install python3-pip)")
    try:
        VENV.mkdir(exist_ok=True)
        with (VENV / "bootstrap.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # against two concurrent runs of make
            if kind == "lock":
                resolve(sys.argv[2:])
            else:
                install(max([kind, *filter(has_stamp, LOCKS)], key=list(LOCKS).index))  # never remove what is there
    except subprocess.CalledProcessError as error:
        return complain(f"failed: {' '.join(map(str, error.cmd[:4]))} …")
    except OSError as error:
        return complain(str(error))
    return 0


def install(kind: str) -> None:
    """Installs the lock, unless the stamp says that it is installed."""
    lock = ROOT / LOCKS[kind]
    wanted = digest(lock)
    if stamp(kind).exists() and stamp(kind).read_text() == wanted and python_works():
        touch_stamps(kind, wanted)
        return
    say(f"Setting up .venv from {lock.name} (once; Python {sys.version.split()[0]})")
    for other in LOCKS:
        stamp(other).unlink(missing_ok=True)
    uv, environment = fetch_uv(), uv_environment()

    def run(*arguments: object) -> None:
        subprocess.run([uv, *map(str, arguments)], cwd=ROOT, env=environment, check=True)

    if not python_works():
        run("venv", "--quiet", "--allow-existing", "--python", sys.executable, VENV)
    run("pip", "sync", "--quiet", "--require-hashes", lock)
    run("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    for path in VENV.glob("lib/python*/site-packages/_batalkan.pth"):
        point_at(ROOT, path)
    command = VENV / "bin" / "batalkan"
    command.write_text(LAUNCHER, "utf-8")
    command.chmod(0o755)
    touch_stamps(kind, wanted)


def point_at(folder: Path, pth: Path) -> None:
    """Writes a relative path. Python reads .pth files in the locale's encoding, so that with the locale C an absolute
    path with an é would be an error."""
    pth.write_text(os.path.relpath(folder, pth.parent) + "\n")


def resolve(options: list[str]) -> None:
    """Writes the locks of pyproject.toml for all platforms; existing pins stay without `--upgrade`."""
    compile_ = [str(fetch_uv()), "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", *options]
    compile_ += ["--generate-hashes", "--no-annotate", "--no-header"]
    environment = uv_environment()
    for kind, lock in LOCKS.items():
        arguments = ["pyproject.toml", *OPTIONS[kind], "-o", lock]
        subprocess.run([*compile_, *arguments], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    arguments = ["-", "-o", "requirements-uv.lock"]
    subprocess.run(
        [*compile_, *arguments], cwd=ROOT, env=environment, input=b"uv", stdout=subprocess.DEVNULL, check=True
    )


def fetch_uv() -> Path:
    """Installs uv, pinned and hashed, into its own folder; returns its path."""
    lock = ROOT / "requirements-uv.lock"
    folder, done = VENV / "uv", VENV / "uv" / "stamp"
    if not done.exists() or done.read_text() != digest(lock):
        arguments = ["-qq", "--no-deps", "--only-binary=:all:", "--require-hashes", "--upgrade", f"--target={folder}"]
        environment = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
        environment["PIP_ROOT_USER_ACTION"] = "ignore"
        subprocess.run(
            [sys.executable, "-m", "pip", "install", *arguments, "-r", lock],
            env=environment,
            stdin=subprocess.DEVNULL,
            check=True,
        )
        done.write_text(digest(lock))
    return folder / "bin" / "uv"


def uv_environment() -> dict[str, str]:
    """The environment for uv, with pip's indexes and certificates if uv has no configuration of its own."""
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV), "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    environment["UV_LINK_MODE"] = environment.get("UV_LINK_MODE", "copy")
    if not os.access(Path.home(), os.W_OK):
        environment["UV_NO_CACHE"] = "1"
    own = [Path("/etc/uv/uv.toml"), Path.home() / ".config/uv/uv.toml"]
    if any(name in os.environ for name in UV_INDEX_SETTINGS) or any(path.exists() for path in own):
        return environment
    pip = pip_settings()
    for theirs, ours in {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "trusted-host": "UV_INSECURE_HOST",
        "cert": "SSL_CERT_FILE",
    }.items():
        if theirs in pip:
            separator = "," if ours == "UV_FIND_LINKS" else " "
            environment.setdefault(ours, separator.join(pip[theirs].split()))
    if "no-index" in pip:
        environment.setdefault("UV_NO_INDEX", "1")
    # As pip does: search all indexes for the version. Its hash is pinned.
    environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return environment


def pip_settings() -> dict[str, str]:
    """The output of `pip config list`, including the environment; the most specific setting is last."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    settings: dict[str, str] = {}
    for name, _, value in (line.partition("=") for line in listed.splitlines()):
        section, _, option = name.partition(".")
        if section in ("global", "install", ":env:"):
            settings[option.removeprefix(".").replace("_", "-")] = str(ast.literal_eval(value)).strip()
    return settings


def python_works() -> bool:
    """Whether the environment's Python starts; it does not if its base Python was removed."""
    try:
        return subprocess.run([VENV / "bin" / "python", "-c", ""], check=False).returncode == 0
    except OSError:
        return False


def touch_stamps(kind: str, wanted: str) -> None:
    """Writes the stamp, and those of the environments that this one contains."""
    for smaller in takewhile(lambda other: other != kind, LOCKS):
        stamp(smaller).write_text(digest(ROOT / LOCKS[smaller]))
    stamp(kind).write_text(wanted)


def stamp(kind: str) -> Path:
    return VENV / f"{kind}.stamp"


def has_stamp(kind: str) -> bool:
    return stamp(kind).exists()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def say(line: str) -> None:
    print(line, flush=True)


def complain(line: str) -> int:
    print(f"batalkan: {line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
