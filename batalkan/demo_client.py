"""The client of the guided run: calls the public interface, and waits for the results."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex
from typing import Any, TypeVar

import httpx
from rich.console import Console
from rich.text import Text

from batalkan.operate import create_for
from batalkan.system import System
from contracts.words import Role, rupiah, wallet

T = TypeVar("T")

TIMEOUT = 20.0
"""Seconds to wait for a result."""


class DemoFailed(Exception):
    """A result of the guided run is not the expected one."""


@dataclass(frozen=True)
class Person:
    """A signed-in account."""

    account_id: str
    headers: Mapping[str, str]


class DemoClient:
    """Calls the HTTP interface as the app and the website do, and prints the results."""

    def __init__(
        self, http: httpx.AsyncClient, running: System, console: Console, seen: Sequence[dict[str, Any]]
    ) -> None:
        """`http` is for the interface of `running`; `seen` has all published events so far."""
        self.running = running
        self.console = console
        self._http = http
        self._seen = seen
        self._steps = 0
        self._password = token_hex(16)  # of no other run: its accounts stay

    def step(self, title: str) -> None:
        """Prints the title of the next step."""
        self._steps += 1
        self.console.print(f"{self._steps}. {title}", style="bold")

    def say(self, line: str) -> None:
        """Prints one line."""
        self.console.print(f"   {line}", soft_wrap=True)

    async def show_events(self, order: str, last: str = "RefundIssued") -> None:
        """Prints the events of an order, up to the last one of its trace."""

        async def events() -> list[dict[str, Any]]:
            return [event for event in self._seen if event["subject"] == order]

        for event in await self.until(events, lambda events: any(event["type"] == last for event in events)):
            source, name, trace = event["source"], event["type"], event["correlationid"][-6:]
            self.console.print(Text.assemble((f"   {source:>8} → {name:<21}", "cyan"), (f" trace …{trace}", "dim")))
        self.console.print()

    async def join(self, role: str, client: str) -> Person:
        """Registers a new account and signs in."""
        email = f"{role}-{token_hex(4)}@example.com"
        await self.call(
            "POST", "/accounts", None, 201, email=email, password=self._password, name=role.title(), role=role
        )
        return await self.sign_in(email, client)

    async def employ(self) -> Person:
        """Creates an agent's account, as an administrator does, and signs in."""
        email = f"agent-{token_hex(4)}@example.com"
        await create_for(self.running.database_urls, Role.AGENT, email, self._password, "Agent")
        return await self.sign_in(email, "web")

    async def sign_in(self, email: str, client: str) -> Person:
        """Signs in with the run's password, in the app or on the website."""
        form = {"grant_type": "password", "username": email, "password": self._password, "client_id": client}
        answer = await self._http.post("/accounts/token", data=form)
        if answer.status_code != 200:
            raise DemoFailed(f"signing in: {answer.text}")
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        account = (await self._http.get("/accounts/me", headers=headers)).json()
        return Person(account["account_id"], headers)

    async def ordered(self, buyer: Person, product: dict[str, Any], quantity: int, **more: Any) -> str:
        """Places an order and pays it; returns its id."""
        lines = [{"product_id": product["product_id"], "quantity": quantity}]
        order = await self.call("POST", "/orders", buyer, 201, lines=lines, payment_method="bank_transfer", **more)
        paid = await self.call("POST", f"/orders/{order['order_id']}/pay", buyer, 200)
        self.say(f"order {paid['order_id'][-6:]}: {quantity} × {product['title']}, paid {rupiah(paid['paid_amount'])}")
        return str(order["order_id"])

    async def link_dana(self, buyer: Person) -> None:
        """Links a DANA wallet."""
        wallet = await self.call("PUT", "/refunds/wallet/dana", buyer, 200, phone=f"0812{int(token_hex(3), 16):08d}")
        self.say(f"DANA linked: {wallet['dana']['phone']}")

    async def refunded(self, buyer: Person, order: str, destination: str) -> None:
        """Waits until the full amount is refunded to the right destination, by as many refunds as cancellations."""
        view = await self.until(
            lambda: self.call("GET", f"/orders/{order}", buyer, 200),
            lambda view: (
                view["status"] == "cancelled"
                and [one["state"] for one in view["refunds"]] == ["issued"] * len(view["cancellations"])
            ),
        )
        refunds = view["refunds"]
        amounts = [refund["amount"] for refund in refunds]
        if sum(amounts) != view["paid_amount"] or any(refund["destination"] != destination for refund in refunds):
            raise DemoFailed(f"refunded {refunds}, not {view['paid_amount']} to {destination}")
        self.say(f"refunded in full: {' + '.join(map(rupiah, amounts))} to {wallet(destination)}")

    async def refused(self, buyer: Person, order: str, code: str) -> None:
        """Tries to cancel; the service must refuse with this code."""
        problem = await self.call("POST", f"/orders/{order}/cancel", buyer, 409)
        if problem["code"] != code:
            raise DemoFailed(f"refused with {problem['code']}, not {code}")
        self.say(f"409 {problem['code']}: {problem['detail']}")

    async def advance(self, by: timedelta) -> None:
        """Moves the clock of all services forward."""
        await self.running.advance_clock(by)
        self.say(f"(the clock moves on by {by})")

    async def call(
        self, method: str, path: str, who: Person | None, status: int, *, key: str = "", **body: Any
    ) -> dict[str, Any]:
        """Sends a request, with an idempotency key if one is given; the answer must have this status."""
        answer = await self._send(method, path, who, body, key)
        if answer.status_code != status:
            raise DemoFailed(f"{method} {path}: {answer.status_code}, not {status}: {answer.text}")
        answered: dict[str, Any] = answer.json()
        return answered

    async def ask(self, method: str, path: str, who: Person | None, **body: Any) -> dict[str, Any]:
        """Sends a request; the answer may be a problem."""
        answered: dict[str, Any] = (await self._send(method, path, who, body)).json()
        return answered

    async def _send(
        self, method: str, path: str, who: Person | None, body: dict[str, Any], key: str = ""
    ) -> httpx.Response:
        headers = {**(who.headers if who else {}), **({"Idempotency-Key": key} if key else {})}
        return await self._http.request(method, path, headers=headers, json=body or None)

    async def until(self, look: Callable[[], Awaitable[T]], enough: Callable[[T], bool], *, fail: bool = True) -> T:
        """Polls `look` until `enough` accepts the result. After `TIMEOUT` it fails, or returns the last result."""
        loop = asyncio.get_running_loop()
        end = loop.time() + TIMEOUT
        while not enough(found := await look()):
            if loop.time() > end:
                if fail:
                    raise DemoFailed(f"not within {TIMEOUT:.0f} s: {found}")
                break
            await asyncio.sleep(0.02)
        return found
