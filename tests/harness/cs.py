"""Customer service, running in the test's own process, with everybody who has to do with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import httpx

from batalkan.keys import Keys
from contracts.chat import SellerReplied
from contracts.orders import OrderLine, OrderPaid, OrderPlaced
from contracts.words import PaymentMethod
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.deadlines import Deadlines
from runtime.service import Service
from runtime.settings import Environment, Settings
from services.cs import agents
from services.cs.api import Dependencies
from services.cs.handlers import deadlines
from services.cs.main import SPEC, build
from services.cs.office import SELLER_SILENT, SETTLED, Office
from tests.conftest import Databases
from tests.harness.cs_actors import People, Person
from tests.harness.cs_events import TIMEOUT, EventJson, EventPublisher, EventRecorder

MIGRATIONS = SPEC.migrations
SETTLING = 0.05
HOUR = timedelta(hours=1)
OF_THE_24_HOURS = (SELLER_SILENT, SETTLED)
T = TypeVar("T")

_TIME = "create or replace function clock_now() returns timestamptz language sql stable return"
_REAL_TIME = f"{_TIME} now() + (select shift from clock)"  # noqa: S608 (a constant)


@dataclass
class Contacted:
    """A case in which the seller has been written to."""

    buyer: Person
    agent: Person
    case_id: str
    order_id: str
    seller_id: str
    respond_by: datetime


class CsHarness:
    """The replicas of the service on one database, and what is around them."""

    def __init__(
        self, services: list[Service], people: People, publisher: EventPublisher, recorder: EventRecorder
    ) -> None:
        self.services = services
        self.people = people
        self.publisher = publisher
        self.recorder = recorder
        self.lives: list[AsyncExitStack] = []
        """The life of each replica, which a test may end."""
        self.https = [
            httpx.AsyncClient(transport=httpx.ASGITransport(one.app), base_url="http://cs") for one in services
        ]

    @property
    def service(self) -> Service:
        """One of the replicas."""
        return self.services[0]

    @property
    def dependencies(self) -> Dependencies:
        """What its routes work with."""
        dependencies: Dependencies = self.service.app.state.dependencies
        return dependencies

    @property
    def office(self) -> Office:
        """Its office."""
        return self.dependencies.office

    def buyer(self) -> Person:
        """A new buyer."""
        return self.people.person("buyer", http=self.https[0])

    def agent(self) -> Person:
        """A new agent."""
        return self.people.person("agent", http=self.https[0])

    async def agent_on_duty(self) -> Person:
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
        """Stops the database's clock, as the service sees it."""
        await self.fetch(f"{_TIME} timestamptz '{at.isoformat()}'")

    async def go_on(self, at: datetime) -> None:
        """From this time on, the database's clock goes."""
        await self.fetch(_REAL_TIME)
        await self.fetch("update clock set shift = $1 - now()", at)

    async def run_out(self, case: Contacted) -> EventJson:
        """The 24 hours have gone by; the request that follows."""
        await self.go_on(case.respond_by)

        async def ask() -> list[EventJson]:
            await self.fire()
            return self.recorder.about("OrderCancelRequested", order_id=case.order_id)

        return (await eventually(ask, bool))[0]

    async def fire(self, *kinds: str) -> int:
        """Fires what is due now, of the 24 hours if no kinds are named; says how much it was."""
        due = {kind: handler for kind, handler in deadlines(self.office).items() if kind in (kinds or OF_THE_24_HOURS)}
        return await Deadlines(self.service.uow, due).fire_due()

    async def clean(self) -> None:
        """Takes everything away that a test has left."""
        await eventually(self._empty, bool)
        await self.fetch(_REAL_TIME)
        await self.fetch("update clock set shift = interval '0'")
        self.office.settling, self.office.max_cases = timedelta(seconds=SETTLING), 3

    async def _empty(self) -> bool:
        """Whether it is done; what the test has left running may hold the same rows, in another order."""
        try:
            async with self.service.uow.begin() as tx:
                await agents.in_turn(tx)
                await tx.connection.execute("lock table cases in exclusive mode")
                for table in ("messages", "cases", "agents", "orders", "accounts", "deadlines", "outbox"):
                    await tx.connection.execute(f"delete from {table}")  # noqa: S608 (names)
        except asyncpg.DeadlockDetectedError:
            return False
        return True

    async def order(self, buyer: Person, paid: bool = True) -> tuple[str, str]:
        """An order of the buyer that `cs` has heard of, and its seller."""
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

    async def active(self) -> tuple[Person, Person, str]:
        """A case that an agent has just got: its buyer, the agent, the case."""
        agent, buyer = await self.agent_on_duty(), self.buyer()
        case = await buyer.open_case()
        assert case["agent_id"] == str(agent.account_id)
        return buyer, agent, case["case_id"]

    async def contacted(self) -> Contacted:
        """A case whose seller has just been written to."""
        buyer, agent, case_id = await self.active()
        order_id, seller_id = await self.order(buyer)
        await buyer.post(f"/cs/cases/{case_id}/order", order_id=order_id)
        case = await agent.post(f"/cs/cases/{case_id}/contact-seller")
        assert case["state"] == "awaiting_seller"
        return Contacted(buyer, agent, case_id, order_id, seller_id, datetime.fromisoformat(case["respond_by"]))

    def reply(self, case: Contacted) -> SellerReplied:
        """The seller has answered."""
        return SellerReplied(case_id=UUID(case.case_id), order_id=UUID(case.order_id), seller_id=UUID(case.seller_id))

    async def becomes(self, case_id: str | UUID, state: str) -> None:
        """Waits until a case has that state."""
        await eventually(self.states, {str(case_id): state}.items().__le__)

    async def states(self) -> Any:
        """The states of all cases."""
        return {str(one): state for one, state in await self.fetch("select case_id, state from cases")}.items()


async def eventually(ask: Callable[[], Awaitable[T]], enough: Callable[[T], bool]) -> T:
    """Asks until the answer is enough."""
    async with asyncio.timeout(TIMEOUT):
        while not enough(found := await ask()):
            await asyncio.sleep(0.01)
    return found


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
    """Runs the service, on a new database and a new bus if there are none from an earlier life. With `fires` false,
    what is due waits for the test."""
    url = url or await databases.fresh("cs", MIGRATIONS)
    variables = {"TOKEN_KEYS": str(keys.token_keys), "DEMONSTRATION": "1", "SETTLING": str(SETTLING)}
    variables |= {"REDIS_URL": f"memory://{uuid4()}"} | env
    environment = Environment(variables)
    settings = Settings.read("cs", environment)
    publisher = publisher or EventPublisher(MemoryBus())
    async with AsyncExitStack() as stack:
        recorder = await stack.enter_async_context(EventRecorder(publisher).listening())
        services = [build(settings, environment, url, publisher.bus) for _ in range(replicas)]
        harness = CsHarness(services, People(keys, httpx.AsyncClient()), publisher, recorder)
        for service in services if not fires else []:
            service._deadlines.clear()
        for service, http in zip(services, harness.https, strict=True):
            await stack.enter_async_context(http)
            life = AsyncExitStack()
            await life.enter_async_context(service.running())
            harness.lives.append(await stack.enter_async_context(life))
        await asyncio.gather(*(service.until_ready() for service in services))
        yield harness
