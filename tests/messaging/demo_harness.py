"""The toys as whole services in demonstration mode, and their records."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from batalkan.system import OneOrigin
from runtime.demo.recorder import STREAM
from runtime.messaging.bus import Bus
from runtime.messaging.consumer import Handlers
from runtime.observability.trace_context import new_id
from runtime.service import Service
from runtime.storage.redis import connect
from tests.messaging.toys import Counted, Toys, whole_service, write_down


@dataclass(frozen=True)
class DemoHarness:
    """`orders`, which publishes `Counted`, and `refunds`, which consumes it, in demonstration mode."""

    orders: Service
    refunds: Service
    http: httpx.AsyncClient
    redis_url: str

    async def publish(self, *numbers: int) -> None:
        """Publishes `Counted`, all of it in one transaction."""
        async with self.orders.uow.begin() as tx:
            tx.publish(*(Counted(thing="a", number=number) for number in numbers))

    async def effects(self) -> list[int]:
        """The numbers that `refunds` has stored."""
        async with self.refunds.uow.database.connection() as connection:
            return [row[0] for row in await connection.fetch("select number from effects order by place")]

    async def records(self, event: str = "Counted") -> list[dict[str, Any]]:
        """The records of the events of this name so far."""
        redis = connect(self.redis_url)
        entries: Any = await redis.xrange(STREAM)
        await redis.aclose()
        records = [record for _, entry in entries for record in json.loads(entry["records"])]
        return [record for record in records if record.get("type") == event]

    async def stages(self) -> set[tuple[str, str]]:
        """The stages of `Counted` that each service has recorded."""
        return {(one["service"], one["stage"]) for one in await self.records()}

    async def state(self, service: str) -> dict[str, Any]:
        """The state that the service reports."""
        answer = await self.http.get(f"/{service}/demonstration/state")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def of(self, service: str, part: str) -> Callable[[], Awaitable[Any]]:
        """Asks for a part of the service's state."""

        async def ask() -> Any:
            return (await self.state(service))[part]

        return ask

    async def turn(self, service: str, **switches: bool) -> None:
        """Turns these switches, and all others on."""
        (await self.http.put(f"/{service}/demonstration/switches", json=switches)).raise_for_status()


def demo_service(name: str, url: str, bus: Bus, redis_url: str, handlers: Handlers) -> Service:
    """A toy as a whole service in demonstration mode."""
    return whole_service(url, bus, handlers, name=name, DEMONSTRATION="1", REDIS_URL=redis_url)


@asynccontextmanager
async def in_demonstration(toys: Toys) -> AsyncIterator[DemoHarness]:
    """Runs both services."""
    redis_url = f"memory://{new_id().hex}"

    async def build(name: str, handlers: Handlers) -> Service:
        return demo_service(name, await toys.database(name), toys.bus(name), redis_url, handlers)

    refunds, orders = await build("refunds", {Counted: write_down}), await build("orders", {})
    transport = httpx.ASGITransport(OneOrigin({"refunds": refunds.app, "orders": orders.app}))
    http = httpx.AsyncClient(transport=transport, base_url="http://localhost")
    async with refunds.running(), orders.running(), http:
        await refunds.until_ready()
        await orders.until_ready()
        yield DemoHarness(orders, refunds, http, redis_url)
