"""The market of a demonstration: people, products, orders in every state, conversations and cases, as market.toml tells
them.

Everything is done by the routes of the services, built here on their databases; the running services publish the events
that follow, and consume them. Ids are fixed, and each step has an Idempotency-Key of its own, so that the next run
completes one that was interrupted.
"""

import asyncio
import os
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from math import inf
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx

from batalkan.operate import CannotSeed, working
from batalkan.system import OneOrigin
from contracts.words import Role
from runtime.http.auth import Identity
from runtime.messaging.bus.memory import MemoryBus
from runtime.observability.trace_context import new_id
from runtime.service import Service
from runtime.settings import Environment, Settings
from services.accounts import demonstration
from services.accounts.domain import Account
from services.accounts.passwords import Passwords
from services.orders import api, catalogue, products, store

T = TypeVar("T")

STORY = Path(__file__).with_name("market.toml")
ROUTED = ("orders", "chat", "cs")
STOCK = 500
WITHIN = 60.0
"""Seconds within which the running services consume an event."""


class _Names:
    """Takes a request for that of the account that its token names: only this process can reach these routes."""

    def verify(self, token: str) -> Identity:
        account_id, role, client = token.split("/")
        return Identity(UUID(account_id), role, client, expires=inf)


@dataclass
class Tale:
    """The story of one order: `lines` (title: pieces), and the steps that follow on placing it."""

    order_id: UUID
    buyer: Account
    seller: Account
    lines: Mapping[str, int]
    steps: list[str]
    method: str = "bank_transfer"
    voucher: str | None = None
    thread_id: str = ""
    case_id: str = ""

    @property
    def path(self) -> str:
        """Of the order."""
        return f"/orders/{self.order_id}"


async def load(urls: Mapping[str, str]) -> bool:
    """Adds what is missing to running services in demonstration mode; False if all was there. Raises `CannotSeed`."""
    async with _routes(urls) as (http, orders), working("accounts", urls) as accounts:
        async with accounts.begin() as tx:
            if not await tx.connection.fetchval("select demonstration from clock"):
                raise CannotSeed("the services do not run in demonstration mode (DEMONSTRATION=1)")
        market = Market(tomllib.loads(STORY.read_text()), http, orders)
        await demonstration.seed(accounts, Passwords(), market.accounts)
        await catalogue.seed(orders.uow)
        if missing := not await market.is_complete():
            await market.fill()
        return missing


@asynccontextmanager
async def _routes(urls: Mapping[str, str]) -> AsyncIterator[tuple[httpx.AsyncClient, Service]]:
    """A client of the routes of three services on their databases, and `orders`; none of their loops runs here."""
    env, redis_url = Environment({**os.environ, "TOKEN_KEYS": os.devnull}), f"memory://{new_id().hex}"
    built: dict[str, Service] = {}
    async with AsyncExitStack() as stack:
        for name in ROUTED:
            settings = Settings(name, urls[name], "memory://", redis_url, "", 0, False, "info")
            service: Service = import_module(f"services.{name}.main").build(settings, env, urls[name], MemoryBus())
            service.app.state.verifier = _Names()
            await service.uow.database.connect()
            for stop in (service.uow.database.close, *service.on_stop):
                stack.push_async_callback(stop)
            built[name] = service
        transport = httpx.ASGITransport(OneOrigin({name: service.app for name, service in built.items()}))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            yield http, built["orders"]


async def _within(look: Callable[[], Awaitable[T]], what: str) -> T:
    """What `look` finds, once it finds something."""
    try:
        async with asyncio.timeout(WITHIN):
            while not (found := await look()):
                await asyncio.sleep(0.05)
            return found
    except TimeoutError:
        raise CannotSeed(f"{what} after {WITHIN:g} s; do all services run?") from None


def _id(group: int, number: int) -> UUID:
    return UUID(f"0190d3a0-0000-7000-8000-00000000{group:02d}{number:02d}")


class Market:
    """Tells the story to the services."""

    def __init__(self, story: Mapping[str, Any], http: httpx.AsyncClient, orders: Service) -> None:
        self._http = http
        self._orders = orders
        names = [(name, role) for role in (Role.BUYER, Role.SELLER, Role.AGENT) for name in story[f"{role}s"]]
        self.accounts = [
            *demonstration.ACCOUNTS,
            *(
                Account(account_id, f"{name.lower().replace(' ', '.')}@example.com", name, role)
                for account_id, (name, role) in zip(demonstration.MARKET, names, strict=False)
            ),
        ]
        people = {one.name: one for one in self.accounts}
        self._agent = people[story["agents"][0]]
        offers = [(seller, *offer) for seller, offered in story["products"].items() for offer in offered]
        self._offers = [
            products.Product(_id(3, number), people[seller].account_id, title, price, STOCK)
            for number, (seller, title, price) in enumerate(offers, start=1)
        ]
        self._sold = {one.title: one for one in (*catalogue.offered(), *self._offers)}
        self._vouchers = [(people[seller], one) for seller, some in story["vouchers"].items() for one in some]
        sellers = {one.account_id: one for one in people.values()}
        self._tales = [
            Tale(
                order_id=_id(4, number),
                seller=sellers[self._sold[next(iter(order["lines"]))].seller_id],
                **{**order, "buyer": people[order["buyer"]]},
            )
            for number, order in enumerate(story["orders"], start=1)
        ]

    async def is_complete(self) -> bool:
        """Whether the last order is there."""
        return not (await self._send("GET", self._tales[-1].path, self._tales[-1].buyer)).is_error

    async def fill(self) -> None:
        """Tells all of it. Orders are placed and paid first, so that chat and customer service know them soon."""
        async with self._orders.uow.begin() as tx:
            for product in self._offers:
                await products.add_product(tx, product)
        for seller, voucher in self._vouchers:
            await self._call("POST", "/orders/vouchers", seller, voucher)
        *tales, last = self._tales
        for tale in tales:
            await self._place(tale)
            if "pay" in tale.steps:
                await self._call("POST", f"{tale.path}/pay", tale.buyer)
        await self._call("PUT", "/cs/duty", self._agent, {"on": True, "reserved": True})
        for tale in tales:
            for number, step in enumerate(tale.steps):
                what, _, text = step.partition(": ")
                await self._step(tale, what, text, f"market-{tale.order_id}-{number}")
        await self._call("PUT", "/cs/duty", self._agent, {"on": False})
        await self._place(last)

    async def _place(self, tale: Tale) -> None:
        lines = [{"product_id": self._sold[title].product_id, "quantity": n} for title, n in tale.lines.items()]
        body = {"lines": lines, "payment_method": tale.method, "voucher": tale.voucher}
        wanted, terms = api.NewOrder.model_validate(body), self._orders.app.state.terms
        async with self._orders.uow.begin() as tx:
            if (await store.read(tx, tale.order_id))[0] is None:
                await api.place(tx, tale.order_id, tale.buyer.account_id, wanted, terms)

    async def _step(self, tale: Tale, what: str, text: str, key: str) -> None:
        buyer, seller = tale.buyer, tale.seller
        case = f"/cs/cases/{tale.case_id}"
        match what:
            case "pay":
                await self._call("POST", f"{tale.path}/pay", buyer)
            case "pack" | "ship" | "deliver":
                await self._call("POST", f"{tale.path}/{what}", seller)
            case "app cancel" | "web cancel":
                await self._call("POST", f"{tale.path}/cancel", buyer, {"reason": text}, client=what[:3])
            case "app part" | "web part":
                first = self._sold[next(iter(tale.lines))].product_id
                pieces = {"lines": [{"product_id": str(first), "quantity": int(text)}]}
                await self._call("POST", f"{tale.path}/cancel", buyer, pieces, key, what[:3])
            case "buyer" | "seller":
                thread = await self._thread(tale)
                await self._call("POST", f"{thread}/messages", getattr(tale, what), {"text": text}, key)
            case "guide":
                await self._call("POST", f"{await self._thread(tale)}/guide", seller, key=key)
            case "seller cancel":
                thread = await self._thread(tale)
                await self._call("POST", f"{thread}/cancel", seller, {"reason": text})
                await self._until(f"{thread}/messages?limit=100", seller, "refund_issued")
            case "queue":
                await self._call("POST", "/cs/cases", buyer, {"text": text}, key)
            case "case":
                asks = {"text": text, "agent_id": str(self._agent.account_id)}
                tale.case_id = (await self._call("POST", "/cs/cases", buyer, asks, key))["case_id"]
                await self._known(f"/cs/cases/{tale.case_id}/order", buyer, tale)
            case "caller" | "agent":
                speaker = buyer if what == "caller" else self._agent
                await self._call("POST", f"{case}/messages", speaker, {"text": text}, key)
            case "contact":
                await self._call("POST", f"{case}/contact-seller", self._agent, key=key)
            case "close":
                await self._call("POST", f"{case}/close", self._agent, {"outcome": text})
            case "rate":
                await self._call("POST", f"{case}/rate", buyer, {"rating": int(text)})
            case _:
                raise CannotSeed(f"market.toml has no such step: {what}")

    async def _thread(self, tale: Tale) -> str:
        tale.thread_id = tale.thread_id or (await self._known("/chat/threads", tale.buyer, tale))["thread_id"]
        return f"/chat/threads/{tale.thread_id}"

    async def _known(self, path: str, buyer: Account, tale: Tale) -> Any:
        """The answer of a service once it has consumed the event of the order."""

        async def answer() -> Any:
            found = await self._send("POST", path, buyer, {"order_id": str(tale.order_id)})
            return found.json() if found.is_success else None

        return await _within(answer, f"{path} does not know order {tale.order_id}")

    async def _until(self, path: str, who: Account, code: str) -> None:
        """Waits until the conversation has the message with this code."""

        async def there() -> bool:
            return any(message["code"] == code for message in (await self._call("GET", path, who))["items"])

        await _within(there, f"{path} has no {code}")

    async def _call(
        self, method: str, path: str, who: Account, body: Any = None, key: str = "", client: str = "app"
    ) -> Any:
        """The JSON of the answer; empty if the step was done before."""
        answer = await self._send(method, path, who, body, key, client)
        if answer.status_code == httpx.codes.CONFLICT:
            return {}
        if answer.is_error:
            raise CannotSeed(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    async def _send(
        self, method: str, path: str, who: Account, body: Any = None, key: str = "", client: str = "app"
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {who.account_id}/{who.role}/{client}"}
        headers |= {"Idempotency-Key": key} if key else {}
        return await self._http.request(method, path, json=body, headers=headers)
