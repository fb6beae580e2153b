"""Starting, scaling, stopping, starting again. By its name the last file, as the stack is not the same afterwards."""

import json
import re
from urllib.parse import urlsplit

import httpx
import pytest

from services import SERVICES
from services.accounts.demonstration import PASSWORD
from tests.compose.stack import Stack, docker
from tests.harness.actors import Buyer, Seller
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.compose, pytest.mark.timeout(240)]

ERROR = re.compile(r"error|fatal|panic|critical|traceback|\[(emerg|alert|crit)\]", re.IGNORECASE)


def test_the_first_start_has_no_errors(stack: Stack) -> None:
    """Everything waits for what it needs, so that not one container complains."""
    lines = [line.partition("| ")[2] for line in stack.first_logs.splitlines()]
    assert len(lines) > len(SERVICES)
    assert [line for line in lines if is_error(line)] == []


def is_error(line: str) -> bool:
    """Ours write JSON, with a level; of the others, anything that sounds like it."""
    if line.startswith("{"):
        return json.loads(line).get("level") in ("error", "critical")
    return bool(ERROR.search(line))


async def test_a_service_can_have_replicas(stack: Stack, actors: tuple[Buyer, Seller, str]) -> None:
    """With three containers of `orders` all take part, and an order is the same in each of them."""
    buyer, _, product = actors
    stack.up("--scale", "orders=3", "--no-recreate")
    order_id = await buyer.buy(product)
    for _ in range(30):
        assert (await buyer.order(order_id))["status"] == "processing"
    logs = stack.compose("logs", "--no-color", "--tail", "60", "gateway")
    assert len(set(re.findall(rf'"GET /orders/{order_id}".*"upstream":"([^"]+)"', logs))) == 3
    await buyer.cancel(order_id)
    assert (await buyer.refund(order_id))["amount"] == 189_000


async def test_a_replica_may_die(stack: Stack, actors: tuple[Buyer, Seller, str]) -> None:
    """When one of three containers is killed, the buyer gets every answer all the same."""
    buyer, _, product = actors
    *_, last = stack.containers("orders")
    docker("kill", last["Id"])
    for _ in range(15):
        await buyer.buy(product)


async def test_an_operator_has_the_command_line(stack: Stack, actors: tuple[Buyer, Seller, str]) -> None:
    """`docker compose run batalkan` reaches every database: a day later, an order can no longer be cancelled."""
    buyer, _, product = actors
    order_id = await buyer.buy(product)
    stack.compose("run", "--rm", "batalkan", "clock", "advance", "25h")
    assert (await buyer.order(order_id))["cancellation"]["code"] == "window_closed"
    assert (await buyer.cancel(order_id)).status_code == 409
    assert json.loads(stack.compose("run", "--rm", "batalkan", "parked", "list", "--json")) == []


async def test_everything_is_there_after_a_new_start(stack: Stack, actors: tuple[Buyer, Seller, str]) -> None:
    """`down` and `up` keep accounts, orders and money. Started without demonstration, its accounts are gone."""
    buyer, _, product = actors
    await buyer.cancel(order_id := await buyer.buy(product))
    await buyer.refund(order_id)
    order, wallet = await buyer.order(order_id), await buyer.get("/refunds/wallet")
    stack.compose("down")
    stack.up(demonstration=False)
    again = await buyer.on_the_website()
    assert await again.order(order_id) == order
    assert await again.get("/refunds/wallet") == wallet
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        await Buyer.sign_in(buyer.http, "buyer@example.com", PASSWORD)


async def test_the_management_page_is_for_those_who_ask_for_it(stack: Stack) -> None:
    """RabbitMQ's page is published on 127.0.0.1 by the profile `tools`, by a forwarder, and by nothing else."""
    stack.compose("up", "--detach", "--no-recreate", "management")
    (forwarder,) = stack.containers("management")
    (system,) = forwarder["NetworkSettings"]["Ports"]["8080/tcp"]
    assert system["HostIp"] == "127.0.0.1"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{system['HostPort']}") as page:

        async def listed(user: str, password: str) -> int | None:
            try:
                return (await page.get("/api/users", auth=(user, password))).status_code
            except httpx.TransportError:  # it has only just been started
                return None

        assert await eventually(lambda: listed("guest", "guest"), every=0.1) == 401
        operator = stack.compose("run", "--rm", "--entrypoint", "cat", "batalkan", "/run/secrets/broker_url")
        assert await listed("operator", urlsplit(operator).password or "") == 200
