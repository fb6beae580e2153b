"""Handlers of the events that `chat` consumes. They write into the order's thread, if it has one."""

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
from services.chat import asking, domain, read_models, store, words
from services.chat.domain import Code, Thread
from services.chat.read_models import Refund
from services.chat.thread_writer import ThreadWriter

Handle = Callable[[ThreadWriter, Transaction, Any], Awaitable[Sequence[Event]]]
"""Handles one event or, if its type is among `BATCHED`, all events of that type in a batch."""


async def remember_person(threads: ThreadWriter, tx: Transaction, registered: AccountRegistered) -> Sequence[Event]:
    """Stores the name of an account, which threads show."""
    await read_models.note_person(tx, registered.account_id, registered.name)
    return []


async def remember_order(threads: ThreadWriter, tx: Transaction, placed: OrderPlaced) -> Sequence[Event]:
    """Stores the order, and shows questions of customer service that came before it."""
    cash = placed.payment_method is PaymentMethod.COD
    await read_models.note_order(tx, placed, OrderStatus.PROCESSING if cash else OrderStatus.UNPAID)
    await show_questions(threads, tx, placed)
    return []


async def note_paid(threads: ThreadWriter, tx: Transaction, paid: OrderPaid) -> Sequence[Event]:
    """Stores that the order is paid."""
    return await note_status(threads, tx, paid, OrderStatus.PROCESSING)


async def note_packed(threads: ThreadWriter, tx: Transaction, packed: OrderPacked) -> Sequence[Event]:
    """Stores that the order is packed."""
    return await note_status(threads, tx, packed, OrderStatus.PACKED)


async def note_shipped(threads: ThreadWriter, tx: Transaction, shipped: OrderShipped) -> Sequence[Event]:
    """Stores that the order is shipped: it takes neither guides nor cancellations from now on."""
    return await note_status(threads, tx, shipped, OrderStatus.SHIPPED)


async def note_delivered(threads: ThreadWriter, tx: Transaction, delivered: OrderDelivered) -> Sequence[Event]:
    """Stores that the order has arrived."""
    return await note_status(threads, tx, delivered, OrderStatus.DELIVERED)


async def note_status(
    threads: ThreadWriter,
    tx: Transaction,
    moved: OrderPaid | OrderPacked | OrderShipped | OrderDelivered,
    status: OrderStatus,
) -> Sequence[Event]:
    """Stores the order's status, and sends the thread to its members."""
    if await read_models.note_status(tx, [moved.order_id], status) and (thread := await _thread(tx, moved)):
        await threads.send(tx, thread.thread_id)
    return []


async def show_cancelled(
    threads: ThreadWriter, tx: Transaction, envelopes: Sequence[Envelope[OrderCancelled]]
) -> Sequence[Event]:
    """Announces the cancellations in the threads. Most orders have none."""
    news = await read_models.note_status(
        tx, [cancelled.data.order_id for cancelled in envelopes], OrderStatus.CANCELLED
    )
    affected = await store.threads_of(tx, news)
    for cancelled in envelopes:
        if thread := affected.pop(cancelled.data.order_id, None):  # once, though the event may be there twice
            with tx.caused_by(cancelled):
                await _show_cancelled(threads, tx, thread, cancelled.data)
    return []


async def _show_cancelled(threads: ThreadWriter, tx: Transaction, thread: Thread, cancelled: OrderCancelled) -> None:
    """Announces the cancellation and, where the seller helped, offers the buyer to apologise and thank (A)."""
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
    await threads.announce_refunds(tx, thread)  # events of `refunds` may arrive before those of `orders`
    await threads.send(tx, thread.thread_id)


async def show_rejected(threads: ThreadWriter, tx: Transaction, rejected: OrderCancelRejected) -> Sequence[Event]:
    """Announces that a cancellation was rejected, if the seller requested it in this thread."""
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
        await threads.send(tx, thread.thread_id)
    return []


async def show_refunds(
    threads: ThreadWriter, tx: Transaction, envelopes: Sequence[Envelope[RefundIssued | RefundDelayed]]
) -> Sequence[Event]:
    """Announces that refunds have arrived or are late, in threads that show the cancellation already."""
    await read_models.note_refunds(tx, [_refund(envelope.data) for envelope in envelopes])
    affected = await store.threads_of(tx, [envelope.data.order_id for envelope in envelopes])
    for envelope in envelopes:
        thread = affected.get(envelope.data.order_id)
        if thread is not None and thread.status is OrderStatus.CANCELLED:
            with tx.caused_by(envelope):
                await threads.announce_refunds(tx, thread)
    return []


def _refund(event: RefundIssued | RefundDelayed) -> Refund:
    amount = event.amount if isinstance(event, RefundIssued) else None
    return Refund(event.refund_id, event.order_id, event.destination, amount)


async def contact_seller(threads: ThreadWriter, tx: Transaction, contacted: SellerContacted) -> Sequence[Event]:
    """Shows a question of customer service in the order's thread, which is created if there is none. Publishes the
    answer again if the seller has answered the question already."""
    await _thread(tx, contacted)
    if await read_models.note_question(tx, contacted, current_context()):
        ids = {"case_id": contacted.case_id, "order_id": contacted.order_id, "seller_id": contacted.seller_id}
        return [SellerReplied(**ids)]
    await show_questions(threads, tx, contacted)
    return []


async def show_questions(threads: ThreadWriter, tx: Transaction, event: OrderPlaced | SellerContacted) -> None:
    """Shows the questions of customer service about an order, once the order is known."""
    order = await read_models.order(tx, event.order_id)
    questions = order is not None and order.placed and await read_models.has_unshown_questions(tx, event.order_id)
    if order is None or not questions:
        return
    await store.make_thread(tx, new_id(), order)
    thread = await _thread(tx, event)
    assert thread is not None
    await threads.announce_questions(tx, thread)
    await threads.send(tx, thread.thread_id)


async def close_case(threads: ThreadWriter, tx: Transaction, closed: CaseClosed) -> Sequence[Event]:
    """Closes the question of the case, and announces the outcome if the thread has shown the question."""
    if closed.order_id is None:
        return []
    thread = await store.thread_of(tx, closed.order_id, lock=True)
    if await read_models.close_question(tx, closed.case_id, closed.order_id) and thread is not None:
        text = words.case_closed(closed.outcome)
        known = {"case_id": str(closed.case_id), "outcome": str(closed.outcome)}
        await threads.announce(tx, thread.thread_id, text, Code.CASE_CLOSED, **known)
    return []


async def lock(tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
    """Locks the threads of a batch's orders, before the first event is handled."""
    await store.lock_consumer(tx)
    orders = [envelope.data.order_id for envelope in envelopes if getattr(envelope.data, "order_id", None) is not None]
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
    """The handlers, which write with `threads`."""

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
