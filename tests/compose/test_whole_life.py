"""Starting, scaling, stopping, starting again. By its name the last file, as the stack is not the same afterwards."""

import json
import re
from urllib.parse import urlsplit

import httpx
import pytest

from services import SERVICES
from tests.compose.shopping import Shopper, sign_in
from tests.compose.stack import Stack, wait_for

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


def test_a_service_can_have_replicas(stack: Stack, shopper: Shopper) -> None:
    """With three containers of `orders` all take part, and an order is the same in each of them."""
    stack.up("--scale", "orders=3", "--no-recreate")
    order_id = shopper.buy()
    for _ in range(30):
        assert shopper.get(f"/orders/{order_id}")["status"] == "processing"
    logs = stack.compose("logs", "--no-color", "--tail", "60", "gateway")
    assert len(set(re.findall(rf'"GET /orders/{order_id}".*"upstream":"([^"]+)"', logs))) == 3
    shopper.cancel(order_id)
    assert shopper.refund(order_id)["amount"] == 50_000


def test_a_replica_may_die(stack: Stack, shopper: Shopper) -> None:
    """When one of three containers is killed, the buyer gets every answer all the same."""
    *_, last = stack.containers("orders")
    stack.kill(last)
    for _ in range(15):
        shopper.buy()


def test_an_operator_has_the_command_line(stack: Stack, shopper: Shopper) -> None:
    """`docker compose run batalkan` reaches every database: a day later, an order can no longer be cancelled."""
    order_id = shopper.buy()
    stack.compose("run", "--rm", "batalkan", "clock", "advance", "25h")
    assert shopper.get(f"/orders/{order_id}")["cancellation"]["code"] == "window_closed"
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        shopper.cancel(order_id)
    assert json.loads(stack.compose("run", "--rm", "batalkan", "parked", "list", "--json")) == []


def test_everything_is_there_after_a_new_start(stack: Stack, shopper: Shopper, http: httpx.Client) -> None:
    """`down` and `up` keep accounts, orders and money. Started without demonstration, its accounts are gone."""
    order_id = shopper.buy()
    shopper.cancel(order_id)
    shopper.refund(order_id)
    order, wallet = shopper.get(f"/orders/{order_id}"), shopper.get("/refunds/wallet")
    stack.compose("down")
    stack.up(demonstration=False)
    assert sign_in(http, shopper.email).status_code == 200
    assert shopper.get(f"/orders/{order_id}") == order
    assert shopper.get("/refunds/wallet") == wallet
    assert sign_in(http, "buyer@example.com", "batalkan-demo").status_code == 400


def test_the_management_page_is_for_those_who_ask_for_it(stack: Stack) -> None:
    """RabbitMQ's page is published on 127.0.0.1 by the profile `tools`, by a forwarder, and by nothing else."""
    stack.compose("up", "--detach", "--no-recreate", "management")
    (forwarder,) = stack.containers("management")
    (system,) = forwarder["NetworkSettings"]["Ports"]["8080/tcp"]
    assert system["HostIp"] == "127.0.0.1"
    with httpx.Client(base_url=f"http://127.0.0.1:{system['HostPort']}") as page:

        def listed(user: str, password: str) -> int | None:
            try:
                return page.get("/api/users", auth=(user, password)).status_code
            except httpx.TransportError:  # it has only just been started
                return None

        assert wait_for(lambda: listed("guest", "guest")) == 401
        operator = stack.compose("run", "--rm", "--entrypoint", "cat", "batalkan", "/run/secrets/broker_url")
        assert listed("operator", urlsplit(operator).password or "") == 200
