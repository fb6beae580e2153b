"""The toys as whole services in demonstration mode, and their records."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import APIRouter

from batalkan.keys import Keys
from runtime.demo.recorder import STREAM
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from runtime.service import Service, ServiceSpec
from runtime.settings import Settings
from runtime.storage.database import Database
from runtime.storage.redis import connect
from tests.messaging.toys import MIGRATIONS, Counted, Noted, Toys, write_down


@dataclass(frozen=True)
class DemoHarness:
    """`orders`, which publishes `Counted`, and `refunds`, which consumes it, in demonstration mode."""

    orders: Service
    refunds: Service
    http: httpx.AsyncClient
    redis_url: str

    async def say(self, *numbers: int) -> None:
        """Publishes `Counted`, all of it in one transaction."""
        async with self.orders.uow.begin() as tx:
            tx.publish(*(Counted(thing="a", number=number) for number in numbers))

    async def effects(self) -> list[int]:
        """The numbers that `refunds` has stored."""
        async with self.refunds.uow.database.connection() as connection:
            return [row[0] for row in await connection.fetch("select number from effects order by place")]

    async def records(self) -> list[dict[str, Any]]:
        """All records so far."""
        redis = connect(self.redis_url)
        entries: Any = await redis.xrange(STREAM)
        await redis.aclose()
        return [record for _, entry in entries for record in json.loads(entry["records"])]

    async def stages(self, kind: str = "Counted") -> set[tuple[str, str]]:
        """The stages of the events of this kind that each service has recorded."""
        return {(one["service"], one["stage"]) for one in await self.records() if one.get("type") == kind}

    async def state(self, service: str) -> dict[str, Any]:
        """The state that the service reports."""
        answer = await self.http.get(f"/{service}/demonstration/state")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def of(self, service: str, *what: str) -> Callable[[], Awaitable[Any]]:
        """Asks for a part of the service's state."""

        async def ask() -> Any:
            found: Any = await self.state(service)
            for one in what:
                found = found[one]
            return found

        return ask

    async def turn(self, service: str, **switches: bool) -> None:
        """Turns these switches, and all others on."""
        (await self.http.put(f"/{service}/demonstration/switches", json=switches)).raise_for_status()


class PrefixRouter(httpx.AsyncBaseTransport):
    """Sends requests to the service that the path names."""

    def __init__(self, *services: Service) -> None:
        self._apps = {service.name: httpx.ASGITransport(service.app) for service in services}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._apps[request.url.path.split("/")[1]].handle_async_request(request)


@asynccontextmanager
async def in_demonstration(
    toys: Toys, keys: Keys, handler: Callable[[Transaction, Counted], Awaitable[Sequence[Event]]] = write_down
) -> AsyncIterator[DemoHarness]:
    """Runs both services."""
    redis_url = f"memory://{new_id().hex}"

    async def build(name: str, description: ServiceSpec) -> Service:
        url = await toys.database(name)
        settings = Settings(name, url, "", redis_url, "", 0, True, "info")
        return Service(settings, Database(url), toys.bus(name), keys.token_keys, description)

    refunds = await build("refunds", ServiceSpec("A toy.", APIRouter(), MIGRATIONS, [Noted], {Counted: handler}))
    orders = await build("orders", ServiceSpec("A toy.", APIRouter(), MIGRATIONS, [Counted]))
    async with AsyncExitStack() as stack:
        for service in (refunds, orders):
            await stack.enter_async_context(service.running())
        for service in (refunds, orders):
            await service.until_ready()
        http = await stack.enter_async_context(
            httpx.AsyncClient(transport=PrefixRouter(orders, refunds), base_url="http://localhost")
        )
        yield DemoHarness(orders, refunds, http, redis_url)
