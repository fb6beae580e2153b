"""Buyers and agents at customer service, and the services around it."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.chat import SellerReplied
from contracts.orders import OrderCancelled, OrderCancelRejected, OrderCancelRequested, RejectionCode
from contracts.words import Channel, Fault
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import Event
from runtime.observability.trace_context import TraceContext, new_id
from tests.harness.actors import Json, Person
from tests.harness.deals import Deal
from tests.harness.event_recorder import EventJson, EventRecorder
from tests.harness.publishing import publish_as
from tests.harness.waiting import eventually


class Customer(Person):
    """A buyer or an agent, at customer service."""

    async def send(self, path: str, status: int = 200, **body: Any) -> Json:
        """The JSON of the answer to a POST, which must have this status."""
        return await self.post(path, body, status)

    async def refused(self, path: str, **body: Any) -> str:
        """The code of a refusal."""
        response = await self.ask("POST", path, json=body)
        assert response.status_code >= 400, response.text
        assert response.headers["content-type"] == "application/problem+json"
        return str(response.json()["code"])

    async def open_case(self, text: str = "Penjual tidak menjawab.") -> Json:
        """A new case of this buyer."""
        return await self.send("/cs/cases", 201, text=text)

    async def case(self, case_id: str) -> Json:
        """The state of a case."""
        return await self.get(f"/cs/cases/{case_id}")

    async def codes(self, case_id: str) -> list[str]:
        """The codes of the system messages of a case, in their order."""
        return [message["code"] for message in await self.messages(case_id) if message["kind"] == "system"]

    async def messages(self, case_id: str) -> list[Json]:
        """The messages of a case, which are numbered without gaps."""
        messages: list[Json] = (await self.get(f"/cs/cases/{case_id}/messages"))["items"]
        assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
        return messages

    async def duty(self, on: bool = True) -> Json:
        """Goes on or off duty."""
        response = await self.ask("PUT", "/cs/duty", json={"on": on})
        assert response.status_code == 200, response.text
        return response.json()


@dataclass(frozen=True)
class AgentCase:
    """A case that an agent has."""

    buyer: Customer
    agent: Customer
    case_id: str

    @property
    def path(self) -> str:
        """The path of the case."""
        return f"/cs/cases/{self.case_id}"

    async def seen(self) -> Json:
        """The case, as its buyer sees it."""
        return await self.buyer.case(self.case_id)

    async def messages(self) -> list[Json]:
        """The messages so far."""
        return await self.buyer.messages(self.case_id)

    async def codes(self) -> list[str]:
        """The codes of the system messages so far."""
        return await self.buyer.codes(self.case_id)

    async def close(self, outcome: str = "withdrawn") -> Json:
        """The agent ends the case."""
        return await self.agent.send(f"{self.path}/close", outcome=outcome)

    async def back(self) -> None:
        """Waits until the agent has the case again."""
        await eventually(self.seen, enough=lambda case: case["agent_id"] == str(self.agent.account_id))


@dataclass(frozen=True)
class Contacted(AgentCase):
    """A case in which the seller has been contacted."""

    deal: Deal
    respond_by: datetime

    @property
    def order_id(self) -> str:
        """The order that the seller was asked about."""
        return str(self.deal.order_id)

    @property
    def replied(self) -> SellerReplied:
        """The seller has answered."""
        return self.deal.replied(UUID(self.case_id))


class EventPublisher:
    """Publishes in the name of other services, in the order of their subjects."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self._sequences: Counter[tuple[str, str]] = Counter()

    async def deliver(self, event: Event, **more: Any) -> None:
        """Publishes an event; returns when it has been handled. `more`: see `publish_as`."""
        source = event.published_by[0]
        self._sequences[source, event.subject] += 1
        await publish_as(self.bus, source, event, sequence=self._sequences[source, event.subject], **more)


class OrdersStandIn(EventRecorder):
    """Records the events of `cs`, and answers its requests to cancel as `orders` does."""

    def __init__(self, publisher: EventPublisher) -> None:
        super().__init__(publisher.bus, on_event=self._answer_request)
        self.rejects: dict[str, RejectionCode] = {}
        """The orders that are not cancelled, and why not; the others are."""
        self.silent: set[str] = set()
        """The orders about which no answer is given."""
        self.answers = True
        self._publisher = publisher

    async def _answer_request(self, event: EventJson) -> None:
        if event["type"] == "OrderCancelRequested" and self.answers and event["subject"] not in self.silent:
            await self.answer(event)

    async def answer(self, event: EventJson) -> None:
        """Decides on a request as `orders` does."""
        asked = OrderCancelRequested.model_validate(event["data"])
        context = TraceContext(UUID(event["correlationid"]), UUID(event["causationid"]), event["traceparent"])
        answer: Event = cancelled(asked.order_id, asked.cancellation_id, asked.channel)
        if code := self.rejects.get(str(asked.order_id)):
            ids = {"cancellation_id": asked.cancellation_id, "order_id": asked.order_id}
            answer = OrderCancelRejected(**ids, code=code, detail="no")
        await self._publisher.deliver(answer, context=context.caused_by(UUID(event["id"])))

    def of_type(self, kind: str, **data: str) -> list[EventJson]:
        """The events of this type with these data so far."""
        return [event for event in self.events if event["type"] == kind and data.items() <= event["data"].items()]

    async def first(self, kind: str, **data: str) -> EventJson:
        """The first event of this type with these data, once it has arrived."""
        await self.until(lambda: bool(self.of_type(kind, **data)))
        return self.of_type(kind, **data)[0]


def cancelled(order_id: UUID, cancellation_id: UUID, channel: Channel | str, paid: int = 100) -> OrderCancelled:
    """The order is cancelled."""
    ids = {"cancellation_id": cancellation_id, "order_id": order_id, "buyer_id": new_id(), "seller_id": new_id()}
    return OrderCancelled(**ids, channel=channel, paid_amount=paid, fault=Fault.SELLER)
