"""The commands that a newcomer types first, each in a process of its own, as typed."""

import asyncio
import json
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from batalkan.keys import Keys
from batalkan.servers import LocalServers
from services.accounts.demonstration import PASSWORD
from tests.conftest import BusOf
from tests.machine.command import python

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

# What was left before the run is cancelled during it, if it is not shipped in time.
LAST_LINE = r"The ledger sums to zero, and each of \d+ cancellations of paid orders has exactly one refund of its .*"


@asynccontextmanager
async def up(folder: Path, port: int, *more: str) -> AsyncIterator[httpx.AsyncClient]:
    """`batalkan up`, from the moment at which it serves; at the end it must stop on Ctrl-C. On a busy machine local
    servers may need longer than a process waits for them; then they end after it."""
    flags = "--no-market", "--port", str(port), *more
    async with python("-m", "batalkan", "up", "--data", folder, *flags) as command:
        await command.until(lambda: "Serving on" in command.said)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            yield http
        ended = await command.end(signal.SIGINT)
        assert ended == (0, "") or (more and ended == (130, "batalkan: interrupted\n"))


async def guided_run(folder: Path, port: int, **environment: str) -> None:
    """`batalkan demo`, which must end with correct sums."""
    arguments = "-m", "batalkan", "demo", "--no-serve", "--data", folder, "--port", str(port)
    async with python(*arguments, **environment) as command:
        assert await command.result() == (0, "")
    assert re.fullmatch(LAST_LINE, command.said.splitlines()[-1])


async def test_the_guided_run_ends_with_correct_sums(folder: Path, port: int) -> None:
    """The guided run succeeds and ends with correct sums after any use: waiting chats, silent agents on duty, orders in
    all states, a clock that was moved."""
    async with up(folder, port) as http:
        await leave_much(http)
    await guided_run(folder, port)


@pytest.mark.servers
async def test_the_guided_run_over_rabbitmq(folder: Path, port: int, servers: LocalServers, rabbit_bus: BusOf) -> None:
    """With the URL of a broker the same run goes over that."""
    await guided_run(folder, port, BROKER_URL=servers.rabbitmq.admin_url)


async def test_data_outlive_ctrl_c(folder: Path, port: int) -> None:
    """It stops within five seconds, also with a live connection open; what was there is there the next time."""
    async with up(folder, port) as http:
        product = (await http.get("/orders/products")).json()["items"][0]
        body = {"lines": [{"product_id": product["product_id"], "quantity": 1}], "payment_method": "cod"}
        headers = await signed_in(http, "buyer")
        order = (await http.post("/orders", json=body, headers=headers)).raise_for_status().json()
        live = await connected(http, headers, port)
    await live.wait_closed()
    assert live.close_code == 1012
    async with up(folder, port) as http:
        found = await http.get(f"/orders/{order['order_id']}", headers=await signed_in(http, "buyer"))
    assert found.json() == order


@pytest.mark.servers
async def test_live_on_servers_without_docker(folder: Path, port: int) -> None:
    """With --servers local there is one origin as well, and a live connection through it."""
    async with up(folder, port, "--servers", "local") as http:
        headers = await signed_in(http, "seller")
        live = await connected(http, headers, port)
        await live.send(json.dumps({"type": "ping"}))
        async with asyncio.timeout(10):
            while json.loads(await live.recv()) != {"type": "pong"}:
                pass


DANA = {"DANA_PARTNER_KEY": "{key}", "DANA_JOURNAL": "{folder}/dana"}
BUSY = "batalkan: port {busy} on 127.0.0.1: Address already in use; choose another with PORT=…\n"
LONG = "x" * 300
REFUSED = [
    ("up --data {folder}", {"PORT": "{busy}"}, 1, BUSY),
    ("demo --data {folder}", {"PORT": "{busy}"}, 1, BUSY),
    ("up --data {folder}/file/data", {}, 1, "batalkan: {folder}/file/data: Not a directory\n"),
    ("demo --data {folder}/file/data", {}, 1, "batalkan: {folder}/file/data: Not a directory\n"),
    (f"check --data {LONG}", {}, 1, f"batalkan: {LONG}/postgres/postmaster.pid: File name too long\n"),
    ("demo --broker-url http://x", {}, 2, "must begin with memory:// or amqp:// or amqps://"),
    ("up", {"TRUSTED_PROXIES": "a/b"}, 2, "TRUSTED_PROXIES: "),
    ("doctor", {"PORT": "abc"}, 2, "PORT: 'abc' is not a whole number from 1 to 65535"),
    ("doctor", {"PORT": "70000"}, 2, "PORT: '70000' is not a whole number from 1 to 65535"),
    ("services.orders", {"BROKER_URL": "http://x"}, 2, "must begin with memory:// or amqp:// or amqps://"),
    ("services.orders", {"TRUSTED_PROXIES": "a/b"}, 2, "TRUSTED_PROXIES: "),
    ("simulators.dana", {**DANA, "ALLOWED_HOSTS": "a/b"}, 2, "ALLOWED_HOSTS: "),
]


@pytest.mark.parametrize(("call", "environment", "code", "complaint"), REFUSED)
async def test_a_process_that_cannot_start_says_why_in_one_line(
    folder: Path, port: int, keys: Keys, call: str, environment: dict[str, str], code: int, complaint: str
) -> None:
    """A port in use, an unusable folder or a wrong setting ends the process with one line, which names it."""
    (folder / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        known = {"folder": folder, "busy": taken.getsockname()[1], "key": keys.dana_partner_key}
        settings = {name: value.format_map(known) for name, value in environment.items()}
        first, *more = call.format_map(known).split()
        module = [first, *more] if "." in first else ["batalkan", first, *more]
        async with python("-m", *module, **{"PORT": str(port), **settings}) as command:
            found, complaints = await command.result()
    assert (found, complaints.count("\n")) == (code, 1)
    assert code == 1 or not command.said  # nothing begins with a wrong setting
    expected = complaint.format_map(known)
    assert complaints == expected if code == 1 else expected in complaints


async def leave_much(http: httpx.AsyncClient) -> None:
    """What users leave behind when they go away in the middle of things."""
    agent, seller = await signed_in(http, "agent"), await signed_in(http, "seller")
    sold = {"title": "Kopi", "price": 1000, "stock": 100}
    product = (await http.post("/orders/products", json=sold, headers=seller)).raise_for_status().json()
    for number in range(7):
        about = {"email": f"buyer-{number}@example.com", "password": PASSWORD, "name": "B", "role": "buyer"}
        (await http.post("/accounts", json=about)).raise_for_status()
        buyer = await signed_in(http, f"buyer-{number}")
        line = {"product_id": product["product_id"], "quantity": 1}
        order = {"lines": [line], "payment_method": "bank_transfer"}
        placed = (await http.post("/orders", json=order, headers=buyer)).raise_for_status().json()
        if number % 2:
            (await http.post(f"/orders/{placed['order_id']}/pay", headers=buyer)).raise_for_status()
        (await http.post("/cs/cases", json={"text": "Halo?"}, headers=buyer)).raise_for_status()
    (await http.put("/cs/duty", json={"on": True}, headers=agent)).raise_for_status()


async def signed_in(http: httpx.AsyncClient, role: str) -> dict[str, str]:
    """The header of one of the demonstration's accounts."""
    form = {"grant_type": "password", "client_id": "app", "username": f"{role}@example.com", "password": PASSWORD}
    token = (await http.post("/accounts/token", data=form)).raise_for_status().json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


async def connected(http: httpx.AsyncClient, headers: dict[str, str], port: int) -> ClientConnection:
    """A live connection to the chat, from a page of this origin."""
    ticket = (await http.post("/chat/tickets", headers=headers)).raise_for_status().json()["ticket"]
    origin = f"http://127.0.0.1:{port}"
    url = f"ws://127.0.0.1:{port}/chat/live?ticket={ticket}"
    return await connect(url, origin=origin, proxy=None)  # type: ignore[arg-type]
