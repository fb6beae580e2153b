"""What `orders` does about what it hears."""

from collections.abc import Sequence

from contracts.orders import OrderCancelled, OrderCancelRequested
from contracts.refunds import RefundDelayed, RefundIssued
from runtime.events import Envelope, Event
from runtime.inbox import Handlers, Together
from runtime.work import Transaction
from services.orders import domain, store


async def lock(tx: Transaction, heard: Sequence[Envelope[OrderCancelRequested]]) -> None:
    """All orders that are to be cancelled, before any stock is given back: a buyer's own cancelling holds an order and
    waits for the stock of its products, so this must not hold stock and wait for an order."""
    await store.lock_all(tx, [asked.data.order_id for asked in heard])


async def decide(tx: Transaction, heard: Sequence[Envelope[OrderCancelRequested]]) -> None:
    """Sellers (chat) or customer service (cs) want orders cancelled: grant it or say why not."""
    for asked in heard:
        order, now = await store.lock(tx, asked.data.order_id)
        if asked.source != asked.data.channel:
            order = None  # Nobody can ask in the name of another channel, not even for the right person.
        answer = domain.decide(order, asked.data, now)
        with tx.hearing(asked):
            if order is not None and isinstance(answer, OrderCancelled):
                await store.cancel(tx, order, asked.data, answer)
            if answer is not None:
                tx.publish(answer)


async def show_refunds(tx: Transaction, heard: Sequence[Envelope[RefundIssued]]) -> None:
    """The money has arrived: the orders say so."""
    await store.note_refunds(tx, [(issued.data.order_id, _issued(issued.data), issued.sequence) for issued in heard])


def _issued(told: RefundIssued) -> domain.Refund:
    return domain.Refund(told.refund_id, "issued", told.amount, told.destination)


async def show_delay(tx: Transaction, delayed: RefundDelayed) -> Sequence[Event]:
    """The money is late: the order says so, and does not claim otherwise."""
    order, _ = await store.read(tx, delayed.order_id)
    if order is not None:
        refund = domain.Refund(delayed.refund_id, "sending", order.paid_amount, delayed.destination)
        await store.note_refunds(tx, [(delayed.order_id, refund, tx.sequence)])
    return []


HANDLERS: Handlers = {
    OrderCancelRequested: Together(decide, lock),
    RefundIssued: Together(show_refunds),
    RefundDelayed: show_delay,
}
