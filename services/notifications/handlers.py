"""Handlers of the events that `notifications` consumes. All work alike: what `domain.notices` says is told at once or,
while it is not known to whom, kept until the order is placed."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from contracts import events_for
from contracts.orders import OrderPlaced
from runtime.messaging.consumer import BatchHandler, Handlers
from runtime.messaging.envelope import Envelope
from runtime.messaging.unit_of_work import Transaction
from services.notifications import domain, store, webhooks
from services.notifications.domain import Order
from services.notifications.notifier import Notifier, Told

HANDLERS = events_for("notifications")


async def tell(notifier: Notifier, tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
    """Tells people of some events of one type. An event that is there twice is told once."""
    events = [envelope.data for envelope in envelopes]
    orders = await store.orders(tx, [event.order_id for event in events if event.order_id])
    told: list[Told] = []
    early = []
    for event in events:
        for notice in domain.notices(event):
            order = orders.get(event.order_id)
            account_id = getattr(event, f"{notice.side}_id", None) or (order.account(notice.side) if order else None)
            if account_id is None:
                early.append(notice)
            else:
                told.append((account_id, notice, order))
    await store.keep(tx, early)
    if isinstance(events[0], OrderPlaced):
        for notice in await store.take_early(tx, list(orders)):
            order = orders.get(notice.order_id) if notice.order_id else None
            if order and (account_id := order.account(notice.side)):
                told.append((account_id, notice, order))
    if told:
        with tx.caused_by(envelopes[0]):
            await notifier.tell(tx, told)


async def lock(tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
    """Stores and locks the orders of a batch, and locks their people and their webhooks, before the first event is
    handled."""
    events = [envelope.data for envelope in envelopes]
    orders = [_order(event) for event in events if event.order_id]
    await store.learn(tx, orders)
    named = [getattr(event, side, None) for event in events for side in ("buyer_id", "seller_id")]
    people = [one for one in named if one], [order.order_id for order in orders]
    await store.lock_people(tx, *people)
    await webhooks.lock_of(tx, *people)


def _order(event: Any) -> Order:
    if isinstance(event, OrderPlaced):
        return Order(event.order_id, event.buyer_id, event.seller_id, domain.headline(event.lines))
    return Order(event.order_id)


def handlers(notifier: Notifier) -> Handlers:
    """The handlers, which tell people through `notifier`."""
    return {event: BatchHandler(partial(tell, notifier), lock) for event in HANDLERS}
