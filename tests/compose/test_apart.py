"""What one service can reach of another's: nothing."""

from pathlib import Path

import pytest

from services import SERVICES
from tests.compose.stack import Stack, service_of

pytestmark = [pytest.mark.compose, pytest.mark.timeout(240)]

SECRETS = {"broker_url", "database_url", "jwks.json", "redis_url"}

REFUSED = {
    "database": "InvalidAuthorizationSpecificationError",  # pg_hba.conf has no entry for it
    "superuser": "InvalidPasswordError",
    "key": "NoPermissionError",
    "flush": "NoPermissionError",
    "scan": "NoPermissionError",
    "default": "AuthenticationError",
    "queue": "ChannelAccessRefused",
    "forged": "ChannelAccessRefused",
    "guest": "ProbableAuthenticationError",
}
"""What trespass.py tries, and the error with which the server refuses it: no other one is a refusal."""

TRESPASS = (Path(__file__).parent / "trespass.py").read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_its_own_secrets_only(stack: Stack, service: str) -> None:
    """Private keys are with the one service that signs with them, and every URL names the service that holds it."""
    own = {"accounts": {"signing_key.pem"}, "refunds": {"dana_private_key.pem"}}.get(service, set())
    assert set(stack.run_in(service, "ls", "/run/secrets").split()) == SECRETS | own
    for url in ("broker_url", "database_url", "redis_url"):
        assert f"//{service}:" in stack.run_in(service, "cat", f"/run/secrets/{url}")


def test_passwords_are_random_and_nowhere_else(stack: Stack) -> None:
    """No two passwords are the same, and the servers' volumes hold hashes of them only."""
    urls = [
        stack.run_in(service, "cat", f"/run/secrets/{kind}_url") for service in SERVICES for kind in ("broker", "redis")
    ]
    passwords = {url.split(":")[2].split("@")[0] for url in urls}
    assert len(passwords) == len(urls)
    for server in ("postgres", "rabbitmq", "redis"):
        held = stack.run_in(server, "sh", "-c", "cat /run/config/*")
        assert not any(password in held for password in passwords), server


def test_a_service_cannot_use_what_belongs_to_another(stack: Stack) -> None:
    """The credentials of `orders` give no access to another service's data, name, or to a default user."""
    refused = stack.run_in("orders", "python", "-c", TRESPASS).splitlines()
    assert dict(line.split() for line in refused) == REFUSED


def test_the_gateway_cannot_reach_the_servers(stack: Stack) -> None:
    """The container that the outside talks to does not even know the servers' names."""
    assert stack.resolves("gateway", "refunds")
    assert [server for server in ("postgres", "rabbitmq", "redis", "dana") if stack.resolves("gateway", server)] == []


def test_network_of_dana_has_two_members(stack: Stack) -> None:
    """The network of the DANA simulator has two members."""
    networks = {service_of(one): set(one["NetworkSettings"]["Networks"]) for one in stack.containers()}
    assert {service for service in networks if networks[service] & networks["dana"]} == {"dana", "refunds"}
