"""What `refunds` does about each event that it consumes."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from contracts.orders import OrderCancelled
from contracts.refunds import RefundIssued
from contracts.words import Destination
from runtime.messaging.consumer import BatchHandler, Handlers
from runtime.messaging.envelope import Envelope
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.refunds import store
from services.refunds.domain import Refund, State
from services.refunds.store import Movement

PAY_DANA = "pay_dana"
"""The deadline of the next step of a refund to DANA."""


async def refund(tx: Transaction, envelopes: Sequence[Envelope[OrderCancelled]]) -> None:
    """The orders are cancelled: what was paid comes back in full (A), to DANA if it is linked, else to Lazada Credit.

    Lazada Credit is credited at once. For DANA only the intent is recorded; a worker pays. When `orders` publishes a
    cancellation again, it has not consumed the refund's event: if the money has arrived, that is published again.
    """
    paid = [cancelled for cancelled in envelopes if cancelled.data.paid_amount]
    phones = await store.phones_of(tx, [cancelled.data.buyer_id for cancelled in paid])
    causes = {new_id(): cancelled for cancelled in paid}
    due = [_due(refund_id, cancelled.data, phones) for refund_id, cancelled in causes.items()]
    opened = await store.open_refunds(tx, due)
    await store.post(tx, [money for money in opened if money.destination is Destination.LAZADA_CREDIT], Movement.CREDIT)
    await store.post(tx, [money for money in opened if money.destination is Destination.DANA], Movement.SEND)
    for money in opened:
        with tx.caused_by(causes[money.refund_id]):
            if money.destination is Destination.DANA:
                await tx.schedule(PAY_DANA, str(money.refund_id), timedelta(0))
            else:
                tx.publish(issued(money))
    opened_for = {money.cancellation_id for money in opened}
    repeated = {one.data.cancellation_id: one for one in paid if one.data.cancellation_id not in opened_for}
    for money in await store.issued_for(tx, list(repeated)):
        with tx.caused_by(repeated[money.cancellation_id]):
            tx.publish(issued(money))


def _due(refund_id: UUID, cancelled: OrderCancelled, phones: Mapping[UUID, str]) -> Refund:
    phone = phones.get(cancelled.buyer_id)
    destination, state = (Destination.DANA, State.PENDING) if phone else (Destination.LAZADA_CREDIT, State.ISSUED)
    ids = refund_id, cancelled.cancellation_id, cancelled.order_id, cancelled.buyer_id
    return Refund(*ids, cancelled.paid_amount, destination, state, phone)


def issued(money: Refund) -> RefundIssued:
    """The event that the money has arrived."""
    return RefundIssued.model_validate(money, from_attributes=True)


HANDLERS: Handlers = {OrderCancelled: BatchHandler(refund)}
