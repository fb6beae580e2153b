"""axe-core, which checks accessibility: fetched with npm, once, and verified by its hash."""

import hashlib
import subprocess
import tarfile
from base64 import b64decode
from pathlib import Path

VERSION = "4.14.1"
INTEGRITY = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
"""SHA-512 of the package, as in the registry."""


def script(cache: Path) -> str:
    """The program, from `cache`, or else from the registry. Raises `subprocess.SubprocessError`, `OSError`."""
    package = cache / f"axe-core-{VERSION}.tgz"
    if not package.exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", f"axe-core@{VERSION}", "--pack-destination", str(cache)]
        subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=cache)  # noqa: S603
    assert hashlib.sha512(package.read_bytes()).digest() == b64decode(INTEGRITY), f"{package} is not what it was"
    with tarfile.open(package) as files:
        found = files.extractfile("package/axe.min.js")
        assert found is not None
        return found.read().decode()
