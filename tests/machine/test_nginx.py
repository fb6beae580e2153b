"""The gateway that compose runs, and a terminator of TLS, with a real nginx from the distribution's package."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from fastapi import Request
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from batalkan.keys import Keys
from batalkan.servers.packages import install
from runtime.http.app import create_app
from tests.harness.web import Services, WebHarness
from tests.machine import nginx
from tests.machine.test_gateway import gateway_of, listening, nothing_is_needed

pytestmark = pytest.mark.servers

FOREIGN = {"Host": "evil.example:8080"}


def service() -> Any:
    """A service that answers the client's address as it sees it."""
    app = create_app("web", "What was seen.", nothing_is_needed, allowed_hosts=["shop.example"])

    @app.get("/web/seen")
    @app.get("/orders/seen")
    async def seen(request: Request) -> dict[str, str]:
        return {"host": request.client.host if request.client else "", "scheme": request.url.scheme}

    @app.websocket("/chat/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_json([socket.client.host if socket.client else "", socket.url.scheme])
        await socket.close()

    return app


@dataclass(frozen=True)
class Entrances:
    """Ports: the gateway's, that of TLS in front of it, and what the two nginx have written."""

    gateway: int
    tls: int
    trust: ssl.SSLContext
    log: Path


@pytest.fixture(scope="module")
async def entrances(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Entrances]:
    """A service behind the gateway behind TLS, each believing the one before it."""
    folder = tmp_path_factory.mktemp("nginx")
    await asyncio.to_thread(install, folder / "install.log", print, ["nginx"])
    log = folder / "log"
    settings = {"TRUSTED_PROXIES": "127.0.0.9/32", "ALLOWED_HOSTS": "shop.example"}
    async with (
        listening(service(), ["127.0.0.1/32"]) as address,
        nginx.gateway(int(address.partition(":")[2]), log, **settings) as gateway,
        nginx.terminator(gateway, log) as (tls, trust),
    ):
        yield Entrances(gateway, tls, trust, log)


async def get(url: str, trust: ssl.SSLContext | None = None, **headers: str) -> httpx.Response:
    """One request, from 127.0.0.1."""
    async with httpx.AsyncClient(verify=trust or True, trust_env=False) as http:
        return await http.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def test_address_and_scheme_come_through_tls_and_the_gateway(entrances: Entrances) -> None:
    """Forwarded headers of a client are ignored, those of the trusted proxy are used, and https is enforced."""
    for path in ("web/seen", "orders/seen"):
        answer = await get(f"https://localhost:{entrances.tls}/{path}", entrances.trust, x_forwarded_for="6.6.6.6")
        assert answer.json() == {"host": "127.0.0.1", "scheme": "https"}
        assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000"]
        assert answer.headers["cache-control"] == "no-store"
        url = f"http://127.0.0.1:{entrances.gateway}/{path}"
        answer = await get(url, x_forwarded_for="6.6.6.6", x_forwarded_proto="https")
        assert answer.json() == {"host": "127.0.0.1", "scheme": "http"}
        assert "strict-transport-security" not in answer.headers
    async with connect(f"wss://localhost:{entrances.tls}/chat/live", ssl=entrances.trust, proxy=None) as socket:
        assert await socket.recv() == '["127.0.0.1","wss"]'


async def test_clients_of_a_trusted_proxy_are_distinguished(entrances: Entrances) -> None:
    """Addresses are read from the right, past proxies that are trusted, up to the first that is not."""
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.9")
    async with httpx.AsyncClient(transport=transport) as proxy:

        async def seen(said: str) -> dict[str, str]:
            headers = {"X-Forwarded-For": said, "X-Forwarded-Proto": "https"}
            answer = await proxy.get(f"http://127.0.0.1:{entrances.gateway}/orders/seen", headers=headers)
            found: dict[str, str] = answer.json()
            return found

        assert await seen("203.0.113.7") == {"host": "203.0.113.7", "scheme": "https"}
        assert await seen("6.6.6.6, 203.0.113.8, 127.0.0.9") == {"host": "203.0.113.8", "scheme": "https"}


async def test_the_local_gateway_stands_behind_tls_as_well(entrances: Entrances, tmp_path: Path) -> None:
    """`up --servers local` takes the same from TRUSTED_PROXIES, and passes it to its services."""
    async with (
        listening(service(), ["127.0.0.1/32"]) as address,
        gateway_of({name: [f"http://{address}"] for name in ("web", "chat")}, ["127.0.0.9/32"]) as front,
        nginx.terminator(int(front.partition(":")[2]), tmp_path / "log") as (tls, trust),
    ):
        answer = await get(f"https://localhost:{tls}/web/seen", trust, x_forwarded_for="6.6.6.6")
        assert answer.json() == {"host": "127.0.0.1", "scheme": "https"}
        assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000"]
        async with connect(f"wss://localhost:{tls}/chat/live", ssl=trust, proxy=None) as socket:
            assert await socket.recv() == '["127.0.0.1","wss"]'


async def test_the_gateway_knows_its_names(entrances: Entrances) -> None:
    """Any other host gets 421, as problem details, for sockets as well; what watches the system needs no name."""
    url = f"http://127.0.0.1:{entrances.gateway}"
    async with httpx.AsyncClient(base_url=url) as http:
        for path in ("/web/seen", "/orders/seen", "/nothing", "/"):
            answer = await http.get(path, headers=FOREIGN)
            assert (answer.status_code, answer.json()["code"]) == (421, "misdirected_request")
        for path in ("/healthz", "/web/health/live"):
            assert (await http.get(path, headers=FOREIGN)).status_code == 200
        for name in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]", "shop.example"):
            assert (await http.get("/orders/seen", headers={"Host": name})).status_code == 200
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://evil.example:{entrances.gateway}/chat/live", host="127.0.0.1", proxy=None)
    assert refused.value.response.status_code == 421


async def test_an_unknown_address_is_a_page_for_browsers(keys: Keys, tmp_path: Path) -> None:
    """An unknown address is answered with a page to a browser, and with problem details to other clients."""
    async with (
        listening(WebHarness(keys, Services()).app()) as web,
        nginx.gateway(int(web.partition(":")[2]), tmp_path / "log") as gateway,
    ):
        url = f"http://127.0.0.1:{gateway}/nope?x=1"
        page = await get(url, accept="text/html,*/*;q=0.8")
        answer = await get(url, accept="application/json")
    assert (page.status_code, answer.status_code) == (404, 404)
    assert "Halaman ini tidak ada" in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert answer.json()["code"] == "not_found"


async def test_logs_contain_no_query(tmp_path: Path) -> None:
    """Neither the access log nor the error log names a ticket, also when the service cannot be reached."""
    log = tmp_path / "log"
    async with nginx.gateway(nginx.NO_PORT, log) as gateway, httpx.AsyncClient() as http:
        for path in ("/chat/live", "/orders/x", "/web/x", "/nothing", "/%00", "/healthz"):
            await http.get(f"http://127.0.0.1:{gateway}{path}?ticket=SECRET")
        await http.post(f"http://127.0.0.1:{gateway}/chat/live?ticket=SECRET", content=b"x" * 100_000)
    written = log.read_text()
    assert '"status":502' in written
    assert "SECRET" not in written


async def test_requests_of_one_address_are_limited(tmp_path: Path) -> None:
    """Requests beyond the rate limit, 300 a second after the first 1,500, are refused with 429 and Retry-After."""
    asked = b"GET /orders/x HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500

    async def answers(gateway: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway)
        writer.write(asked + asked[:-2] + b"Connection: close\r\n\r\n")
        said = await reader.read()
        writer.close()
        return said

    async with nginx.gateway(nginx.NO_PORT, tmp_path / "log") as gateway:
        began = monotonic()
        said = b"".join(await asyncio.gather(*(answers(gateway) for _ in range(4))))
        spent = monotonic() - began
    assert 1_500 <= said.count(b"HTTP/1.1 502") <= 1_501 + 300 * (spent + 0.1)  # the service is not there
    assert said.count(b"HTTP/1.1 429") > 100
    assert b"Retry-After: 1" in said
    assert b'"code":"rate_limited"' in said
