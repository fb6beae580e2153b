"""The Python environment of the variant `faststream`, separate from the project's: created from the lock in this
folder."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
VENV = FOLDER.parent.parent.parent / ".batalkan" / "bench-faststream"


def python() -> Path:
    """The environment's Python; installs it at the first use and after a change of the lock."""
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
    """The path of one of its programs."""
    return VENV / "bin" / name
