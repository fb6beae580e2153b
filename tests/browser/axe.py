"""axe-core, which checks accessibility: fetched with npm, once, and verified by its hash."""

import hashlib
import subprocess
import tarfile
from base64 import b64decode
from functools import cache

from playwright.async_api import Page

from batalkan.doctor import AXE

VERSION = "4.14.1"
INTEGRITY = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
"""SHA-512 of the package, as in the registry."""


async def violations(page: Page, options: str = "{resultTypes: ['violations']}") -> list[str]:
    """What axe-core finds wrong on a page."""
    await page.evaluate(script())
    found = (await page.evaluate(f"axe.run({options})"))["violations"]
    return [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in found]


@cache
def script() -> str:
    """The program, from its folder, or else from the registry. Raises `subprocess.SubprocessError`, `OSError`."""
    package = AXE / f"axe-core-{VERSION}.tgz"
    if not package.exists():
        AXE.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", f"axe-core@{VERSION}", "--pack-destination", str(AXE)]
        subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=AXE)  # noqa: S603
    assert hashlib.sha512(package.read_bytes()).digest() == b64decode(INTEGRITY), f"{package} is not what it was"
    with tarfile.open(package) as files:
        found = files.extractfile("package/axe.min.js")
        assert found is not None
        return found.read().decode()
