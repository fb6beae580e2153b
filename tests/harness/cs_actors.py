"""Buyers and agents at customer service, and the services around it."""

from collections import Counter
from typing import Any
from uuid import UUID

from contracts.orders import OrderCancelled, OrderCancelRejected, OrderCancelRequested, RejectionCode
from contracts.words import Channel, Fault
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import Event
from runtime.observability.trace_context import TraceContext, new_id
from tests.harness import publishing
from tests.harness.actors import Json, Person
from tests.harness.event_recorder import EventJson, EventRecorder


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
        messages = (await self.get(f"/cs/cases/{case_id}/messages"))["items"]
        assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
        return [message["code"] for message in messages if message["kind"] == "system"]

    async def duty(self, on: bool = True) -> Json:
        """Goes on or off duty."""
        response = await self.ask("PUT", "/cs/duty", json={"on": on})
        assert response.status_code == 200, response.text
        return response.json()


class EventPublisher:
    """Publishes in the name of other services, in the order of their subjects."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self._sequences: Counter[tuple[str, str]] = Counter()

    async def publish_as(self, source: str, event: Event, **more: Any) -> None:
        """Publishes an event; returns when it has been handled. `more`: see `publishing.publish_as`."""
        self._sequences[source, event.subject] += 1
        await publishing.publish_as(self.bus, source, event, sequence=self._sequences[source, event.subject], **more)


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
        await self._publisher.publish_as("orders", answer, context=context.caused_by(UUID(event["id"])))

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
