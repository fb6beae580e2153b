"""The refunds service, running in the test's own process, and the DANA simulator that it pays through."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI

from batalkan.keys import Keys
from contracts.orders import OrderCancelled, OrderItemsCancelled
from contracts.words import Channel, Fault
from runtime.messaging.bus.memory import MemoryBus
from runtime.observability.trace_context import new_id
from runtime.service import Service
from runtime.settings import Environment, Settings
from runtime.storage import clock
from services.refunds.main import SPEC, build
from simulators.dana import faults
from simulators.dana.journal import AccountState
from tests.harness.actors import Actors, Json, Person
from tests.harness.event_recorder import EventJson, EventRecorder, recording_service
from tests.harness.publishing import publish_as
from tests.harness.waiting import TIMEOUT


@dataclass(frozen=True)
class Dana:
    """The simulator's faults, accounts and journal."""

    app: FastAPI

    def fails(self, mode: str = "none", **more: Any) -> None:
        """Switches a fault on."""
        self.app.state.faults.current = faults.Fault.model_validate({"mode": mode} | more)

    def wakes(self) -> None:
        """Switches faults off, and answers the calls that hang."""
        self.fails()
        self.app.state.faults.stop()

    async def account(self, phone: str, state: AccountState) -> None:
        """Freezes, closes or opens the account of a number."""
        await self.app.state.journal.within(lambda tx: tx.set_account(phone, state))

    async def settle(self, state: str = "paid") -> None:
        """Ends what is pending."""
        await self.app.state.journal.within(lambda tx: tx.settle(state))

    async def rows(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        """Rows of the journal."""
        found: list[dict[str, Any]] = await self.app.state.journal.within(lambda tx: tx.rows(query, *arguments))
        return found

    async def paid(self) -> dict[str, int]:
        """What was paid, by reference."""
        rows = await self.rows("select reference, amount from payments where state = 'paid'")
        return {row["reference"]: row["amount"] for row in rows}

    async def called(self, service: str) -> int:
        """How many calls of a SNAP service have reached the simulator: 37 inquires accounts, 38 pays."""
        return len(await self.rows("select id from requests where service = ?", service))

    async def calls(self, refund_id: str) -> list[str]:
        """The SNAP services that were called for a refund, in order: 38 pays, 39 queries."""
        reference = UUID(refund_id).hex
        rows = await self.rows("select service from requests where reference = ? order by id", reference)
        return [row["service"] for row in rows]


@dataclass(frozen=True)
class RefundsHarness:
    """One refunds service, what it publishes, and its DANA."""

    service: Service
    actors: Actors
    recorder: EventRecorder
    dana: Dana

    async def buyer(self, *, linked: bool = False) -> "Customer":
        """A new buyer, with a DANA wallet linked or without."""
        phone = f"628{random.randint(10**9, 10**10 - 1)}".replace("6280", "6281", 1)
        customer = Customer(self, self.actors.person("buyer"), phone)
        if linked:
            await customer.link()
        return customer

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Rows of the database."""
        async with self.service.uow.begin() as tx:
            return list(await tx.connection.fetch(query, *arguments))

    async def later(self, by: timedelta) -> None:
        """Moves the demonstration's clock, and fires what is due now."""
        async with self.service.uow.begin() as tx:
            await clock.advance(tx.connection, by)
        self.service.uow.wake_deadlines()

    async def until(self, moment: str) -> None:
        """Moves the clock to a moment that an event named."""
        async with self.service.uow.begin() as tx:
            wait = datetime.fromisoformat(moment) - await tx.now()
        await self.later(max(wait, timedelta(0)) + timedelta(milliseconds=1))

    async def carry_on(self, order_id: str) -> list[EventJson]:
        """Skips every pause until the refund is issued; returns its events."""
        for skipped in itertools.count():
            await self.recorder.until(lambda at_least=skipped: len(self.recorder.about(order_id)) > at_least)  # type: ignore[misc]
            events = self.recorder.about(order_id)
            if events[-1]["type"] == "RefundIssued":
                return events
            await self.until(events[-1]["data"]["next_attempt_at"])
        raise AssertionError

    async def agrees(self) -> None:
        """The ledger sums to zero, nothing is in transit, and ledger and DANA's journal agree."""
        rows = await self.fetch(
            "select account, refund_id, sum(amount)::bigint as amount from ledger_entries "
            "join ledger_transactions using (transaction_id) group by account, refund_id having sum(amount) <> 0"
        )
        at = {(row["account"], row["refund_id"].hex): row["amount"] for row in rows}
        assert sum(at.values()) == 0
        assert not [key for key in at if key[0] == "dana_in_transit"]
        paid = await self.dana.paid()
        assert {reference: amount for (account, reference), amount in at.items() if account == "dana"} == paid
        for refund in await self.fetch("select refund_id, amount, destination, state from refunds"):
            assert refund["state"] == "issued"
            assert at[refund["destination"], refund["refund_id"].hex] == refund["amount"]
            assert at["cancelled_orders", refund["refund_id"].hex] == -refund["amount"]


@dataclass(frozen=True)
class Customer:
    """A buyer whose orders are cancelled."""

    harness: RefundsHarness
    person: Person
    phone: str

    async def link(self, phone: str | None = None) -> Json:
        """Links the DANA wallet."""
        return (await self.ask_to_link(phone or self.phone)).raise_for_status().json()

    async def ask_to_link(self, phone: str) -> httpx.Response:
        """The answer to linking the DANA wallet of a number."""
        return await self.person.ask("PUT", "/refunds/wallet/dana", {"phone": phone})

    async def unlink(self) -> Json:
        """Unlinks it."""
        return (await self.person.ask("DELETE", "/refunds/wallet/dana")).raise_for_status().json()

    async def wallet(self) -> Json:
        """The wallet."""
        return await self.person.get("/refunds/wallet")

    async def refunds(self) -> list[Json]:
        """The refunds, newest first."""
        found: list[Json] = (await self.person.get("/refunds"))["items"]
        return found

    def cancelled(self, amount: int = 150_000) -> OrderCancelled:
        """An order of this buyer is cancelled."""
        return OrderCancelled(
            cancellation_id=new_id(),
            order_id=uuid4(),
            buyer_id=self.person.account_id,
            seller_id=uuid4(),
            channel=Channel.APP,
            paid_amount=amount,
            fault=Fault.BUYER,
        )

    def part(self, order_id: UUID, amount: int = 50_000) -> OrderItemsCancelled:
        """A part of an order of this buyer is cancelled."""
        cancelled = self.cancelled().model_copy(update={"order_id": order_id})
        return OrderItemsCancelled.model_validate(vars(cancelled) | {"lines": (), "refund_amount": amount})

    async def cancel(self, amount: int = 150_000) -> str:
        """The id of an order whose cancellation refunds has consumed."""
        event = self.cancelled(amount)
        await publish_as(self.harness.recorder.bus, "orders", event)
        return str(event.order_id)

    async def refunded(self, amount: int = 150_000) -> tuple[Json, Sequence[EventJson]]:
        """A refund from the cancellation to its end, and its events."""
        events = await self.harness.carry_on(await self.cancel(amount))
        return (await self.refunds())[0], events


def recording() -> AbstractAsyncContextManager[EventRecorder]:
    """A bus, and a recorder of what refunds publishes on it."""
    return recording_service(MemoryBus(), "orders", "refunds", SPEC.publishes)


@dataclass(frozen=True)
class RefundsSetup:
    """The parts for one or more refunds services of a test's own."""

    url: str
    keys: Keys
    dana: Dana
    recorder: EventRecorder

    @asynccontextmanager
    async def opened(self, timeout: str = "8") -> AsyncIterator[RefundsHarness]:
        """Runs the service on the database, in demonstration mode; several on one database are replicas."""
        variables = {"TOKEN_KEYS": str(self.keys.token_keys), "DANA_PRIVATE_KEY": str(self.keys.dana_private_key)}
        env = Environment(variables | {"DANA_URL": "http://dana", "DANA_TIMEOUT": timeout, "DEMONSTRATION": "1"})
        transport = httpx.ASGITransport(self.dana.app)
        service = build(Settings.read("refunds", env), env, self.url, self.recorder.bus, transport)
        async with (
            httpx.AsyncClient(transport=httpx.ASGITransport(service.app), base_url="http://refunds") as http,
            service.running(),
        ):
            async with asyncio.timeout(TIMEOUT):
                await service.until_ready()
            yield RefundsHarness(service, Actors(self.keys, http), self.recorder, self.dana)
