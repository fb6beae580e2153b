"""Customer service in the test's own process, with its buyers and agents, and a stand-in for `orders`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from batalkan.keys import Keys
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.deadlines import Deadlines
from runtime.messaging.envelope import Event
from runtime.service import Service
from runtime.settings import Environment, Settings
from services.cs import agents
from services.cs.cases import SELLER_SILENT, SETTLED, Cases
from services.cs.handlers import deadlines
from services.cs.live import Dependencies
from services.cs.main import SPEC, build
from tests.conftest import Databases
from tests.harness.actors import Actors
from tests.harness.cs_actors import AgentCase, Contacted, Customer, EventPublisher, OrdersStandIn
from tests.harness.deals import Deal
from tests.harness.event_recorder import EventJson, recording_service
from tests.harness.waiting import eventually

MIGRATIONS = SPEC.migrations
SETTLING = 0.05
HOUR = timedelta(hours=1)
OF_THE_24_HOURS = (SELLER_SILENT, SETTLED)

_TIME = "create or replace function clock_now() returns timestamptz language sql stable return"
_REAL_TIME = f"{_TIME} now() + (select shift from clock)"  # noqa: S608 (a constant)


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

    async def deliver(self, *events: Event, **more: Any) -> None:
        """Publishes events of other services; returns when they have been handled. `more`: see `publish_as`."""
        for event in events:
            await self.publisher.deliver(event, **more)

    async def order(self, buyer: Customer) -> Deal:
        """A paid order of the buyer that `cs` knows."""
        deal = Deal(uuid4(), buyer, self.actors.person("seller"))
        await self.deliver(deal.placed(), deal.moved("processing"))
        return deal

    async def active(self) -> AgentCase:
        """A new case with an agent."""
        agent, buyer = await self.agent_on_duty(), self.buyer()
        case = await buyer.open_case()
        assert case["agent_id"] == str(agent.account_id)
        return AgentCase(buyer, agent, case["case_id"])

    async def contacted(self) -> Contacted:
        """A case whose seller has just been contacted."""
        return await self.contact(await self.active())

    async def contact(self, case: AgentCase) -> Contacted:
        """The buyer hands an order over, and the agent contacts its seller."""
        deal = await self.order(case.buyer)
        await case.buyer.send(f"{case.path}/order", order_id=str(deal.order_id))
        shown = await case.agent.send(f"{case.path}/contact-seller")
        assert shown["state"] == "awaiting_seller"
        return Contacted(**vars(case), deal=deal, respond_by=datetime.fromisoformat(shown["respond_by"]))

    async def becomes(self, case_id: str | UUID, state: str) -> None:
        """Waits until a case has that state."""
        sql = "select exists (select from cases where case_id = $1 and state = $2)"
        await eventually(lambda: self.fetch(sql, case_id, state), enough=any)


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
