"""One order of locks: what sellers are told and what is sent to their webhooks at the same time never deadlocks."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from services.notifications import webhooks
from services.notifications.notifier import Notifier
from tests.harness.notifications import NotificationsHarness, Receiver, make_webhook
from tests.harness.publishing import publish_as
from tests.harness.waiting import Gate, blocked


async def test_a_batch_and_the_sender_do_not_deadlock(
    harness: NotificationsHarness, receiver: Receiver, deadlocks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch tells two sellers of events of two types, in the other order than that of their webhooks, which the
    sender takes in between."""
    deals = [harness.deal(), harness.deal()]
    made = [(await make_webhook(deal.seller, receiver.url, "OrderPaid", "OrderCancelled"), deal) for deal in deals]
    (one, first), (other, last) = sorted(made, key=lambda pair: str(pair[0]["webhook_id"]))
    both = [UUID(webhook["webhook_id"]) for webhook in (one, other)]
    await harness.deliver(first.placed(), last.placed())
    gate = Gate(monkeypatch, Notifier, "tell")
    telling = asyncio.create_task(publish_as(harness.bus, "orders", last.moved("processing"), first.cancelled()))
    await gate.reached.wait()
    sending = asyncio.create_task(take(harness, both))
    await blocked(harness.fetch)
    gate.opened.set()
    await asyncio.gather(telling, sending)
    await receiver.has(2)
    assert deadlocks == []


async def take(harness: NotificationsHarness, webhook_ids: Sequence[UUID]) -> None:
    """Locks webhooks, as the sender does with those that are due."""
    async with harness.service.uow.begin() as tx:
        await webhooks.lock(tx, webhook_ids)
