"""The chat service, running in the test's own process, with orders and conversations about them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt

from batalkan.keys import Keys
from runtime.http.client import http_client
from runtime.live.updates import LiveUpdates
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import Event
from runtime.service import Service
from runtime.settings import Environment, Settings
from services.chat.main import SPEC, build
from tests.harness.actors import Actors, Json, Person, assert_problem
from tests.harness.deals import Deal
from tests.harness.event_recorder import EventRecorder, recording_service
from tests.harness.publishing import publish_as
from tests.harness.serving import served

MIGRATIONS = Path(SPEC.migrations)


@dataclass(frozen=True)
class Conversation(Deal):
    """A deal with its thread."""

    thread_id: str

    @property
    def path(self) -> str:
        """The path of the thread."""
        return f"/chat/threads/{self.thread_id}"

    async def write(self, who: Person, text: str = "Halo") -> Json:
        """Sends a message."""
        return await who.post(f"{self.path}/messages", {"text": text}, 201)

    async def guide(self) -> Json:
        """The seller sends the guide."""
        return await self.seller.post(f"{self.path}/guide", status=201)

    async def cancel(self, reason: str | None = None) -> str:
        """The seller requests the cancellation; returns its id."""
        return str((await self.seller.post(f"{self.path}/cancel", {"reason": reason}, 202))["cancellation_id"])

    async def refuses(self, action: str, code: str, body: Json = None) -> None:
        """The seller may not do this now."""
        assert_problem(await self.seller.ask("POST", f"{self.path}/{action}", body), 409, code)

    async def messages(self) -> list[Json]:
        """The messages, as the buyer reads them."""
        return list((await self.buyer.get(f"{self.path}/messages", limit=100))["items"])

    async def codes(self) -> list[str]:
        """The codes of the messages so far; of a text, its words."""
        return [message["code"] or message["text"] for message in await self.messages()]

    async def seen(self, by: Person | None = None) -> Json:
        """The thread, as one account sees it."""
        return await (by or self.buyer).get(self.path)


@dataclass(frozen=True)
class ChatHarness:
    """One replica of the service, with a recorder of its events."""

    service: Service
    actors: Actors
    recorder: EventRecorder

    def deal(self, buyer: Person | None = None, seller: Person | None = None) -> Deal:
        """An order that the service does not know yet."""
        return Deal(uuid4(), buyer or self.actors.person("buyer"), seller or self.actors.person("seller"))

    async def deliver(self, *events: Event) -> None:
        """Publishes events as the first service that may publish them; returns when they are handled."""
        for event in events:
            await publish_as(self.recorder.bus, event.published_by[0], event)

    async def sold(self, status: str = "processing") -> Deal:
        """An order that has reached `status`."""
        deal = self.deal()
        steps = ("processing", "packed", "shipped")
        await self.deliver(deal.placed(), *(deal.moved(to) for to in steps[: ("unpaid", *steps).index(status)]))
        return deal

    async def conversation(self, status: str = "processing") -> Conversation:
        """An order whose buyer has opened its thread."""
        return await self.about(await self.sold(status))

    async def about(self, deal: Deal) -> Conversation:
        """The thread of an order."""
        thread = await deal.buyer.post("/chat/threads", {"order_id": str(deal.order_id)}, 201)
        return Conversation(**vars(deal), thread_id=thread["thread_id"])

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Rows of the database."""
        async with self.service.uow.begin() as tx:
            return list(await tx.connection.fetch(query, *arguments))


@asynccontextmanager
async def running(
    database_url: str, keys: Keys, *, bus: MemoryBus | None = None, redis_url: str = "memory://"
) -> AsyncIterator[Service]:
    """Runs one replica of the service, without a port."""
    environment = Environment({"TOKEN_KEYS": str(keys.token_keys)})
    settings = replace(Settings.read("chat", environment), redis_url=redis_url)
    service = build(settings, environment, database_url, bus or MemoryBus())
    async with service.running():
        await service.until_ready()
        yield service


@asynccontextmanager
async def open_harness(database_url: str, keys: Keys) -> AsyncIterator[ChatHarness]:
    """Runs the service, and records its events."""
    bus = MemoryBus()
    await bus.subscribe("cs", [])  # the service waits for it
    async with (
        recording_service(bus, "orders", "chat", SPEC.publishes) as recorder,
        running(database_url, keys, bus=bus) as service,
        httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://chat") as http,
    ):
        yield ChatHarness(service, Actors(keys, http), recorder)


@asynccontextmanager
async def on_a_port(service: Service) -> AsyncIterator[str]:
    """Serves it over HTTP as a process of its own does; `host:port`."""
    async with served(service.app) as origin:
        yield origin.removeprefix("http://")


@dataclass(frozen=True)
class Replica:
    """A further replica of the harness's service, with an address."""

    service: Service
    origin: str
    actors: Actors

    @property
    def live(self) -> LiveUpdates:
        """Its live part."""
        live: LiveUpdates = self.service.app.state.live
        return live

    def same(self, person: Person) -> Person:
        """The same person, at this replica."""
        claims = jwt.decode(person.token, options={"verify_signature": False})
        return self.actors.person(claims["role"], account_id=person.account_id)


@asynccontextmanager
async def replicas(harness: ChatHarness, keys: Keys, redis_url: str, count: int = 2) -> AsyncIterator[list[Replica]]:
    """Further replicas on the harness's database, sharing one Redis."""
    url = harness.service.uow.database.url
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            service = await stack.enter_async_context(running(url, keys, redis_url=redis_url))
            origin = await stack.enter_async_context(on_a_port(service))
            http = http_client(base_url=f"http://{origin}")
            made.append(Replica(service, origin, Actors(keys, await stack.enter_async_context(http))))
        yield made
