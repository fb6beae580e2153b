"""What must hold of the manifests: Kubernetes' own schemas, and the code that they run. Each check yields sentences."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from batalkan.doctor import KUBECTL
from batalkan.nginx import entrance
from runtime.messaging.bus.memory import MemoryBus
from runtime.service import Service
from runtime.settings import Environment, SettingInvalid, SettingMissing, Settings
from runtime.urls import addresses
from services import SERVICES
from simulators import PORTS as SIMULATORS
from tests.kubernetes.manifests import NAME, NETWORK, Manifests, Workload
from tests.test_docs_tables import settings_read

ROOT = Path(__file__).parents[2]
GATEWAY = (ROOT / "deploy/gateway/nginx.conf").read_text()
PROBES = {"startupProbe": "live", "livenessProbe": "live", "readinessProbe": "serving"}
HARDENED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
DNS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
KUBE_SYSTEM = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
DENIED = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [{"to": [KUBE_SYSTEM], "ports": DNS}]}
SIDES = {"ingress": "from", "egress": "to"}
PRIVATE = ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
INTERNET: list[dict[str, Any]] = [
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": PRIVATE}},
    {"ipBlock": {"cidr": "2000::/3"}},
]


def schema(manifests: Manifests) -> Iterator[str]:
    """Every document has only the fields that Kubernetes knows, of the right types."""
    for one in manifests.documents:
        name = f"{one.get('kind')} {one['metadata']['name']}"
        try:
            kubernetes_validate.validate(one, ".".join(map(str, KUBECTL)), strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name}: {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{name}: {error.message}"


def names(manifests: Manifests) -> Iterator[str]:
    """Every service has a Deployment that runs it, a Service, a PodDisruptionBudget and a HorizontalPodAutoscaler."""
    found = {one.name: one for one in manifests.workloads if one.is_service}
    for name in sorted(found.keys() ^ set(SERVICES)):
        yield f"{name}: there is no such {'service' if name in found else 'Deployment'}"
    for name in SERVICES:
        for kind in ("Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"):
            if name not in manifests.of(kind):
                yield f"{name}: it has no {kind}"
    for name, package in [*((name, "services") for name in SERVICES), *((name, "simulators") for name in SIMULATORS)]:
        for one in manifests.selected({NAME: name}):
            if one.name != name or one.main["command"] != ["python", "-m", f"{package}.{name}"]:
                yield f"{one.name}: the Pods of {name} run {one.main['command']}"


def selectors(manifests: Manifests) -> Iterator[str]:
    """What selects Pods selects those of its name, and what refers to another document finds it."""
    for kind in ("Service", "PodDisruptionBudget"):
        for name, one in manifests.of(kind).items():
            selector = one["spec"]["selector"]
            if [pod.name for pod in manifests.selected(selector.get("matchLabels", selector))] != [name]:
                yield f"{kind} {name}: it does not select the Pods of {name}"
    for name, one in manifests.of("HorizontalPodAutoscaler").items():
        if one["spec"]["scaleTargetRef"]["name"] not in manifests.of("Deployment"):
            yield f"HorizontalPodAutoscaler {name}: its Deployment is missing"
    for pod in manifests.workloads:
        for volume in pod.pod["volumes"]:
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in manifests.of("PersistentVolumeClaim"):
                yield f"{pod.name}: the PersistentVolumeClaim {claim} is missing"


def ports(manifests: Manifests) -> Iterator[str]:
    """A port is the one on which the process listens, wherever it is written."""
    listening = {"gateway": re.findall(r"listen (\d+);", GATEWAY)}
    called = {(service, int(port)) for port in re.findall(r"\$domain:(\d+)", GATEWAY) for service in SERVICES}
    for pod in manifests.workloads:
        env = dict(manifests.environment(pod.main))
        for port in listening.get(pod.name, [env["PORT"]] if "PORT" in env else []):
            if [int(port or 0)] != list(pod.ports.values()):
                yield f"{pod.name}: it listens on {port}, its container has {pod.ports}"
        called.update(one for name, url in env.items() if name.endswith("_URL") and url for one in addresses(url))
        for probe in (*PROBES, "readinessProbe"):
            for way in ("httpGet", "tcpSocket"):
                port = pod.main.get(probe, {}).get(way, {}).get("port")
                if port is not None and pod.number(port) is None:
                    yield f"{pod.name}: {probe} asks port {port}, its container has {pod.ports}"
    offered = {}
    for name, one in manifests.of("Service").items():
        for port in one["spec"]["ports"]:
            offered[name, port["port"]] = port.get("name")
            for pod in manifests.selected(one["spec"]["selector"]):
                if pod.number(port.get("targetPort", port["port"])) is None:
                    yield f"Service {name}: port {port.get('targetPort', port['port'])} is none of {pod.ports}"
    for name, number in sorted(called - offered.keys()):
        yield f"{name}:{number} is called, and no Service has this name and port"
    for name, one in manifests.of("Ingress").items():
        for rule in one["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                to = path["backend"]["service"]
                if (to["name"], to["port"].get("name")) not in {(name, port) for (name, _), port in offered.items()}:
                    yield f"Ingress {name}: no Service has {to}"


def paths(manifests: Manifests) -> Iterator[str]:
    """A probe asks for a path that the process serves: `live`, and `serving` for traffic."""
    served = {name: {"/health/live"} for name in SIMULATORS}
    served["gateway"] = set(re.findall(r"location = (\S+) \{", GATEWAY))
    for pod in manifests.workloads:
        asked = {probe: pod.main[probe]["httpGet"]["path"] for probe in PROBES if "httpGet" in pod.main.get(probe, {})}
        if pod.is_service:
            if isinstance(built := _built(manifests, pod), str):
                yield f"{pod.name}: {built}"
                continue
            expected = {probe: f"/{pod.name}/health/{check}" for probe, check in PROBES.items()}
            if asked != expected or not set(asked.values()) <= built.app.openapi()["paths"].keys():
                yield f"{pod.name}: its probes ask for {asked}, not for {expected}"
        elif not set(asked.values()) <= served.get(pod.name, set()):
            yield f"{pod.name}: its probes ask for {asked}"


def settings(manifests: Manifests) -> Iterator[str]:
    """A variable of our image is a setting that the code reads, and a path leads to a key of a mounted Secret."""
    known = _settings() | {f"{name.upper()}_DATABASE_URL" for name in SERVICES}
    for pod in manifests.workloads:
        mounts = {one["mountPath"]: one["name"] for one in pod.main["volumeMounts"]}
        held = {one["name"]: one["secret"]["secretName"] for one in pod.pod["volumes"] if "secret" in one}
        for secret in held.values():
            if not (manifests.secrets / secret).is_dir():
                yield f"{pod.name}: the Secret {secret} is missing"
        read = f"{pod.main} {list(manifests.environment(pod.main))}"
        for folder, key in sorted(set(re.findall(r"(/run/(?:secrets|config))/([\w.]+)", read))):
            volume = mounts.get(folder, "")
            if not volume or (volume in held and not (manifests.secrets / held[volume] / key).is_file()):
                yield f"{pod.name}: {folder}/{key} is in no Secret ({held.get(volume) or 'none is mounted there'})"
        for container in pod.containers:
            if not re.match(r"(.*/)?batalkan(:|$)", container["image"]):
                continue
            for name, value in manifests.environment(container):
                if name.removesuffix("_FILE") not in known:
                    yield f"{pod.name}: {name} is no setting"
                elif value is None:
                    yield f"{pod.name}: {name} has no value"
    for name in ("migrate", "operator"):
        (pod,) = (one for one in manifests.workloads if one.name == name)
        if {one for one, _ in manifests.environment(pod.main)} != {f"{s.upper()}_DATABASE_URL_FILE" for s in SERVICES}:
            yield f"{name}: it does not have the databases of all services"
    (gateway,) = (one for one in manifests.workloads if one.name == "gateway")
    try:
        entrance(Environment({name: value or "" for name, value in manifests.environment(gateway.containers[0])}))
    except SettingInvalid as invalid:
        yield f"gateway: {invalid}"


@cache
def _settings() -> frozenset[str]:
    return frozenset(name for name, _ in settings_read())


def _built(manifests: Manifests, pod: Workload) -> Service | str:
    """The service with the settings of its Pods, or why it does not start."""
    held = "".join(one["secret"]["secretName"] for one in pod.pod["volumes"] if "secret" in one)
    variables = {
        name: (value or "").replace("/run/secrets", str(manifests.secrets / held))
        for name, value in manifests.environment(pod.main)
    }
    env = Environment(variables)
    build: Callable[..., Service] = import_module(f"services.{pod.name}.main").build
    try:
        return build(Settings.read(pod.name, env), env, "postgresql://nowhere", MemoryBus())
    except (SettingInvalid, SettingMissing, OSError) as error:
        return str(error)


def hardening(manifests: Manifests) -> Iterator[str]:
    """No container is root, can become root, has a capability, or writes to its root file system; all are limited."""
    for pod in manifests.workloads:
        context = pod.pod.get("securityContext", {})
        if not (context.get("runAsNonRoot") and context.get("seccompProfile") == {"type": "RuntimeDefault"}):
            yield f"{pod.name}: its Pods may be root, or call what the runtime forbids"
        if "batalkan" in pod.main["image"] and context.get("runAsUser") != 10001:
            yield f"{pod.name}: its user is not the image's"
        if pod.pod.get("automountServiceAccountToken") is not False:
            yield f"{pod.name}: it has a token of the cluster"
        for container in pod.containers:
            if container.get("securityContext") != HARDENED or "memory" not in container["resources"]["limits"]:
                yield f"{pod.name}: the container {container['name']} has privileges, or no limit of memory"
            if container.get("imagePullPolicy") != "IfNotPresent":
                yield f"{pod.name}: the image of {container['name']} cannot be one that was loaded into the node"


def networks(manifests: Manifests) -> Iterator[str]:
    """Pods are in the networks of compose.yaml. Each network opens the ports of its members to its members, and no
    others; what no network opens is refused, but for DNS."""
    compose: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    compose["operator"], compose["migrate"] = compose["batalkan"], {"networks": ["data"]}
    policies = manifests.of("NetworkPolicy")
    for pod in manifests.workloads:
        if pod.networks != set(compose[pod.name]["networks"]):
            yield f"{pod.name}: it is in {sorted(pod.networks)}, not in {sorted(compose[pod.name]['networks'])}"
        if missing := pod.networks - {"public"} - policies.keys():
            yield f"{pod.name}: there is no NetworkPolicy for {sorted(missing)}"
        opened = {port for name in pod.networks & policies.keys() for port in _opened(policies[name], "ingress")}
        reachable = set(pod.ports.values()) - (set() if "public" in policies else {8080})  # demo: port-forward only
        if not reachable <= opened:
            yield f"{pod.name}: its ports are {sorted(pod.ports.values())}, its networks open {sorted(opened)}"
    if policies["default-deny"]["spec"] != DENIED:
        yield "default-deny: it does not refuse what other policies do not allow"
    for name in sorted(policies.keys() - {"default-deny"}):
        if {"ingress", "egress"} <= policies[name]["spec"].keys() and _opened(policies[name], "ingress") != _opened(
            policies[name], "egress"
        ):
            yield f"NetworkPolicy {name}: its members cannot call each other"
        if policies[name]["spec"]["podSelector"] != {"matchLabels": {f"{NETWORK}{name}": "member"}}:
            yield f"NetworkPolicy {name}: it is not that of its members"
        spec, peers = policies[name]["spec"], _peers(name, external="public" in policies)
        found = {way: [rule.get(side) for rule in spec[way]] for way, side in SIDES.items() if way in spec}
        if found != {way: [peer] for way, peer in peers.items()}:
            yield f"NetworkPolicy {name}: it opens the way for {found}, not for {peers}"
        if spec.get("policyTypes") != [way.capitalize() for way in peers]:
            yield f"NetworkPolicy {name}: it is about {spec.get('policyTypes')} only"
        members = {port for pod in manifests.workloads if name in pod.networks for port in pod.ports.values()}
        if not (opened := _opened(policies[name], "ingress")) <= members:
            yield f"NetworkPolicy {name}: it opens {sorted(opened)}, its members have {sorted(members)}"


def _opened(policy: dict[str, Any], way: str) -> set[int]:
    return {port["port"] for rule in policy["spec"].get(way, []) for port in rule.get("ports", [])}


def _peers(name: str, *, external: bool) -> dict[str, list[dict[str, Any]] | None]:
    """Whom a network's members may be called by, and whom they may call; None is anyone."""
    if name == "internet":
        return {"egress": INTERNET}
    if name == "public":
        return {"ingress": None}
    if name == "data" and external:
        return {"egress": None}
    members = {"podSelector": {"matchLabels": {f"{NETWORK}{name}": "member"}}}
    return {"ingress": [members], "egress": [members]}


CHECKS = (schema, names, selectors, ports, paths, settings, hardening, networks)
