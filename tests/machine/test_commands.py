"""The commands that a newcomer types first, each in a process of its own, as typed."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from batalkan.local_servers import free_ports
from batalkan.servers import LocalServers
from services.accounts.demonstration import PASSWORD
from tests.conftest import BusOf

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

LAST_LINE = (
    r"The ledger sums to zero, and each of 6 cancelled, paid orders has exactly one refund of its full amount: .*"
)
STOPPING = 5
"""Seconds within which Ctrl-C ends it, on a machine that has a core for it."""
STARTING = 60


@pytest.fixture
def folder() -> Iterator[Path]:
    """For the data; where PostgreSQL's own user gets in, too."""
    with TemporaryDirectory(prefix="batalkan-tests-") as name:
        yield Path(name)


@pytest.fixture
def port() -> int:
    """A free port."""
    return free_ports(1)[0]


async def batalkan(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """The command line, started."""
    settings = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "batalkan", *arguments),
        env={**settings, "COLUMNS": "200", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def up(folder: Path, port: int, *more: str) -> AsyncIterator[httpx.AsyncClient]:
    """`batalkan up`, from the moment at which it serves; at the end it must stop on Ctrl-C."""
    process = await batalkan("up", "--data", str(folder), "--port", str(port), *more)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(STARTING):
            while b"Serving on" not in (line := await process.stdout.readline()):
                assert line, "it ended"
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            yield http
    except BaseException:
        process.kill()
        raise
    asked = monotonic()
    process.send_signal(signal.SIGINT)
    _, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
    assert more or monotonic() - asked < STOPPING


async def test_the_guided_run_ends_with_correct_sums(folder: Path, port: int) -> None:
    """The guided run succeeds and ends with correct sums after any use: waiting chats, silent agents on duty, orders in
    all states, a clock that was moved."""
    async with up(folder, port) as http:
        await leave_much(http)
    process = await batalkan("demo", "--no-serve", "--data", str(folder), "--port", str(port))
    output, complaints = await process.communicate()
    assert (process.returncode, complaints.decode()) == (0, "")
    assert re.fullmatch(LAST_LINE, output.decode().splitlines()[-1])


@pytest.mark.servers
async def test_the_guided_run_over_rabbitmq(folder: Path, port: int, servers: LocalServers, rabbit_bus: BusOf) -> None:
    """With the URL of a broker the same run goes over that."""
    process = await batalkan(
        *("demo", "--no-serve", "--data", str(folder), "--port", str(port)), BROKER_URL=servers.rabbitmq.admin_url
    )
    output, complaints = await process.communicate()
    assert (process.returncode, complaints.decode()) == (0, "")
    assert re.fullmatch(LAST_LINE, output.decode().splitlines()[-1])


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


@pytest.mark.parametrize("command", ["up", "demo"])
async def test_a_busy_port_gets_one_line(folder: Path, command: str) -> None:
    """The error names the port, and how to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        process = await batalkan(command, "--data", str(folder), PORT=str(number))
        _, complaint = await process.communicate()
    assert process.returncode == 1
    assert complaint.decode() == (
        f"batalkan: port {number} on 127.0.0.1: Address already in use; choose another with PORT=…\n"
    )


@pytest.mark.parametrize("command", ["up", "demo"])
async def test_an_unusable_folder_gets_one_line(folder: Path, port: int, command: str) -> None:
    """The error names the folder, and the reason."""
    (folder / "file").touch()
    process = await batalkan(command, "--data", str(folder / "file" / "data"), PORT=str(port))
    _, complaint = await process.communicate()
    assert process.returncode == 1
    assert complaint.decode() == f"batalkan: {folder}/file/data: Not a directory\n"


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
