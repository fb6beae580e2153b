"""What `orders` does about each event that it consumes."""

from collections.abc import Sequence
from uuid import UUID

from contracts.orders import OrderCancelled, OrderCancelRequested
from contracts.refunds import RefundDelayed, RefundIssued
from runtime.messaging.consumer import BatchHandler, Handlers
from runtime.messaging.deadlines import Locking
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.orders import domain, refund_status, store


async def lock(tx: Transaction, envelopes: Sequence[Envelope[OrderCancelRequested]]) -> None:
    """Locks all orders to be cancelled before any stock is given back: a buyer's own cancelling holds an order and
    waits for the stock of its products, so this must not hold stock and wait for an order."""
    await store.lock_all(tx, [asked.data.order_id for asked in envelopes])


async def decide(tx: Transaction, envelopes: Sequence[Envelope[OrderCancelRequested]]) -> None:
    """Sellers (chat) or customer service (cs) ask to cancel orders: cancels, or rejects with the reason. A repeated
    request gets its answer again, because the first one may be lost."""
    for asked in envelopes:
        request = asked.data
        order, now = await store.lock(tx, request.order_id)
        repeated = domain.is_repeat(order, request)
        if not repeated and (asked.source != request.channel or await store.is_used(tx, request.cancellation_id)):
            order = None  # No service asks in the name of another channel, or with one id about two orders.
        answer = domain.decide(order, request, now)
        with tx.caused_by(asked):
            if repeated:
                await refund_status.note_published_again(tx, request.cancellation_id)
            elif order is not None and isinstance(answer, OrderCancelled):
                await store.cancel(tx, order, domain.cancellation(request, now))
            tx.publish(answer)


async def lock_unpaid(tx: Transaction, order_ids: Sequence[str]) -> None:
    """As `lock`, for orders whose time to pay is over."""
    await store.lock_all(tx, [UUID(order_id) for order_id in order_ids])


async def expire(tx: Transaction, order_id: str) -> Sequence[Event]:
    """The time to pay is over: cancels the order and gives its stock back (M)."""
    order, now = await store.lock(tx, UUID(order_id))
    if order is None or (how := domain.expiry(order, new_id(), now)) is None:
        return []
    await store.cancel(tx, order, how)
    return [domain.cancelled_event(order, how)]


async def show_refunds(tx: Transaction, envelopes: Sequence[Envelope[RefundIssued]]) -> None:
    """The refunds have arrived: the orders show it."""
    await refund_status.note_refunds(
        tx, [(issued.data.order_id, _issued(issued.data), issued.sequence) for issued in envelopes]
    )


def _issued(event: RefundIssued) -> domain.Refund:
    return domain.Refund(event.refund_id, "issued", event.amount, event.destination)


async def show_delay(tx: Transaction, delayed: RefundDelayed) -> Sequence[Event]:
    """The refund is late: the order shows it."""
    order, _ = await store.read(tx, delayed.order_id)
    if order is not None:
        refund = domain.Refund(delayed.refund_id, "sending", order.paid_amount, delayed.destination)
        await refund_status.note_refunds(tx, [(delayed.order_id, refund, tx.sequence)])
    return []


DEADLINES = {store.PAY_BY: Locking(expire, lock_unpaid)}

HANDLERS: Handlers = {
    OrderCancelRequested: BatchHandler(decide, lock),
    RefundIssued: BatchHandler(show_refunds),
    RefundDelayed: show_delay,
}
