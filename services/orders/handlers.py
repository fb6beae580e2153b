"""What `orders` does about what it hears."""

from collections.abc import Sequence
from uuid import UUID

from contracts.orders import OrderCancelled, OrderCancelRequested
from contracts.refunds import RefundDelayed, RefundIssued
from runtime.messaging.consumer import BatchHandler, Handlers
from runtime.messaging.deadlines import Locking
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.orders import domain, store


async def lock(tx: Transaction, envelopes: Sequence[Envelope[OrderCancelRequested]]) -> None:
    """All orders that are to be cancelled, before any stock is given back: a buyer's own cancelling holds an order and
    waits for the stock of its products, so this must not hold stock and wait for an order."""
    await store.lock_all(tx, [asked.data.order_id for asked in envelopes])


async def decide(tx: Transaction, envelopes: Sequence[Envelope[OrderCancelRequested]]) -> None:
    """Sellers (chat) or customer service (cs) want orders cancelled: grant it or say why not. Who asks again, because
    the answer may be lost, gets it again."""
    for asked in envelopes:
        request = asked.data
        order, now = await store.lock(tx, request.order_id)
        repeated = domain.is_repeat(order, request)
        if not repeated and (asked.source != request.channel or await store.is_used(tx, request.cancellation_id)):
            order = None  # Neither asks anybody in the name of another channel, nor again about another order.
        answer = domain.decide(order, request, now)
        with tx.caused_by(asked):
            if repeated:
                await store.note_said_again(tx, request.cancellation_id)
            elif order is not None and isinstance(answer, OrderCancelled):
                await store.cancel(tx, order, domain.cancellation(request, now))
            tx.publish(answer)


async def lock_unpaid(tx: Transaction, order_ids: Sequence[str]) -> None:
    """As `lock`, for orders whose time for paying is over."""
    await store.lock_all(tx, [UUID(order_id) for order_id in order_ids])


async def expire(tx: Transaction, order_id: str) -> Sequence[Event]:
    """The time for paying is over: the order is cancelled, and its stock is for others again (M)."""
    order, now = await store.lock(tx, UUID(order_id))
    if order is None or (how := domain.expiry(order, new_id(), now)) is None:
        return []
    await store.cancel(tx, order, how)
    return [domain.tell(order, how)]


async def show_refunds(tx: Transaction, envelopes: Sequence[Envelope[RefundIssued]]) -> None:
    """The money has arrived: the orders say so."""
    await store.note_refunds(
        tx, [(issued.data.order_id, _issued(issued.data), issued.sequence) for issued in envelopes]
    )


def _issued(told: RefundIssued) -> domain.Refund:
    return domain.Refund(told.refund_id, "issued", told.amount, told.destination)


async def show_delay(tx: Transaction, delayed: RefundDelayed) -> Sequence[Event]:
    """The money is late: the order says so, and does not claim otherwise."""
    order, _ = await store.read(tx, delayed.order_id)
    if order is not None:
        refund = domain.Refund(delayed.refund_id, "sending", order.paid_amount, delayed.destination)
        await store.note_refunds(tx, [(delayed.order_id, refund, tx.sequence)])
    return []


DEADLINES = {store.PAY_BY: Locking(expire, lock_unpaid)}

HANDLERS: Handlers = {
    OrderCancelRequested: BatchHandler(decide, lock),
    RefundIssued: BatchHandler(show_refunds),
    RefundDelayed: show_delay,
}
