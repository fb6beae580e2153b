"""What `orders` does about each event that it consumes."""

from collections.abc import Sequence
from uuid import UUID

from contracts.orders import OrderCancelRejected, OrderCancelRequested
from contracts.refunds import RefundDelayed, RefundIssued
from runtime.messaging.consumer import BatchHandler, Handlers
from runtime.messaging.deadlines import Locking
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.orders import cancelling, domain, refund_status, store
from services.orders.domain import Refund


async def lock(tx: Transaction, envelopes: Sequence[Envelope[OrderCancelRequested]]) -> None:
    """Locks all orders to be cancelled before any stock is given back: a buyer's own cancelling holds an order and
    waits for the stock of its products, so this must not hold stock and wait for an order."""
    await store.lock_all(tx, [asked.data.order_id for asked in envelopes])


async def decide(tx: Transaction, envelopes: Sequence[Envelope[OrderCancelRequested]]) -> None:
    """Sellers (chat) or customer service (cs) ask to cancel orders: cancels, or rejects with the reason. A repeated
    request gets its answer again, because the first one may be lost."""
    granted_again = []
    for asked in envelopes:
        request = asked.data
        order, now = await store.lock(tx, request.order_id)
        repeated = cancelling.granted(order, request.cancellation_id) is not None
        if not repeated and (asked.source != request.channel or await store.is_used(tx, request.cancellation_id)):
            order = None  # No service asks in the name of another channel, or with one id about two orders.
        answer = cancelling.decide(order, request, now)
        with tx.caused_by(asked):
            if isinstance(answer, OrderCancelRejected):
                tx.publish(answer)
                continue
            assert order is not None
            if repeated:
                granted_again.append(request.cancellation_id)
            else:
                await store.cancel(tx, order, answer)
            tx.publish(cancelling.cancelled_event(order, answer))
    await refund_status.note_published_again(tx, granted_again)


async def lock_due(tx: Transaction, order_ids: Sequence[str]) -> None:
    """As `lock`, for orders whose time to pay or to ship may be over."""
    await store.lock_all(tx, [UUID(order_id) for order_id in order_ids])


async def expire(tx: Transaction, order_id: str) -> Sequence[Event]:
    """The time to pay or to ship is over: cancels the order and gives its stock back (M). A day before it has to be
    shipped, reminds its seller."""
    order, now = await store.lock(tx, UUID(order_id))
    if order is None:
        return []
    if how := cancelling.expiry(order, new_id(), now):
        await store.cancel(tx, order, how)
        return [cancelling.cancelled_event(order, how)]
    if due := domain.shipment_due(order, now):
        await tx.schedule(store.SHIP_BY, order_id, domain.until_shipment(due.ship_by, now))
        return [due]
    return []


async def show_refunds(tx: Transaction, envelopes: Sequence[Envelope[RefundIssued]]) -> None:
    """The refunds have arrived: the orders show it."""
    await refund_status.note_refunds(
        tx, [(issued.data.cancellation_id, _issued(issued.data), issued.sequence) for issued in envelopes]
    )


def _issued(event: RefundIssued) -> Refund:
    return Refund(event.refund_id, "issued", event.amount, event.destination)


async def show_delay(tx: Transaction, delayed: RefundDelayed) -> Sequence[Event]:
    """The refund is late: the order shows it."""
    # An earlier version of refunds refunds whole orders only, and names the order alone.
    cancellation_id = delayed.cancellation_id or await refund_status.cancellation_of(tx, delayed.order_id)
    if cancellation_id is not None:
        refund = Refund(delayed.refund_id, "sending", delayed.amount or 0, delayed.destination)
        await refund_status.note_refunds(tx, [(cancellation_id, refund, tx.sequence)])
    return []


DEADLINES = dict.fromkeys(store.KINDS, Locking(expire, lock_due))

HANDLERS: Handlers = {
    OrderCancelRequested: BatchHandler(decide, lock),
    RefundIssued: BatchHandler(show_refunds),
    RefundDelayed: show_delay,
}
