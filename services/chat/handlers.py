"""What `chat` does about what it hears. A thread shows what becomes of its order; where there is none, nobody asked."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from contracts.accounts import AccountRegistered
from contracts.chat import SellerReplied
from contracts.cs import CaseClosed, SellerContacted
from contracts.orders import (
    OrderCancelled,
    OrderCancelRejected,
    OrderDelivered,
    OrderPacked,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
)
from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import PaymentMethod
from runtime.messaging.consumer import BatchHandler, Handlers
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import current_context, new_id
from services.chat import asking, domain, store, talk, words
from services.chat.domain import Code, Status, Thread
from services.chat.store import Refund


async def remember_person(tx: Transaction, registered: AccountRegistered) -> Sequence[Event]:
    """Somebody has an account: threads call them by their name."""
    await store.note_person(tx, registered.account_id, registered.name)
    return []


async def remember_order(tx: Transaction, placed: OrderPlaced) -> Sequence[Event]:
    """There is an order that its two people can talk about; customer service may have asked about it already."""
    cash = placed.payment_method is PaymentMethod.COD
    await store.note_order(tx, placed, Status.PROCESSING if cash else Status.UNPAID)
    await show_questions(tx, placed)
    return []


async def note_paid(tx: Transaction, paid: OrderPaid) -> Sequence[Event]:
    """The order is in process."""
    return await note_status(tx, paid, Status.PROCESSING)


async def note_packed(tx: Transaction, packed: OrderPacked) -> Sequence[Event]:
    """The order is packed."""
    return await note_status(tx, packed, Status.PACKED)


async def note_shipped(tx: Transaction, shipped: OrderShipped) -> Sequence[Event]:
    """The order is on its way: from now on neither guides nor cancellations make sense."""
    return await note_status(tx, shipped, Status.SHIPPED)


async def note_delivered(tx: Transaction, delivered: OrderDelivered) -> Sequence[Event]:
    """The order has arrived."""
    return await note_status(tx, delivered, Status.DELIVERED)


async def note_status(
    tx: Transaction, moved: OrderPaid | OrderPacked | OrderShipped | OrderDelivered, status: Status
) -> Sequence[Event]:
    """Keeps the order's status, and shows it in the thread's head."""
    if await store.note_status(tx, [moved.order_id], status) and (thread := await _thread(tx, moved)):
        await talk.show(tx, thread.thread_id)
    return []


async def show_cancelled(tx: Transaction, envelopes: Sequence[Envelope[OrderCancelled]]) -> None:
    """The orders are cancelled. Most of them have no thread, nothing is shown of those."""
    news = await store.note_status(tx, [cancelled.data.order_id for cancelled in envelopes], Status.CANCELLED)
    threads = await store.threads_of(tx, news)
    for cancelled in envelopes:
        if thread := threads.pop(cancelled.data.order_id, None):  # once, though it may be said twice
            with tx.caused_by(cancelled):
                await _show_cancelled(tx, thread, cancelled.data)


async def _show_cancelled(tx: Transaction, thread: Thread, cancelled: OrderCancelled) -> None:
    """The thread says so and, where the seller helped, offers to apologise and thank (A)."""
    await talk.announce(
        tx,
        thread.thread_id,
        words.cancelled(cancelled.channel, cancelled.fault),
        Code.ORDER_CANCELLED,
        order_id=str(cancelled.order_id),
        cancellation_id=str(cancelled.cancellation_id),
        channel=str(cancelled.channel),
        fault=str(cancelled.fault),
    )
    if thread.pending == cancelled.cancellation_id:
        await asking.answered(tx, thread)
    if domain.owes_thanks(cancelled.channel, thread.guided):
        await store.owe_thanks(tx, thread.thread_id)
    await talk.tell_refunds(tx, thread)  # `refunds` may have been heard before `orders`
    await talk.show(tx, thread.thread_id)


async def show_rejected(tx: Transaction, rejected: OrderCancelRejected) -> Sequence[Event]:
    """What the seller asked for in this thread was not granted. Who asked elsewhere is told there."""
    thread = await _thread(tx, rejected)
    if thread is not None and thread.pending == rejected.cancellation_id:
        await asking.answered(tx, thread)
        await talk.announce(
            tx,
            thread.thread_id,
            words.rejected(rejected.code),
            Code.CANCEL_REJECTED,
            order_id=str(rejected.order_id),
            cancellation_id=str(rejected.cancellation_id),
            rejection=str(rejected.code),
        )
        await talk.show(tx, thread.thread_id)
    return []


async def show_refunds(tx: Transaction, envelopes: Sequence[Envelope[RefundIssued | RefundDelayed]]) -> None:
    """The money has arrived, or is late: the threads say so, after they have said that their orders are cancelled."""
    await store.note_refunds(tx, [_refund(told.data) for told in envelopes])
    threads = await store.threads_of(tx, [told.data.order_id for told in envelopes])
    for told in envelopes:
        thread = threads.get(told.data.order_id)
        if thread is not None and thread.status is Status.CANCELLED:
            with tx.caused_by(told):
                await talk.tell_refunds(tx, thread)


def _refund(told: RefundIssued | RefundDelayed) -> Refund:
    amount = told.amount if isinstance(told, RefundIssued) else None
    return Refund(told.refund_id, told.order_id, told.destination, amount)


async def contact_seller(tx: Transaction, contacted: SellerContacted) -> Sequence[Event]:
    """Customer service asks the seller: in the order's thread, which is made for it if there is none. If it asks again
    what the seller has answered, it has not heard of that, and is told again."""
    await _thread(tx, contacted)
    if await store.note_question(tx, contacted, current_context()):
        ids = {"case_id": contacted.case_id, "order_id": contacted.order_id, "seller_id": contacted.seller_id}
        return [SellerReplied(**ids)]
    await show_questions(tx, contacted)
    return []


async def show_questions(tx: Transaction, event: OrderPlaced | SellerContacted) -> None:
    """Shows what customer service asks about an order, once the order is known."""
    order = await store.order(tx, event.order_id)
    questions = order is not None and order.placed and await store.has_untold_questions(tx, event.order_id)
    if order is None or not questions:
        return
    await store.make_thread(tx, new_id(), order)
    thread = await _thread(tx, event)
    assert thread is not None
    await talk.ask(tx, thread)
    await talk.show(tx, thread.thread_id)


async def close_case(tx: Transaction, closed: CaseClosed) -> Sequence[Event]:
    """The seller owes customer service no answer any more."""
    if closed.order_id is None:
        return []
    thread = await store.thread_of(tx, closed.order_id, lock=True)
    if await store.close_question(tx, closed.case_id, closed.order_id) and thread is not None:
        text = words.case_closed(closed.outcome)
        known = {"case_id": str(closed.case_id), "outcome": str(closed.outcome)}
        await talk.announce(tx, thread.thread_id, text, Code.CASE_CLOSED, **known)
    return []


async def lock(tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
    """The threads of the orders that a batch is about, before anything is done in one of them."""
    await store.lock_hearing(tx)
    orders = [told.data.order_id for told in envelopes if getattr(told.data, "order_id", None) is not None]
    await store.lock_threads(tx, [], orders)


OrderEvent = (
    OrderPlaced | OrderPaid | OrderPacked | OrderShipped | OrderDelivered | OrderCancelRejected | SellerContacted
)


async def _thread(tx: Transaction, event: OrderEvent) -> Thread | None:
    return await store.thread_of(tx, event.order_id, lock=True)


def _each(handle: Callable[[Transaction, Any], Awaitable[Sequence[Event]]]) -> BatchHandler:
    """Handles events one by one, their threads being locked with those of all others in the batch."""

    async def handle_each(tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
        for told in envelopes:
            with tx.caused_by(told):
                tx.publish(*await handle(tx, told.data))

    return BatchHandler(handle_each, lock)


HANDLERS: Handlers = {
    AccountRegistered: remember_person,
    OrderPlaced: _each(remember_order),
    OrderPaid: _each(note_paid),
    OrderPacked: _each(note_packed),
    OrderShipped: _each(note_shipped),
    OrderDelivered: _each(note_delivered),
    OrderCancelled: BatchHandler(show_cancelled, lock),
    OrderCancelRejected: _each(show_rejected),
    RefundIssued: BatchHandler(show_refunds, lock),
    RefundDelayed: BatchHandler(show_refunds, lock),
    SellerContacted: _each(contact_seller),
    CaseClosed: _each(close_case),
}
