"""The service `notifications`, running in the test's own process, with a receiver of webhooks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
from standardwebhooks import Webhook
from starlette.requests import Request
from starlette.responses import Response

from batalkan.keys import Keys
from runtime.messaging.bus import Bus
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import Event
from runtime.service import Service
from runtime.settings import Environment, Settings
from runtime.storage import clock
from services.notifications.main import SPEC, build
from services.notifications.receivers import Receivers
from tests.harness.actors import Actors, Json, Person
from tests.harness.deals import Deal
from tests.harness.publishing import publish_as
from tests.harness.serving import served
from tests.harness.waiting import becomes, eventually

LOCAL = Environment({"WEBHOOK_ALLOW_NETWORKS": "127.0.0.1"}).networks("WEBHOOK_ALLOW_NETWORKS")
"""Receivers of tests are on this machine."""


@dataclass
class Receiver:
    """A receiver of webhooks: keeps what it gets, and answers as it is told to."""

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, the receiver does not answer."""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Headers and body of each request."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.got.append((dict(request.headers), await request.body()))
        await self.open.wait()
        await Response(None, self.status, self.headers)(scope, receive, send)

    @property
    def ids(self) -> list[str]:
        """The ids of the messages so far."""
        return [headers["webhook-id"] for headers, _ in self.got]

    async def has(self, count: int) -> None:
        """Waits for so many requests."""
        await becomes(lambda: _count(self.got), count)

    def verify(self, secret: str) -> None:
        """All requests are signed with the secret of the webhook."""
        for headers, body in self.got:
            Webhook(secret).verify(body, headers)


async def _count(of: Sequence[Any]) -> int:
    return len(of)


@asynccontextmanager
async def receiving(status: int = 204, **headers: str) -> AsyncIterator[Receiver]:
    """A receiver on a port of this machine."""
    receiver = Receiver(status=status, headers=headers)
    receiver.open.set()
    async with served(receiver) as origin:
        receiver.url = f"{origin}/hook"
        try:
            yield receiver
        finally:
            receiver.open.set()


@dataclass(frozen=True)
class NotificationsHarness:
    """One replica of the service."""

    service: Service
    actors: Actors
    bus: Bus

    def deal(self) -> Deal:
        """An order that the service does not know yet."""
        return Deal(uuid4(), self.actors.person("buyer"), self.actors.person("seller"))

    async def deliver(self, *events: Event) -> None:
        """Publishes events as the first service that may publish them; returns when they are handled."""
        for event in events:
            await publish_as(self.bus, event.published_by[0], event)

    async def sold(self) -> Deal:
        """An order that was paid."""
        deal = self.deal()
        await self.deliver(deal.placed(), deal.moved("processing"))
        return deal

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Rows of the database."""
        async with self.service.uow.database.connection() as connection:
            return list(await connection.fetch(query, *arguments))

    async def advance(self, by: timedelta) -> None:
        """Moves the time of the service."""
        async with self.service.uow.database.connection() as connection:
            await clock.advance(connection, by)
        self.service.uow.wake_deadlines()


async def told(person: Person) -> list[Json]:
    """The notifications of a person, oldest first."""
    return list(reversed((await person.get("/notifications", limit=100))["items"]))


async def kinds(person: Person) -> list[str]:
    """Their kinds, oldest first."""
    return [one["kind"] for one in await told(person)]


async def make_webhook(seller: Person, url: str, *kinds: str) -> Json:
    """A new webhook."""
    body = {"url": url, "kinds": kinds or ["OrderPaid"]}
    return await seller.post("/notifications/webhooks", body, 201)


async def deliveries(seller: Person, webhook: Json) -> list[Json]:
    """The log of a webhook, newest first."""
    return list((await seller.get(f"/notifications/webhooks/{webhook['webhook_id']}/deliveries"))["items"])


async def delivered(seller: Person, webhook: Json, state: str = "delivered", **facts: Any) -> Json:
    """The latest delivery, once it is in this state and has these facts."""

    async def latest() -> Json | None:
        found = await deliveries(seller, webhook)
        return found[0] if found and found[0].items() >= {"state": state, **facts}.items() else None

    return await eventually(latest)


@asynccontextmanager
async def running(
    database_url: str,
    keys: Keys,
    *,
    bus: MemoryBus | None = None,
    redis_url: str = "memory://",
    receivers: Receivers | None = None,
) -> AsyncIterator[Service]:
    """Runs one replica of the service, without a port."""
    environment = Environment({"TOKEN_KEYS": str(keys.token_keys), "DEMONSTRATION": "1"})
    settings = replace(Settings.read("notifications", environment), redis_url=redis_url)
    receivers = receivers or Receivers(LOCAL, timeout=2.0)
    service = build(settings, environment, database_url, bus or MemoryBus(), receivers)
    async with service.running():
        await service.until_ready()
        yield service


@asynccontextmanager
async def open_harness(database_url: str, keys: Keys) -> AsyncIterator[NotificationsHarness]:
    """Runs the service."""
    bus = MemoryBus()
    async with (
        running(database_url, keys, bus=bus) as service,
        httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://notifications") as http,
    ):
        yield NotificationsHarness(service, Actors(keys, http), bus)


MIGRATIONS = SPEC.migrations
