"""The worker that calls the receivers of webhooks.

A webhook with something to send has a deadline. When it fires, the worker saves its intent and commits; then it calls
the receiver, outside of any transaction; then it saves the answer. After a crash in between the deadline fires again,
and the receiver gets the message once more, under the same id. A webhook has one call at a time, so that a slow
receiver delays only itself.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from runtime.messaging.deadlines import Locking
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.storage.database_errors import is_transient
from services.notifications import domain, metrics, store, webhooks
from services.notifications.domain import Answer, Delivery, Notice, Side, State
from services.notifications.notifier import Notifier
from services.notifications.receivers import AT_ONCE, Receivers
from services.notifications.webhooks import SEND, Webhook

FULL = timedelta(seconds=1)
"""After this a webhook comes back for which there was no room."""
STOPPING = 1.0
"""Seconds that calls under way may take when the service stops; a cancelled one is made again."""

log = logging.getLogger(__name__)


class Sender:
    """Takes the next step of each webhook that is due."""

    def __init__(self, uow: UnitOfWork, receivers: Receivers, notifier: Notifier) -> None:
        self._uow = uow
        self._receivers = receivers
        self._notifier = notifier
        self._calls: set[asyncio.Task[None]] = set()
        self._deciding: Transaction | None = None
        self._decided = 0

    def deadline(self) -> Locking:
        """The deadline of a webhook."""
        return Locking(self.due, _lock)

    async def due(self, tx: Transaction, subject: str) -> Sequence[Event]:
        """Calls the receiver of one webhook, if there is something to send and room for a call."""
        if tx is not self._deciding:
            self._deciding, self._decided = tx, 0
        webhook, now = await webhooks.lock_one(tx, UUID(subject)), await tx.now()
        found = await webhooks.next_delivery(tx, webhook.webhook_id) if webhook else None
        if webhook is None or found is None:
            return []
        delivery, body = found
        if (wait := _wait(webhook, delivery, now)) or len(self._calls) + self._decided >= AT_ONCE:
            await tx.schedule(SEND, subject, wait or FULL)
            return []
        calling = domain.tried(delivery, now)
        await webhooks.save_delivery(tx, calling)
        await webhooks.save(tx, replace(webhook, not_before=calling.next_attempt_at))
        await tx.schedule(SEND, subject, domain.IN_HAND)
        self._decided += 1
        tx.after_commit(lambda: self._start(webhook, calling, body))
        return []

    async def finish(self, within: float = STOPPING) -> None:
        """Waits up to `within` seconds for the calls under way, and cancels the rest."""
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=within)
            for call in late:
                call.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._receivers.close()

    def _start(self, webhook: Webhook, delivery: Delivery, body: str) -> None:
        task = asyncio.create_task(self._call(webhook, delivery, body))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call(self, webhook: Webhook, delivery: Delivery, body: str) -> None:
        try:
            answer = await self._receivers.post(webhook.url, webhook.secret, delivery.message, body.encode())
            metrics.ATTEMPTS.labels(self._uow.service, answer.error or "delivered").inc()
            async with self._uow.begin() as tx:
                await self._learn(tx, webhook, delivery, answer)
        except Exception as error:
            # The deadline is still set: the message is sent again when it fires.
            level = logging.WARNING if is_transient(error) else logging.ERROR
            log.log(level, "the answer about the delivery %s was not saved: %r", delivery.delivery_id, error)

    async def _learn(self, tx: Transaction, called: Webhook, calling: Delivery, answer: Answer) -> None:
        """Saves what was learnt, and schedules the next step."""
        if answer.error is not None:
            await store.lock_people(tx, [called.seller_id])  # who may be told below; people come before webhooks
        webhook, now = await webhooks.lock_one(tx, called.webhook_id), await tx.now()
        delivery = await webhooks.delivery(tx, called.webhook_id, calling.delivery_id)
        if webhook is None or delivery is None or webhook.not_before != calling.next_attempt_at:
            return  # deleted, or the call took so long that another replica has made it again
        after = domain.answered(delivery, answer, now, disabled=webhook.disabled_at is not None)
        await webhooks.save_delivery(tx, after)
        if after.state is State.DELIVERED:
            webhook = replace(webhook, failures=0, not_before=None, disabled_at=None)
        else:
            failures = webhook.failures + 1
            webhook = replace(webhook, failures=failures, not_before=now + domain.pause(failures))
            if after.state is State.FAILED and webhook.disabled_at is None:
                webhook = replace(webhook, disabled_at=now)
                await webhooks.give_up(tx, webhook.webhook_id)
                await self._report(tx, webhook, answer)
        await webhooks.save(tx, webhook)
        found = await webhooks.next_delivery(tx, webhook.webhook_id)
        if found is None:
            await tx.call_off(SEND, str(webhook.webhook_id))
        else:
            await tx.schedule(SEND, str(webhook.webhook_id), _wait(webhook, found[0], now))

    async def _report(self, tx: Transaction, webhook: Webhook, answer: Answer) -> None:
        """Tells the seller that the webhook is disabled."""
        facts = {"webhook_id": str(webhook.webhook_id), "url": webhook.url, **vars(answer)}
        notice = Notice(Side.SELLER, domain.WEBHOOK_DISABLED, webhook.webhook_id, None, facts)
        await self._notifier.tell(tx, [(webhook.seller_id, notice, None)])


async def ask_again(tx: Transaction, seller_id: UUID, webhook_id: UUID, delivery_id: UUID) -> Delivery | None:
    """Has a delivery of the seller's webhook sent again; None if there is none."""
    webhook = await webhooks.lock_one(tx, webhook_id)
    delivery = await webhooks.delivery(tx, webhook_id, delivery_id)
    if webhook is None or webhook.seller_id != seller_id or delivery is None:
        return None
    asked = domain.again(delivery, await tx.now())
    await webhooks.save_delivery(tx, asked)
    await tx.schedule(SEND, str(webhook_id), timedelta(0))
    return asked


def _wait(webhook: Webhook, delivery: Delivery, now: datetime) -> timedelta:
    """How long until the webhook's receiver may be called."""
    moments = [moment for moment in (delivery.next_attempt_at, webhook.not_before) if moment]
    return max([timedelta(0), *(moment - now for moment in moments)])


async def _lock(tx: Transaction, subjects: Sequence[str]) -> None:
    await webhooks.lock(tx, [UUID(subject) for subject in subjects])
