"""Rendered manifests, as the checks read them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kubernetes.rendering import Document

NAME = "app.kubernetes.io/name"
NETWORK = "batalkan/"


@dataclass
class Workload:
    """A Deployment or a Job, with the template of its Pods."""

    name: str
    is_service: bool
    labels: dict[str, str]
    pod: dict[str, Any]

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All containers, the first ones first."""
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def main(self) -> dict[str, Any]:
        """The container that serves."""
        found: dict[str, Any] = self.pod["containers"][0]
        return found

    @property
    def networks(self) -> set[str]:
        """The networks that the Pods are in."""
        return {label.removeprefix(NETWORK) for label in self.labels if label.startswith(NETWORK)}

    @property
    def ports(self) -> dict[str, int]:
        """The ports of the container that serves, by name."""
        return {port["name"]: port["containerPort"] for port in self.main.get("ports", [])}

    def number(self, port: int | str) -> int | None:
        """The number of a port that is given by number or by name; None if the Pods have no such port."""
        return self.ports.get(port) if isinstance(port, str) else port if port in self.ports.values() else None


@dataclass
class Manifests:
    """All documents of an overlay; `secrets` holds a folder of files for each Secret."""

    documents: list[Document]
    secrets: Path

    def of(self, kind: str) -> dict[str, Document]:
        """The documents of a kind, by name."""
        return {one["metadata"]["name"]: one for one in self.documents if one.get("kind") == kind}

    @property
    def workloads(self) -> list[Workload]:
        """What runs Pods."""
        return [
            Workload(
                name,
                one["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "service",
                one["spec"]["template"]["metadata"]["labels"],
                one["spec"]["template"]["spec"],
            )
            for kind in ("Deployment", "Job")
            for name, one in self.of(kind).items()
        ]

    def selected(self, labels: dict[str, str]) -> list[Workload]:
        """The workloads whose Pods have these labels."""
        return [one for one in self.workloads if labels.items() <= one.labels.items()]

    def environment(self, container: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
        """The variables of a container; the value is None where the ConfigMap or its key is missing."""
        maps = {name: one["data"] for name, one in self.of("ConfigMap").items()}
        for source in container.get("envFrom", []):
            name = source["configMapRef"]["name"]
            yield from maps[name].items() if name in maps else [(name, None)]
        for one in container.get("env", []):
            if "valueFrom" in one:
                key = one["valueFrom"]["configMapKeyRef"]
                yield one["name"], maps.get(key["name"], {}).get(key["key"])
            else:
                yield one["name"], one["value"]
