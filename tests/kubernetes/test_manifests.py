"""The manifests of both overlays are right, and the checks find what is wrong. `make kubernetes-check` runs this."""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from batalkan.secrets import fill_folder
from services import SERVICES
from tests.kubernetes import checks
from tests.kubernetes.checks import CHECKS
from tests.kubernetes.manifests import Manifests
from tests.kubernetes.rendering import OVERLAYS, Document, NoKubectl, render

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Document]]:
    """The documents of each overlay."""
    try:
        return {overlay: render(overlay) for overlay in OVERLAYS}
    except NoKubectl as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `batalkan secrets` writes."""
    folder = tmp_path_factory.mktemp("secrets")
    fill_folder(folder, list(SERVICES))
    return folder


@pytest.fixture
def demo(rendered: dict[str, list[Document]], secrets: Path) -> Manifests:
    """A copy of the demo's."""
    return Manifests(deepcopy(rendered["demo"]), secrets)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_match_schemas_and_code(rendered: dict[str, list[Document]], secrets: Path, overlay: str) -> None:
    """The strict schemas of Kubernetes accept every document; ports, paths, settings, Secrets, names and networks are
    those of the code and of compose.yaml."""
    manifests = Manifests(rendered[overlay], secrets)
    found = [problem for check in CHECKS for problem in check(manifests)]
    assert not found, "\n".join(found)


def container(manifests: Manifests, name: str) -> dict[str, Any]:
    """The container that serves; a change of it is a change of the manifests."""
    return next(one for one in manifests.workloads if one.name == name).main


def misspell(manifests: Manifests) -> None:
    """A field of a probe."""
    probe = container(manifests, "orders")["livenessProbe"]
    probe["periodSecond"] = probe.pop("periodSeconds")


def expose_another_port(manifests: Manifests) -> None:
    """A container's."""
    container(manifests, "orders")["ports"][0]["containerPort"] = 8002


def offer_another_port(manifests: Manifests) -> None:
    """A Service's."""
    manifests.of("Service")["orders"]["spec"]["ports"][0]["port"] = 80


def open_another_port(manifests: Manifests) -> None:
    """A NetworkPolicy's."""
    for way in ("ingress", "egress"):
        manifests.of("NetworkPolicy")["edge"]["spec"][way][0]["ports"][0]["port"] = 8001


def probe_readiness(manifests: Manifests) -> None:
    """A probe that removes all Pods when the broker is away."""
    container(manifests, "orders")["readinessProbe"]["httpGet"]["path"] = "/orders/health/ready"


def mount_no_secret(manifests: Manifests) -> None:
    """A Pod without its Secret."""
    container(manifests, "orders")["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108


def name_another_secret(manifests: Manifests) -> None:
    """A Pod with a Secret that there is not."""
    (volume,) = (
        volume
        for pod in manifests.workloads
        if pod.name == "refunds"
        for volume in pod.pod["volumes"]
        if volume["name"] == "secrets"
    )
    volume["secret"]["secretName"] = "refund"


def forget_a_key(manifests: Manifests) -> None:
    """A setting that the service needs."""
    del container(manifests, "accounts")["env"]


def misspell_a_setting(manifests: Manifests) -> None:
    """A setting that no code reads."""
    container(manifests, "refunds")["env"][0]["name"] = "DANA_URI"


def forget_a_service(manifests: Manifests) -> None:
    """A service without its Deployment."""
    manifests.documents.remove(manifests.of("Deployment")["cs"])


def run_as_root(manifests: Manifests) -> None:
    """A container with more rights."""
    del container(manifests, "gateway")["securityContext"]


def leave_a_network(manifests: Manifests) -> None:
    """A Pod that the gateway cannot reach."""
    del manifests.of("Deployment")["chat"]["spec"]["template"]["metadata"]["labels"]["batalkan/edge"]


def allow_private_addresses(manifests: Manifests) -> None:
    """A way from the Pods that call webhooks to everything inside."""
    del manifests.of("NetworkPolicy")["internet"]["spec"]["egress"][0]["to"][0]["ipBlock"]["except"]


def admit_every_pod(manifests: Manifests) -> None:
    """A network that is open to those who are not its members."""
    manifests.of("NetworkPolicy")["edge"]["spec"]["ingress"][0]["from"] = [{"podSelector": {}}]


def admit_through_a_second_rule(manifests: Manifests) -> None:
    """A rule without peers and ports, which opens all of them to all."""
    manifests.of("NetworkPolicy")["edge"]["spec"]["ingress"].append({})


def let_everything_out(manifests: Manifests) -> None:
    """A default that refuses only what comes in."""
    manifests.of("NetworkPolicy")["default-deny"]["spec"]["policyTypes"] = ["Ingress"]


def forget_a_direction(manifests: Manifests) -> None:
    """A policy whose rules for one direction count, and those for the other do not."""
    manifests.of("NetworkPolicy")["wallets"]["spec"]["policyTypes"] = ["Egress"]


@pytest.mark.parametrize(
    ("change", "check", "problem"),
    [
        (misspell, checks.schema, "Deployment orders: .*livenessProbe: .*'periodSecond' was unexpected"),
        (expose_another_port, checks.ports, "orders: it listens on 8000, its container has {'http': 8002}"),
        (offer_another_port, checks.ports, "orders:8000 is called, and no Service has this name and port"),
        (open_another_port, checks.networks, r"web: its ports are \[8000\], its networks open .*8001"),
        (probe_readiness, checks.paths, "orders: its probes ask for .*/ready'}, not for .*/serving'}"),
        (mount_no_secret, checks.settings, "orders: /run/secrets/database_url is in no Secret"),
        (name_another_secret, checks.settings, "refunds: the Secret refund is missing"),
        (forget_a_key, checks.paths, "accounts: SIGNING_KEY is not set"),
        (misspell_a_setting, checks.settings, "refunds: DANA_URI is no setting"),
        (forget_a_service, checks.names, "cs: there is no such Deployment"),
        (run_as_root, checks.hardening, "gateway: the container main has privileges"),
        (leave_a_network, checks.networks, r"chat: it is in \['data'\], not in \['data', 'edge'\]"),
        (allow_private_addresses, checks.networks, "NetworkPolicy internet: it opens the way for .*, not for .*except"),
        (admit_every_pod, checks.networks, "NetworkPolicy edge: it opens the way for .*'podSelector': {}"),
        (admit_through_a_second_rule, checks.networks, "NetworkPolicy edge: it opens the way for .*None"),
        (let_everything_out, checks.networks, "default-deny: it does not refuse what other policies do not allow"),
        (forget_a_direction, checks.networks, r"NetworkPolicy wallets: it is about \['Egress'\] only"),
    ],
)
def test_a_wrong_manifest_is_found(
    demo: Manifests, change: Callable[[Manifests], None], check: Callable[[Manifests], Iterator[str]], problem: str
) -> None:
    """One wrong field, port, path, Secret, setting, name, right or network is a problem that names it."""
    change(demo)
    found = list(check(demo))
    assert any(re.search(problem, one) for one in found), found


@pytest.mark.parametrize("key", ["orders/database_url", "dana/dana_partner_key.pem", "postgres/start.sh"])
def test_a_missing_key_of_a_secret_is_found(demo: Manifests, secrets: Path, key: str) -> None:
    """A key that a process reads, and that its Secret does not have, is a problem that names it."""
    hidden = (secrets / key).rename(secrets / "hidden")
    try:
        name, _, file = key.partition("/")
        found = list(checks.settings(demo))
        assert any(problem.startswith(f"{name}: ") and file in problem for problem in found), found
    finally:
        hidden.rename(secrets / key)
