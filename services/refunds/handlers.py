"""What `refunds` does about each event that it consumes."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from contracts.orders import OrderCancelled, OrderItemsCancelled
from contracts.refunds import RefundIssued
from contracts.words import Destination
from runtime.messaging.consumer import BatchHandler, Handlers
from runtime.messaging.envelope import Envelope
from runtime.messaging.unit_of_work import Transaction
from services.refunds import hold, store
from services.refunds.domain import AtOrders, Refund, State, refund_id_of, restored
from services.refunds.store import PAY_DANA, Movement

Cancelled = OrderCancelled | OrderItemsCancelled
_AT_ORDERS: Mapping[str | None, AtOrders] = {
    None: AtOrders.OPEN,
    Destination.LAZADA_CREDIT: AtOrders.CREDITED,
}


async def refund(tx: Transaction, envelopes: Sequence[Envelope[Cancelled]]) -> None:
    """Orders or parts of them are cancelled: what was paid for that comes back in full (A), to DANA if it is linked,
    else to Lazada Credit.

    Lazada Credit is credited at once. For DANA only the intent is recorded; a worker pays. When `orders` publishes a
    cancellation again, it has not consumed the refund's event: if the money has arrived, that is published again.

    On hold, every cancellation may have been refunded before the restore, and so may one whose refund only `orders`
    knows: DANA is asked first.
    """
    paid = [cancelled for cancelled in envelopes if _amount(cancelled.data)]
    phones = await store.phones_of(tx, [cancelled.data.buyer_id for cancelled in paid])
    causes = {one.data.refund_id or refund_id_of(one.data.cancellation_id): one for one in paid}
    now, on_hold = await tx.now(), await hold.is_on(tx)
    if on_hold:
        known = {one.data.cancellation_id: _at_orders(one.data) for one in paid}
        await hold.note_at_orders(tx, known, [one.subject for one in paid])
    due = [_due(refund_id, cancelled.data, phones) for refund_id, cancelled in causes.items()]
    lost = {refund_id: one.data for refund_id, one in causes.items() if on_hold or one.data.refund_id}
    due = [restored(one, _at_orders(lost[one.refund_id]), now) if one.refund_id in lost else one for one in due]
    opened = await store.insert_new(tx, due)
    await store.post(tx, [money for money in opened if money.state is State.ISSUED], Movement.CREDIT)
    await store.post(tx, [money for money in opened if money.state is not State.ISSUED], Movement.SEND)
    for money in opened:
        with tx.caused_by(causes[money.refund_id]):
            if money.state is State.ISSUED:
                tx.publish(issued(money))
            else:
                await tx.schedule(PAY_DANA, str(money.refund_id), timedelta(0))
    opened_for = {money.cancellation_id for money in opened}
    repeated = {one.data.cancellation_id: one for one in paid if one.data.cancellation_id not in opened_for}
    for money in await store.issued_for(tx, list(repeated)):
        with tx.caused_by(repeated[money.cancellation_id]):
            tx.publish(issued(money))


def _amount(cancelled: Cancelled) -> int:
    return cancelled.paid_amount if isinstance(cancelled, OrderCancelled) else cancelled.refund_amount


def _due(refund_id: UUID, cancelled: Cancelled, phones: Mapping[UUID, str]) -> Refund:
    phone = phones.get(cancelled.buyer_id)
    destination, state = (Destination.DANA, State.PENDING) if phone else (Destination.LAZADA_CREDIT, State.ISSUED)
    ids = refund_id, cancelled.cancellation_id, cancelled.order_id, cancelled.buyer_id
    part = isinstance(cancelled, OrderItemsCancelled)
    return Refund(*ids, _amount(cancelled), destination, state, phone, part)


def _at_orders(cancelled: Cancelled) -> AtOrders:
    return _AT_ORDERS.get(cancelled.refunded_to, AtOrders.PAID)


def issued(money: Refund) -> RefundIssued:
    """The event that the money has arrived."""
    return RefundIssued.model_validate(money, from_attributes=True)


HANDLERS: Handlers = dict.fromkeys((OrderCancelled, OrderItemsCancelled), BatchHandler(refund))
