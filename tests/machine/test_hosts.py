"""Which hosts a request may name, whom the services believe about a client, and what other sites may send."""

import socket
from collections.abc import AsyncIterator
from errno import EADDRNOTAVAIL, EAFNOSUPPORT
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from rich.console import Console
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from batalkan import single_process, system
from batalkan.cli_options import console
from batalkan.gateway import Gateway
from batalkan.keys import Keys
from batalkan.system import OneOrigin, Where
from runtime.http.app import create_app
from runtime.settings import Environment
from services import SERVICES
from simulators.dana import app as dana
from tests.conftest import Databases
from tests.machine.test_gateway import listening, nothing_is_needed

OURS = ("localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080", "shop.example", "orders")
NOT_OURS = (
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "localhost.",
    "127.0.0.1.evil.example",
    "127.0.0.2",
    "[::2]",
    "::1",
    "shop.example:80:80",
    "user@localhost",
    "localhost:x",
    "",
)


def entrances(keys: Keys, folder: Path) -> dict[str, tuple[ASGIApp, str]]:
    """Each kind of server, and a path of it."""
    names = frozenset({"shop.example", "orders"})
    partner = dana.Settings("batalkan", keys.dana_partner_key.read_bytes(), folder / "dana", allowed_hosts=names)
    return {
        "service": (create_app("orders", "", nothing_is_needed, allowed_hosts=["shop.example"]), "/orders/x"),
        "one origin": (OneOrigin({}, names), "/orders/x"),
        "local gateway": (Gateway({"orders": ["http://127.0.0.1:1"]}, names), "/orders/x"),
        "dana": (dana.build(partner), "/control/faults"),
    }


@pytest.mark.parametrize("server", ["service", "one origin", "local gateway", "dana"])
async def test_every_server_checks_its_host_names(server: str, keys: Keys, tmp_path: Path) -> None:
    """A request for another host, as from a page whose name was rebound, gets 421 and a problem; sockets as well."""
    app, path = entrances(keys, tmp_path)[server]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        for host in OURS:
            assert (await http.get(path, headers={"Host": host})).status_code != 421, host
        for host in NOT_OURS:
            for method, where in (("GET", path), ("POST", path), ("GET", "/"), ("GET", "/orders/health/../x")):
                answer = await http.request(method, where, headers={"Host": host})
                assert (answer.status_code, answer.json()["code"]) == (421, "misdirected_request"), host
            for where in ("/orders/health/live", "/health/live", "/orders/metrics"):
                assert (await http.get(where, headers={"Host": host})).status_code != 421
        twice = await http.get(path, headers=[("Host", "localhost"), ("Host", "evil.example")])
        assert twice.status_code == 421
    async with listening(app) as address:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://evil.example:{address.partition(':')[2]}{path}", host="127.0.0.1", proxy=None)
        assert refused.value.response.status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::"])  # noqa: S104
async def test_the_printed_origin_is_answered(
    host: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The printed address leads to the demonstration, and is a name of it, on every address that it listens on."""
    said, statuses = StringIO(), list[int]()

    async def serve(where: Where, held: socket.socket, *_: object) -> None:
        origin = said.getvalue().partition("on ")[2].partition(", data")[0]
        async with listening(OneOrigin({}, where.allowed_hosts), held=held), httpx.AsyncClient(trust_env=False) as http:
            statuses.append((await http.get(f"{origin}/x")).status_code)

    monkeypatch.setattr(single_process, "serve_while", serve)
    where = Where(tmp_path, allowed_hosts=Environment({}).allowed_hosts(host))
    try:
        await single_process.demo(where, host, port, Console(file=said), then_serve=False)
    except single_process.CannotStart as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in (EADDRNOTAVAIL, EAFNOSUPPORT):
            pytest.skip("this machine has no IPv6")
        raise
    assert statuses == [404]


def test_an_address_is_printed_as_it_is() -> None:
    """The beginning of an IPv6 address is no markup of a terminal."""
    running: Any = SimpleNamespace(services={"orders": None})
    with console.capture() as said:
        single_process.show_urls(console, "http://[fd00::1]:8080", running)
    assert said.get().count("http://[fd00::1]:8080") == 6


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b"])
def test_a_host_that_is_not_ours_is_named(host: str) -> None:
    """Where one cannot listen on the address, another port would not help."""
    with pytest.raises(single_process.CannotStart, match=f" on {host}: .+; choose another with HOST="):
        single_process.bind(host, 0)


@pytest.fixture(scope="module")
def seen() -> list[str]:
    """From which addresses accounts was called."""
    return []


@pytest.fixture(scope="module")
async def real(
    seen: list[str], embedded_databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """`host:port` of all services in one process, without demonstration, behind a proxy on this machine."""
    folder, proxies = tmp_path_factory.mktemp("real"), ("127.0.0.1/32",)
    async with (
        embedded_databases.of_a_system() as url,
        system.running(Where(folder, url, demonstration=False, trusted_proxies=proxies)) as running,
    ):
        apps: Any = running.app._apps
        accounts = apps["accounts"]

        async def noting(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["client"][0])
            await accounts(scope, receive, send)

        apps["accounts"] = noting
        async with listening(running.app, proxies) as address:
            yield address


DEMONSTRATION = [
    *(("GET", f"/{name}/demonstration/state") for name in SERVICES),
    *(("PUT", f"/{name}/demonstration/switches") for name in SERVICES),
    *(("POST", f"/{name}/demonstration/{what}") for name in SERVICES for what in ("clock", "poison")),
    *(("GET", f"/{name}/demonstration/money") for name in ("orders", "refunds")),
    *((method, "/refunds/demonstration/dana") for method in ("GET", "PUT")),
    *(("GET", f"/web/flow{more}") for more in ("", "/live", "/stories/x")),
    *(("POST", path) for path in ("/web/flow/stories", "/web/s/a/enter/buyer")),
    *(("GET", f"/dana/control/{what}") for what in ("faults", "journal", "requests")),
    *(("POST", f"/dana/{path}") for path in ("control/reset", "control/settle", "v1.0/emoney/topup.htm")),
]


async def test_demonstration_routes_are_absent_without_demonstration(real: str) -> None:
    """404 at each of its addresses."""
    async with httpx.AsyncClient(base_url=f"http://{real}") as http:
        for method, path in DEMONSTRATION:
            assert (await http.request(method, path)).status_code == 404, (method, path)


async def test_a_client_has_its_own_address_at_accounts(real: str, seen: list[str]) -> None:
    """What counts tries is given the browser's address, whether it comes to accounts itself or through a page."""
    async with httpx.AsyncClient(base_url=f"http://{real}") as http:
        page = (await http.get("/web/s/a/register")).text
        form = {"form": page.partition('name="form" value="')[2].partition('"')[0], "role": "buyer"}
        headers = {"Origin": f"http://{real}", "X-Forwarded-For": "6.6.6.6, 203.0.113.2"}
        assert (await http.post("/web/s/a/register", data=form, headers=headers)).status_code == 400
        await http.post("/accounts/token", headers={"X-Forwarded-For": "203.0.113.3"})
    assert seen[-2:] == ["203.0.113.2", "203.0.113.3"]
