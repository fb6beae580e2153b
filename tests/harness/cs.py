"""Customer service in the test's own process, with its buyers and agents, and a stand-in for `orders`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from batalkan.keys import Keys
from contracts.chat import SellerReplied
from contracts.orders import (
    OrderLine,
    OrderPaid,
    OrderPlaced,
)
from contracts.words import PaymentMethod
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.deadlines import Deadlines
from runtime.service import Service
from runtime.settings import Environment, Settings
from services.cs import agents
from services.cs.cases import SELLER_SILENT, SETTLED, Cases
from services.cs.handlers import deadlines
from services.cs.live import Dependencies
from services.cs.main import SPEC, build
from tests.conftest import Databases
from tests.harness.actors import Actors
from tests.harness.cs_actors import Customer, EventPublisher, OrdersStandIn
from tests.harness.event_recorder import EventJson, recording_service
from tests.harness.waiting import eventually

MIGRATIONS = SPEC.migrations
SETTLING = 0.05
HOUR = timedelta(hours=1)
OF_THE_24_HOURS = (SELLER_SILENT, SETTLED)

_TIME = "create or replace function clock_now() returns timestamptz language sql stable return"
_REAL_TIME = f"{_TIME} now() + (select shift from clock)"  # noqa: S608 (a constant)


@dataclass
class Contacted:
    """A case in which the seller has been contacted."""

    buyer: Customer
    agent: Customer
    case_id: str
    order_id: str
    seller_id: str
    respond_by: datetime


class CsHarness:
    """The replicas of the service on one database, with their people and their bus."""

    def __init__(
        self, services: list[Service], actors: Actors, publisher: EventPublisher, recorder: OrdersStandIn
    ) -> None:
        self.services = services
        self.actors = actors
        self.publisher = publisher
        self.recorder = recorder
        self.runs: list[AsyncExitStack] = []
        """Each running replica, which a test may stop."""
        self.https = [
            httpx.AsyncClient(transport=httpx.ASGITransport(one.app), base_url="http://cs") for one in services
        ]

    @property
    def service(self) -> Service:
        """One of the replicas."""
        return self.services[0]

    @property
    def dependencies(self) -> Dependencies:
        """What its routes need."""
        dependencies: Dependencies = self.service.app.state.dependencies
        return dependencies

    @property
    def cases(self) -> Cases:
        """Its process manager."""
        return self.dependencies.cases

    def person(self, role: str, account_id: UUID | None = None, http: httpx.AsyncClient | None = None) -> Customer:
        """A person at one of the replicas, new if no account is named."""
        person = self.actors.person(role, account_id=account_id)
        return Customer(person.account_id, http or self.https[0], person.token)

    def buyer(self) -> Customer:
        """A new buyer."""
        return self.person("buyer")

    def agent(self) -> Customer:
        """A new agent."""
        return self.person("agent")

    async def agent_on_duty(self) -> Customer:
        """A new agent, on duty."""
        agent = self.agent()
        await agent.duty()
        return agent

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        """The rows of a query; single columns by themselves."""
        async with self.service.uow.database.connection() as connection:
            rows = await connection.fetch(query, *arguments)
        return [row[0] if len(row) == 1 else tuple(row) for row in rows]

    async def stand_still(self, at: datetime) -> None:
        """Stops the clock of the database, as the service sees it."""
        await self.fetch(f"{_TIME} timestamptz '{at.isoformat()}'")

    async def resume_clock(self, at: datetime) -> None:
        """The clock of the database goes on from this time."""
        await self.fetch(_REAL_TIME)
        await self.fetch("update clock set shift = $1 - now()", at)

    async def run_out(self, case: Contacted) -> EventJson:
        """Lets the 24 hours end; returns the request that follows."""
        await self.resume_clock(case.respond_by)

        async def ask() -> list[EventJson]:
            await self.fire()
            return self.recorder.of_type("OrderCancelRequested", order_id=case.order_id)

        return (await eventually(ask))[0]

    async def fire(self, *kinds: str) -> int:
        """Fires the deadlines that are due, of the 24 hours if no kinds are named; returns their number."""
        due = {kind: handler for kind, handler in deadlines(self.cases).items() if kind in (kinds or OF_THE_24_HOURS)}
        return await Deadlines(self.service.uow, due).fire_due()

    async def clean(self) -> None:
        """Deletes everything that a test has left."""
        await eventually(self._empty)
        await self.fetch(_REAL_TIME)
        await self.fetch("update clock set shift = interval '0'")
        self.cases.settling, self.cases.max_cases = timedelta(seconds=SETTLING), 3

    async def _empty(self) -> bool:
        """Whether it is done; tasks that the test has left running may hold the same rows, in another order."""
        try:
            async with self.service.uow.begin() as tx:
                await agents.in_turn(tx)
                await tx.connection.execute("lock table cases in exclusive mode")
                for table in ("messages", "cases", "agents", "orders", "accounts", "deadlines", "outbox"):
                    await tx.connection.execute(f"delete from {table}")  # noqa: S608 (names)
        except asyncpg.DeadlockDetectedError:
            return False
        return True

    async def order(self, buyer: Customer, paid: bool = True) -> tuple[str, str]:
        """An order of the buyer that `cs` knows, and its seller."""
        order_id, seller_id = uuid4(), uuid4()
        line = OrderLine(product_id=uuid4(), title="Kopi", quantity=2, unit_price=50)
        placed = OrderPlaced(
            order_id=order_id,
            buyer_id=buyer.account_id,
            seller_id=seller_id,
            lines=(line,),
            total=100,
            payment_method=PaymentMethod.DANA,
            placed_at=datetime.fromisoformat("2026-03-01T09:00:00Z"),
        )
        await self.publisher.publish_as("orders", placed)
        if paid:
            await self.publisher.publish_as(
                "orders", OrderPaid(order_id=order_id, buyer_id=buyer.account_id, amount=100)
            )
        return str(order_id), str(seller_id)

    async def active(self) -> tuple[Customer, Customer, str]:
        """A new case with an agent: its buyer, the agent, the case."""
        agent, buyer = await self.agent_on_duty(), self.buyer()
        case = await buyer.open_case()
        assert case["agent_id"] == str(agent.account_id)
        return buyer, agent, case["case_id"]

    async def contacted(self) -> Contacted:
        """A case whose seller has just been contacted."""
        buyer, agent, case_id = await self.active()
        order_id, seller_id = await self.order(buyer)
        await buyer.send(f"/cs/cases/{case_id}/order", order_id=order_id)
        case = await agent.send(f"/cs/cases/{case_id}/contact-seller")
        assert case["state"] == "awaiting_seller"
        return Contacted(buyer, agent, case_id, order_id, seller_id, datetime.fromisoformat(case["respond_by"]))

    def reply(self, case: Contacted) -> SellerReplied:
        """The seller has answered."""
        return SellerReplied(case_id=UUID(case.case_id), order_id=UUID(case.order_id), seller_id=UUID(case.seller_id))

    async def becomes(self, case_id: str | UUID, state: str) -> None:
        """Waits until a case has that state."""
        await eventually(self.states, enough={str(case_id): state}.items().__le__)

    async def states(self) -> Any:
        """The states of all cases."""
        return {str(one): state for one, state in await self.fetch("select case_id, state from cases")}.items()


@asynccontextmanager
async def open_harness(
    databases: Databases,
    keys: Keys,
    replicas: int = 1,
    *,
    url: str = "",
    publisher: EventPublisher | None = None,
    fires: bool = True,
    **env: str,
) -> AsyncIterator[CsHarness]:
    """Runs the service, on a new database and a new bus unless those of an earlier run are given. With `fires` false,
    deadlines wait for the test."""
    url = url or await databases.migrated("cs", MIGRATIONS)
    variables = {"TOKEN_KEYS": str(keys.token_keys), "DEMONSTRATION": "1", "SETTLING": str(SETTLING)}
    variables |= {"REDIS_URL": f"memory://{uuid4()}"} | env
    environment = Environment(variables)
    settings = Settings.read("cs", environment)
    publisher = publisher or EventPublisher(MemoryBus())
    async with AsyncExitStack() as stack:
        recorder = OrdersStandIn(publisher)
        await stack.enter_async_context(recording_service(publisher.bus, "chat", "cs", SPEC.publishes, recorder))
        services = [build(settings, environment, url, publisher.bus) for _ in range(replicas)]
        harness = CsHarness(services, Actors(keys, httpx.AsyncClient()), publisher, recorder)
        for service in services if not fires else []:
            service._deadlines.clear()
        for service, http in zip(services, harness.https, strict=True):
            await stack.enter_async_context(http)
            run = AsyncExitStack()
            await run.enter_async_context(service.running())
            harness.runs.append(await stack.enter_async_context(run))
        await asyncio.gather(*(service.until_ready() for service in services))
        yield harness
