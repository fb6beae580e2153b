"""The manifests of deploy/kubernetes, rendered by kubectl: this machine's, or one in a container."""

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import yaml

from batalkan.doctor import KUBECTL

OVERLAYS = ("demo", "external")
MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"
IMAGE = "batalkan-kubectl"
DOCKERFILE = """\
FROM debian:13-slim
RUN apt-get update && apt-get install -y --no-install-recommends kubernetes-client && rm -rf /var/lib/apt/lists/*
"""

Document = dict[str, Any]


class NoKubectl(Exception):
    """Nothing here can render the manifests; the text says what is needed."""


def render(overlay: str) -> list[Document]:
    """The documents of an overlay. Raises `NoKubectl`, and `CalledProcessError` with kubectl's reason."""
    if _version() >= KUBECTL:
        rendered = _run("kubectl", "kustomize", str(MANIFESTS / overlay))
    else:
        try:
            _run("docker", "build", "--quiet", "--tag", IMAGE, "-", given=DOCKERFILE.encode())
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", b"").decode().strip() or error
            needed = ".".join(map(str, KUBECTL))
            raise NoKubectl(
                f"deploy/kubernetes was not checked: it needs kubectl {needed} or newer, or a Docker engine: {reason}"
            ) from error
        script = f"mkdir /tmp/all && tar -x -C /tmp/all && kubectl kustomize /tmp/all/{overlay}"
        command = ("docker", "run", "--rm", "--interactive", "--network", "none", IMAGE, "sh", "-c", script)
        rendered = _run(*command, given=_packed(MANIFESTS))  # not a mount: the engine may be on another machine
    return list(yaml.safe_load_all(rendered))


def _version() -> tuple[int, ...]:
    """The version of this machine's kubectl; empty if there is none."""
    try:
        said = json.loads(_run("kubectl", "version", "--client", "--output", "json"))
    except (OSError, subprocess.CalledProcessError):
        return ()
    found = re.match(r"v(\d+)\.(\d+)", said["clientVersion"]["gitVersion"])
    return tuple(map(int, found.groups())) if found else ()


def _packed(folder: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(folder, arcname=".")
    return packed.getvalue()


def _run(*command: str, given: bytes = b"") -> bytes:
    try:
        return subprocess.run(command, input=given, capture_output=True, check=True, timeout=100).stdout  # noqa: S603
    except subprocess.CalledProcessError as error:
        error.add_note(error.stderr.decode())
        raise


if __name__ == "__main__":
    try:
        render("demo")
    except NoKubectl as missing:
        sys.exit(str(missing))
