"""What `chat` does about what it hears. A thread shows what becomes of its order; where there is none, nobody asked."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
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
from contracts.words import OrderStatus, PaymentMethod
from runtime.messaging.consumer import BatchHandler, Handlers
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import current_context, new_id
from services.chat import asking, domain, store, words
from services.chat.domain import Code, Thread
from services.chat.store import Refund
from services.chat.thread_writer import ThreadWriter

Handle = Callable[[ThreadWriter, Transaction, Any], Awaitable[Sequence[Event]]]
"""Handles one event or, if its type is among `BATCHED`, all events of that type in a batch."""


async def remember_person(threads: ThreadWriter, tx: Transaction, registered: AccountRegistered) -> Sequence[Event]:
    """Somebody has an account: threads call them by their name."""
    await store.note_person(tx, registered.account_id, registered.name)
    return []


async def remember_order(threads: ThreadWriter, tx: Transaction, placed: OrderPlaced) -> Sequence[Event]:
    """There is an order that its two people can talk about; customer service may have asked about it already."""
    cash = placed.payment_method is PaymentMethod.COD
    await store.note_order(tx, placed, OrderStatus.PROCESSING if cash else OrderStatus.UNPAID)
    await show_questions(threads, tx, placed)
    return []


async def note_paid(threads: ThreadWriter, tx: Transaction, paid: OrderPaid) -> Sequence[Event]:
    """The order is in process."""
    return await note_status(threads, tx, paid, OrderStatus.PROCESSING)


async def note_packed(threads: ThreadWriter, tx: Transaction, packed: OrderPacked) -> Sequence[Event]:
    """The order is packed."""
    return await note_status(threads, tx, packed, OrderStatus.PACKED)


async def note_shipped(threads: ThreadWriter, tx: Transaction, shipped: OrderShipped) -> Sequence[Event]:
    """The order is on its way: from now on neither guides nor cancellations make sense."""
    return await note_status(threads, tx, shipped, OrderStatus.SHIPPED)


async def note_delivered(threads: ThreadWriter, tx: Transaction, delivered: OrderDelivered) -> Sequence[Event]:
    """The order has arrived."""
    return await note_status(threads, tx, delivered, OrderStatus.DELIVERED)


async def note_status(
    threads: ThreadWriter,
    tx: Transaction,
    moved: OrderPaid | OrderPacked | OrderShipped | OrderDelivered,
    status: OrderStatus,
) -> Sequence[Event]:
    """Keeps the order's status, and shows it in the thread's head."""
    if await store.note_status(tx, [moved.order_id], status) and (thread := await _thread(tx, moved)):
        await threads.show(tx, thread.thread_id)
    return []


async def show_cancelled(
    threads: ThreadWriter, tx: Transaction, envelopes: Sequence[Envelope[OrderCancelled]]
) -> Sequence[Event]:
    """The orders are cancelled. Most of them have no thread, nothing is shown of those."""
    news = await store.note_status(tx, [cancelled.data.order_id for cancelled in envelopes], OrderStatus.CANCELLED)
    affected = await store.threads_of(tx, news)
    for cancelled in envelopes:
        if thread := affected.pop(cancelled.data.order_id, None):  # once, though it may be said twice
            with tx.caused_by(cancelled):
                await _show_cancelled(threads, tx, thread, cancelled.data)
    return []


async def _show_cancelled(threads: ThreadWriter, tx: Transaction, thread: Thread, cancelled: OrderCancelled) -> None:
    """The thread says so and, where the seller helped, offers to apologise and thank (A)."""
    await threads.announce(
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
    await threads.tell_refunds(tx, thread)  # `refunds` may have been heard before `orders`
    await threads.show(tx, thread.thread_id)


async def show_rejected(threads: ThreadWriter, tx: Transaction, rejected: OrderCancelRejected) -> Sequence[Event]:
    """What the seller asked for in this thread was not granted. Who asked elsewhere is told there."""
    thread = await _thread(tx, rejected)
    if thread is not None and thread.pending == rejected.cancellation_id:
        await asking.answered(tx, thread)
        await threads.announce(
            tx,
            thread.thread_id,
            words.rejected(rejected.code),
            Code.CANCEL_REJECTED,
            order_id=str(rejected.order_id),
            cancellation_id=str(rejected.cancellation_id),
            rejection=str(rejected.code),
        )
        await threads.show(tx, thread.thread_id)
    return []


async def show_refunds(
    threads: ThreadWriter, tx: Transaction, envelopes: Sequence[Envelope[RefundIssued | RefundDelayed]]
) -> Sequence[Event]:
    """The money has arrived, or is late: the threads say so, after they have said that their orders are cancelled."""
    await store.note_refunds(tx, [_refund(told.data) for told in envelopes])
    affected = await store.threads_of(tx, [told.data.order_id for told in envelopes])
    for told in envelopes:
        thread = affected.get(told.data.order_id)
        if thread is not None and thread.status is OrderStatus.CANCELLED:
            with tx.caused_by(told):
                await threads.tell_refunds(tx, thread)
    return []


def _refund(told: RefundIssued | RefundDelayed) -> Refund:
    amount = told.amount if isinstance(told, RefundIssued) else None
    return Refund(told.refund_id, told.order_id, told.destination, amount)


async def contact_seller(threads: ThreadWriter, tx: Transaction, contacted: SellerContacted) -> Sequence[Event]:
    """Customer service asks the seller: in the order's thread, which is made for it if there is none. If it asks again
    what the seller has answered, it has not heard of that, and is told again."""
    await _thread(tx, contacted)
    if await store.note_question(tx, contacted, current_context()):
        ids = {"case_id": contacted.case_id, "order_id": contacted.order_id, "seller_id": contacted.seller_id}
        return [SellerReplied(**ids)]
    await show_questions(threads, tx, contacted)
    return []


async def show_questions(threads: ThreadWriter, tx: Transaction, event: OrderPlaced | SellerContacted) -> None:
    """Shows what customer service asks about an order, once the order is known."""
    order = await store.order(tx, event.order_id)
    questions = order is not None and order.placed and await store.has_untold_questions(tx, event.order_id)
    if order is None or not questions:
        return
    await store.make_thread(tx, new_id(), order)
    thread = await _thread(tx, event)
    assert thread is not None
    await threads.ask(tx, thread)
    await threads.show(tx, thread.thread_id)


async def close_case(threads: ThreadWriter, tx: Transaction, closed: CaseClosed) -> Sequence[Event]:
    """The seller owes customer service no answer any more."""
    if closed.order_id is None:
        return []
    thread = await store.thread_of(tx, closed.order_id, lock=True)
    if await store.close_question(tx, closed.case_id, closed.order_id) and thread is not None:
        text = words.case_closed(closed.outcome)
        known = {"case_id": str(closed.case_id), "outcome": str(closed.outcome)}
        await threads.announce(tx, thread.thread_id, text, Code.CASE_CLOSED, **known)
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


HANDLERS: Mapping[type[Event], Handle] = {
    AccountRegistered: remember_person,
    OrderPlaced: remember_order,
    OrderPaid: note_paid,
    OrderPacked: note_packed,
    OrderShipped: note_shipped,
    OrderDelivered: note_delivered,
    OrderCancelled: show_cancelled,
    OrderCancelRejected: show_rejected,
    RefundIssued: show_refunds,
    RefundDelayed: show_refunds,
    SellerContacted: contact_seller,
    CaseClosed: close_case,
}
BATCHED = frozenset({OrderCancelled, RefundIssued, RefundDelayed})
"""The events whose handlers take all of a batch at once."""


def handlers(threads: ThreadWriter) -> Handlers:
    """The handlers, which write with `threads`. Each batch first locks all its threads."""

    async def handle_each(handle: Handle, tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
        for envelope in envelopes:
            with tx.caused_by(envelope):
                tx.publish(*await handle(threads, tx, envelope.data))

    async def handle_all(handle: Handle, tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
        tx.publish(*await handle(threads, tx, envelopes))

    return {
        event: BatchHandler(partial(handle_all if event in BATCHED else handle_each, handle), lock)
        for event, handle in HANDLERS.items()
    }
