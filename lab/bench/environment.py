"""Python environments beside `.venv`: that of the variant `faststream`, and that of users."""

import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class PythonEnvironment:
    """An environment that is created from a lock."""

    name: str
    lock: Path

    def python(self) -> Path:
        """The environment's Python; installs it at the first use and after a change of the lock."""
        folder = ROOT / ".batalkan" / self.name
        stamp, wanted = folder / "stamp", sha256(self.lock.read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            outer = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
            subprocess.run([outer, "-m", "venv", "--clear", folder], check=True)  # noqa: S603
            install = [
                str(self.program("python")),
                "-m",
                "pip",
                "install",
                "-q",
                "--require-hashes",
                "-r",
                str(self.lock),
            ]
            subprocess.run(install, check=True)  # noqa: S603
            stamp.write_text(wanted)
        return self.program("python")

    def program(self, name: str) -> Path:
        """The path of one of its programs."""
        return ROOT / ".batalkan" / self.name / "bin" / name


FASTSTREAM = PythonEnvironment("bench-faststream", Path(__file__).parent / "faststream" / "requirements.lock")
USERS = PythonEnvironment("bench-users", ROOT / "requirements.lock")
"""Without the developers' tools and OpenTelemetry, which libraries load where they find it."""
