"""What `orders` does about what it hears."""

from collections.abc import Sequence

from contracts.orders import OrderCancelled, OrderCancelRequested
from contracts.refunds import RefundDelayed, RefundIssued
from runtime.events import Event
from runtime.inbox import Handlers
from runtime.work import Transaction
from services.orders import domain, store


async def decide(tx: Transaction, request: OrderCancelRequested) -> Sequence[Event]:
    """The seller (chat) or customer service (cs) wants an order cancelled: grant it or say why not."""
    order, now = await store.lock(tx, request.order_id)
    if tx.heard is None or tx.heard.source != request.channel:
        order = None  # Nobody can ask in the name of another channel, not even for the right person.
    answer = domain.decide(order, request, now)
    if order is not None and isinstance(answer, OrderCancelled):
        await store.cancel(tx, order, request, answer)
    return [answer] if answer else []


async def show_refund(tx: Transaction, issued: RefundIssued) -> Sequence[Event]:
    """The money has arrived: the order says so."""
    refund = store.Refund(issued.refund_id, "issued", issued.amount, issued.destination)
    await store.note_refund(tx, issued.order_id, refund, tx.sequence)
    return []


async def show_delay(tx: Transaction, delayed: RefundDelayed) -> Sequence[Event]:
    """The money is late: the order says so, and does not claim otherwise."""
    order, _ = await store.read(tx, delayed.order_id)
    if order is not None:
        refund = store.Refund(delayed.refund_id, "sending", order.paid_amount, delayed.destination)
        await store.note_refund(tx, delayed.order_id, refund, tx.sequence)
    return []


HANDLERS: Handlers = {
    OrderCancelRequested: decide,
    RefundIssued: show_refund,
    RefundDelayed: show_delay,
}
