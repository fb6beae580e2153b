"""What `refunds` does about what it hears."""

from collections.abc import Sequence
from datetime import timedelta

from contracts.orders import OrderCancelled
from contracts.refunds import RefundIssued
from contracts.words import Destination
from runtime.events import Event
from runtime.inbox import Handlers
from runtime.story import new_id
from runtime.work import Transaction
from services.refunds import store
from services.refunds.domain import Refund, State

PAY_DANA = "pay_dana"
"""The deadline at which something is to be done about a refund to DANA."""


async def refund(tx: Transaction, cancelled: OrderCancelled) -> Sequence[Event]:
    """The order is cancelled: what was paid comes back in full (A), to DANA if it is linked, else to Lazada Credit.

    Lazada Credit is credited here and now. For DANA only the intent is recorded; a worker pays.
    """
    if not cancelled.paid_amount:
        return []
    phone = await store.phone_of(tx, cancelled.buyer_id)
    money = Refund(
        refund_id=new_id(),
        cancellation_id=cancelled.cancellation_id,
        order_id=cancelled.order_id,
        buyer_id=cancelled.buyer_id,
        amount=cancelled.paid_amount,
        destination=Destination.DANA if phone else Destination.LAZADA_CREDIT,
        state=State.PENDING if phone else State.ISSUED,
        phone=phone,
    )
    if not await store.open_refund(tx, money):
        return []
    if money.destination is Destination.DANA:
        await store.post(tx, money, store.Movement.SEND)
        await tx.schedule(PAY_DANA, str(money.refund_id), timedelta(0))
        return []
    await store.post(tx, money, store.Movement.CREDIT)
    return [issued(money)]


def issued(money: Refund) -> RefundIssued:
    """Says that the money has arrived, and where."""
    return RefundIssued(
        refund_id=money.refund_id,
        cancellation_id=money.cancellation_id,
        order_id=money.order_id,
        buyer_id=money.buyer_id,
        amount=money.amount,
        destination=money.destination,
    )


HANDLERS: Handlers = {OrderCancelled: refund}
