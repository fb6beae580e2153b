"""The orders service, running in the test's own process: buyers, sellers, products, orders."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from batalkan.keys import Keys
from contracts.orders import OrderCancelRequested
from runtime.messaging.bus.memory import MemoryBus
from runtime.service import Service
from runtime.settings import Environment, Settings
from runtime.storage import clock
from services.orders.main import SPEC, build
from tests.harness.actors import Actors, Json, Person
from tests.harness.event_recorder import EventRecorder, recording_service
from tests.harness.publishing import publish_as

STATUSES = ("unpaid", "processing", "packed", "shipped", "delivered")
STEPS = ("pay", "pack", "ship", "deliver")
PRODUCT = {"title": "Kopi Gayo", "price": 50_000, "stock": 10}


@dataclass(frozen=True)
class OrdersHarness:
    """One orders service, and what it publishes."""

    service: Service
    actors: Actors
    recorder: EventRecorder

    def buyer(self, client: str = "app") -> Person:
        """A new buyer."""
        return self.actors.person("buyer", client)

    def seller(self) -> Person:
        """A new seller."""
        return self.actors.person("seller")

    async def product(self, seller: Person | None = None, stock: int = 10, **changes: Any) -> str:
        """The id of a new product, by default of a new seller."""
        body = PRODUCT | {"stock": stock} | changes
        return str((await (seller or self.seller()).post("/orders/products", body, 201))["product_id"])

    async def order(self, buyer: Person, *products: str, quantity: int = 1, method: str = "dana") -> Json:
        """A new order, unpaid (or, with cash on delivery, in process)."""
        return await buyer.post("/orders", an_order(*products, quantity=quantity, method=method), 201)

    async def sold(self, status: str = "processing", client: str = "app", stock: int = 10) -> "Sale":
        """An order that has got as far as `status`."""
        buyer, seller = self.buyer(client), self.seller()
        product = await self.product(seller, stock)
        order = await self.order(buyer, product)
        sale = Sale(buyer, seller, product, str(order["order_id"]))
        for step in STEPS[: STATUSES.index(status)]:
            await (buyer if step == "pay" else seller).post(f"{sale.path}/{step}")
        return sale

    async def many(self, count: int, buyer: Person, seller: Person, status: str = "packed") -> list[str]:
        """Many orders at once, straight into the database: paid, one piece each of a product that each has alone."""
        ids = [uuid4() for _ in range(count)]
        async with self.service.uow.begin() as tx:
            await tx.connection.execute(
                "with p as (insert into products (product_id, seller_id, title, price, stock) "
                "select id, $3, 'Kopi', 1000, 0 from unnest($1::uuid[]) id), "
                "o as (insert into orders (order_id, buyer_id, seller_id, status, lines, total, payment_method, "
                "paid_amount, placed_at, version) select id, $2, $3, $4, jsonb_build_array(jsonb_build_object("
                "'product_id', id, 'title', 'Kopi', 'quantity', 1, 'unit_price', 1000)), 1000, 'dana', 1000, "
                "clock_now(), 1 from unnest($1::uuid[]) id) "
                "insert into order_history select id, 1, $4, clock_now() from unnest($1::uuid[]) id",
                ids,
                buyer.account_id,
                seller.account_id,
                status,
            )
        return [str(one) for one in ids]

    async def stock(self, product: str) -> int:
        """What is left of a product."""
        return int((await self.fetch("select stock from products where product_id = $1", UUID(product)))[0]["stock"])

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Rows of the database."""
        async with self.service.uow.begin() as tx:
            return list(await tx.connection.fetch(query, *arguments))

    async def later(self, **by: float) -> None:
        """Moves the demonstration's clock."""
        async with self.service.uow.begin() as tx:
            await clock.advance(tx.connection, timedelta(**by))

    async def request(self, sale: "Sale", channel: str = "chat", **changes: Any) -> OrderCancelRequested:
        """Publishes a request of chat or customer service to cancel; returns when orders has decided."""
        request = a_request(sale, channel, **changes)
        await publish_as(self.recorder.bus, channel, request)
        return request


@dataclass(frozen=True)
class Sale:
    """An order with its buyer and seller."""

    buyer: Person
    seller: Person
    product: str
    order_id: str

    @property
    def path(self) -> str:
        """Where it is found."""
        return f"/orders/{self.order_id}"

    async def seen(self) -> Json:
        """The order as the buyer sees it."""
        return await self.buyer.get(self.path)


def an_order(*products: str, quantity: int = 1, method: str = "dana") -> Json:
    """The body of an order."""
    lines = [{"product_id": product, "quantity": quantity} for product in products]
    return {"lines": lines, "payment_method": method}


def a_request(sale: Sale, way: str, **changes: Any) -> OrderCancelRequested:
    """A seller's request through the chat, or that of customer service on a silent seller; with changes."""
    who: Json = {"chat": {"requested_by": sale.seller.account_id, "role": "seller"}, "cs": {"role": "system"}}[way]
    wanted = {"cancellation_id": uuid4(), "order_id": sale.order_id, "channel": way, "requested_by": None}
    return OrderCancelRequested.model_validate(wanted | who | changes)


@asynccontextmanager
async def open_harness(url: str, keys: Keys, **env: str) -> AsyncIterator[OrdersHarness]:
    """Runs the service in demonstration mode, so that time can be moved; `env` holds further settings."""
    environment = Environment({"TOKEN_KEYS": str(keys.token_keys), "DEMONSTRATION": "1", **env})
    bus = MemoryBus()
    service = build(Settings.read("orders", environment), environment, url, bus)
    async with (
        recording_service(bus, "refunds", "orders", SPEC.publishes) as recorder,
        httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://orders") as http,
        service.running(),
    ):
        await service.until_ready()
        yield OrdersHarness(service, Actors(keys, http), recorder)
