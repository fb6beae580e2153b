"""The environment of the library's variant, apart from the project's own: made from the lock beside this file."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
VENV = FOLDER.parent.parent.parent / ".batalkan" / "bench-faststream"


def python() -> Path:
    """Its Python; installs it at the first use, and again when the lock has changed."""
    lock = FOLDER / "requirements.lock"
    stamp, wanted = VENV / "stamp", sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        outer = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        subprocess.run([outer, "-m", "venv", "--clear", VENV], check=True)  # noqa: S603
        install = [str(program("python")), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(lock)]
        subprocess.run(install, check=True)  # noqa: S603
        stamp.write_text(wanted)
    return program("python")


def program(name: str) -> Path:
    """One of its programs."""
    return VENV / "bin" / name
