"""Tells people: adds notifications, sends them to those who are connected, and to the webhooks that want them."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from runtime.live.updates import LiveUpdates
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.notifications import store, views, webhooks
from services.notifications.domain import WEBHOOK_KINDS, Notice, Order, Side
from services.notifications.webhooks import SEND, Message

Told = tuple[UUID, Notice, Order | None]
"""An account, what it is told, and the order that it is about, as far as it is known."""


class Notifier:
    """Adds notifications within a transaction, whose accounts are locked; so are the webhooks that want them."""

    def __init__(self, live: LiveUpdates) -> None:
        self._live = live

    async def tell(self, tx: Transaction, told: Sequence[Told]) -> None:
        """Adds those that are new. A webhook is called after the commit."""
        rows = [(account_id, notice, _facts(notice, order)) for account_id, notice, order in told]
        added = await store.add(tx, rows)
        sides = {account_id: notice.side for account_id, notice, _ in told}
        for one in added:
            frame = views.frame(sides[one.account_id], one.notification, one.unread)
            self._live.send(tx, [one.account_id], frame)
        messages = [
            Message(one.account_id, new_id(), seen.kind, seen.order_id, views.message(seen), seen.at)
            for one in added
            if sides[one.account_id] is Side.SELLER and (seen := one.notification).kind in WEBHOOK_KINDS
        ]
        if messages:
            for webhook_id in await webhooks.add_deliveries(tx, messages):
                await tx.schedule(SEND, str(webhook_id), timedelta(0))

    def send_read(self, tx: Transaction, account_id: UUID, seq: int, unread: int) -> None:
        """Shows on the person's other devices what was read."""
        self._live.send(tx, [account_id], json.dumps({"type": "read", "seq": seq, "unread": unread}))


def _facts(notice: Notice, order: Order | None) -> str:
    facts: dict[str, Any] = dict(notice.data)
    if order is not None and order.title is not None:
        facts["title"] = order.title
    return json.dumps(facts)
