from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from services.refunds.snap import Dana
from simulators.dana.app import Settings, build
from simulators.dana.server import running

from .partner import Partner, new_key, public_pem


@pytest.fixture(scope="session")
def key() -> RSAPrivateKey:
    """The partner's key, which the simulator knows."""
    return new_key()


@pytest.fixture(scope="session")
async def url(key: RSAPrivateKey, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A simulator on a real port."""
    journal: Path = tmp_path_factory.mktemp("dana") / "journal.sqlite"
    async with running(build(Settings("batalkan", public_pem(key), journal))) as url:
        yield url


class Control:
    """The control interface of the simulator."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def send(self, method: str, path: str, **body: Any) -> Any:
        """Any command."""
        return (await self._http.request(method, f"/control/{path}", json=body)).raise_for_status().json()

    async def fault(self, mode: str, **more: Any) -> None:
        """Switches a fault on."""
        await self.send("PUT", "faults", mode=mode, **more)

    async def payments(self, reference: str, state: str = "paid") -> list[dict[str, Any]]:
        """What the journal holds under a reference."""
        found = await self.send("GET", f"journal?state={state}")
        return [item for item in found["items"] if item["reference"] == reference]

    async def requests(self) -> list[dict[str, Any]]:
        """The latest requests, newest first."""
        return list((await self.send("GET", "requests"))["items"])


# The clients live as long as the tests: each new one reads the machine's certificates, which takes longer than a test.


@pytest.fixture(scope="session")
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client for hand-made requests to the simulator."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as http:
        yield http


@pytest.fixture(scope="session")
async def clients(url: str, key: RSAPrivateKey) -> AsyncIterator[tuple[Dana, Dana]]:
    """The clients of `dana` and `hasty`, for all tests."""
    clients = Dana(url, "batalkan", key), Dana(url, "batalkan", key, timeout=0.25)
    yield clients
    for client in clients:
        await client.close()


@pytest.fixture
async def control(http: httpx.AsyncClient) -> AsyncIterator[Control]:
    """The control interface of a simulator without faults, before and after the test."""
    control = Control(http)
    await control.send("POST", "reset")
    yield control
    await control.send("POST", "reset")


@pytest.fixture
def partner(http: httpx.AsyncClient, key: RSAPrivateKey, control: Control) -> Partner:
    """The partner that the simulator knows."""
    return Partner(http, key)


@pytest.fixture
def dana(clients: tuple[Dana, Dana], control: Control) -> Dana:
    """The client with its normal timeout."""
    return clients[0]


@pytest.fixture
def hasty(clients: tuple[Dana, Dana], control: Control) -> Dana:
    """The client with a short timeout, for calls that are meant to time out."""
    return clients[1]
