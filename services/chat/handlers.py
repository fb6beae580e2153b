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
    OrderItemsCancelled,
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

Handle = Callable[[ThreadWriter, Transaction, Any], Awaitable[None]]
"""Handles one event or, if its type is among `BATCHED`, all events of that type in a batch."""
STATUS_AFTER: Mapping[type[Event], OrderStatus] = {
    OrderPaid: OrderStatus.PROCESSING,
    OrderPacked: OrderStatus.PACKED,
    OrderShipped: OrderStatus.SHIPPED,
    OrderDelivered: OrderStatus.DELIVERED,
}


async def remember_person(threads: ThreadWriter, tx: Transaction, registered: AccountRegistered) -> None:
    """Stores the name of an account, which threads show."""
    await read_models.note_person(tx, registered.account_id, registered.name)


async def remember_order(threads: ThreadWriter, tx: Transaction, placed: OrderPlaced) -> None:
    """Stores the order, and shows questions of customer service that came before it."""
    cash = placed.payment_method is PaymentMethod.COD
    await read_models.note_order(tx, placed, OrderStatus.PROCESSING if cash else OrderStatus.UNPAID)
    await show_questions(threads, tx, placed)


async def note_status(
    threads: ThreadWriter, tx: Transaction, moved: OrderPaid | OrderPacked | OrderShipped | OrderDelivered
) -> None:
    """Stores the order's status, and sends the thread to its members."""
    newer = await read_models.note_status(tx, [moved.order_id], STATUS_AFTER[type(moved)])
    if newer and (thread := await store.thread_of(tx, moved.order_id, lock=True)):
        await threads.send(tx, thread.thread_id)


async def show_cancelled(threads: ThreadWriter, tx: Transaction, envelopes: Sequence[Envelope[OrderCancelled]]) -> None:
    """Announces the cancellations in the threads. Most orders have none."""
    orders = [cancelled.data.order_id for cancelled in envelopes]
    affected = await store.threads_of(tx, await read_models.note_status(tx, orders, OrderStatus.CANCELLED))
    for cancelled in envelopes:
        if thread := affected.pop(cancelled.data.order_id, None):  # once, though the event may be there twice
            with tx.caused_by(cancelled):
                text = words.cancelled(cancelled.data.channel, cancelled.data.fault)
                await _show(threads, tx, thread, cancelled.data, text, Code.ORDER_CANCELLED)


async def show_items_cancelled(threads: ThreadWriter, tx: Transaction, cancelled: OrderItemsCancelled) -> None:
    """Announces which pieces are cancelled; the order stays open."""
    thread = await store.thread_of(tx, cancelled.order_id, lock=True)
    titles = await read_models.note_part(tx, cancelled.order_id, cancelled.cancellation_id)
    if thread is None or titles is None:  # a reminder, when there are no titles
        return
    lines = [
        {"product_id": str(one.product_id), "title": titles.get(str(one.product_id)), "quantity": one.quantity}
        for one in cancelled.lines
    ]
    text = words.items_cancelled(cancelled.channel, lines, cancelled.refund_amount)
    facts = {"lines": lines, "refund_amount": cancelled.refund_amount}
    await _show(threads, tx, thread, cancelled, text, Code.ITEMS_CANCELLED, **facts)


async def _show(
    threads: ThreadWriter,
    tx: Transaction,
    thread: Thread,
    cancelled: OrderCancelled | OrderItemsCancelled,
    text: str,
    code: Code,
    **facts: Any,
) -> None:
    """Announces the cancellation and, where the seller helped, offers the buyer to apologise and thank (A)."""
    ids = {"order_id": str(cancelled.order_id), "cancellation_id": str(cancelled.cancellation_id)}
    why = {"channel": str(cancelled.channel), "fault": str(cancelled.fault)}
    await threads.announce(tx, thread, text, code, **ids, **why, **facts)
    if thread.pending == cancelled.cancellation_id:
        await asking.answered(tx, thread)
    if domain.owes_thanks(cancelled.channel, thread.guided):
        await store.owe_thanks(tx, thread.thread_id)
    await threads.announce_refunds(tx, thread)  # events of `refunds` may arrive before those of `orders`
    await threads.send(tx, thread.thread_id)


async def show_rejected(threads: ThreadWriter, tx: Transaction, rejected: OrderCancelRejected) -> None:
    """Announces that a cancellation was rejected, if the seller requested it in this thread."""
    thread = await store.thread_of(tx, rejected.order_id, lock=True)
    if thread is not None and thread.pending == rejected.cancellation_id:
        await asking.answered(tx, thread)
        ids = {"order_id": str(rejected.order_id), "cancellation_id": str(rejected.cancellation_id)}
        text, code = words.rejected(rejected.code), str(rejected.code)
        await threads.announce(tx, thread, text, Code.CANCEL_REJECTED, **ids, rejection=code)
        await threads.send(tx, thread.thread_id)


async def show_refunds(
    threads: ThreadWriter, tx: Transaction, envelopes: Sequence[Envelope[RefundIssued | RefundDelayed]]
) -> None:
    """Announces that refunds have arrived or are late, once their cancellation is known."""
    await read_models.note_refunds(tx, [_refund(envelope.data) for envelope in envelopes])
    affected = await store.threads_of(tx, [envelope.data.order_id for envelope in envelopes])
    for envelope in envelopes:
        thread = affected.get(envelope.data.order_id)
        if thread is not None:
            with tx.caused_by(envelope):
                await threads.announce_refunds(tx, thread)


def _refund(event: RefundIssued | RefundDelayed) -> Refund:
    amount = event.amount if isinstance(event, RefundIssued) else None
    return Refund(event.refund_id, event.order_id, event.destination, amount, event.cancellation_id)


async def contact_seller(threads: ThreadWriter, tx: Transaction, contacted: SellerContacted) -> None:
    """Shows a question of customer service in the order's thread, which is created if there is none. Publishes the
    answer again if the seller has answered the question already."""
    await store.thread_of(tx, contacted.order_id, lock=True)  # may be younger than the locks of the batch
    if await read_models.note_question(tx, contacted, current_context()):
        ids = {"case_id": contacted.case_id, "order_id": contacted.order_id, "seller_id": contacted.seller_id}
        tx.publish(SellerReplied(**ids))
    else:
        await show_questions(threads, tx, contacted)


async def show_questions(threads: ThreadWriter, tx: Transaction, event: OrderPlaced | SellerContacted) -> None:
    """Shows the questions of customer service about an order, once the order is known."""
    order = await read_models.order(tx, event.order_id)
    if order is None or not order.placed or not await read_models.has_unshown_questions(tx, event.order_id):
        return
    await store.make_thread(tx, new_id(), order)
    thread = await store.thread_of(tx, event.order_id, lock=True)
    assert thread is not None
    await threads.announce_questions(tx, thread)
    await threads.send(tx, thread.thread_id)


async def close_case(threads: ThreadWriter, tx: Transaction, closed: CaseClosed) -> None:
    """Closes the question of the case, and announces the outcome if the thread has shown the question."""
    if closed.order_id is None:
        return
    thread = await store.thread_of(tx, closed.order_id, lock=True)
    if await read_models.close_question(tx, closed.case_id, closed.order_id) and thread is not None:
        text = words.case_closed(closed.outcome)
        known = {"case_id": str(closed.case_id), "outcome": str(closed.outcome)}
        await threads.announce(tx, thread, text, Code.CASE_CLOSED, **known)


async def lock(tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
    """Locks the threads of a batch's orders, before the first event is handled."""
    await store.lock_consumer(tx)
    orders = [envelope.data.order_id for envelope in envelopes if getattr(envelope.data, "order_id", None) is not None]
    await store.lock_threads(tx, [], orders)


HANDLERS: Mapping[type[Event], Handle] = {
    AccountRegistered: remember_person,
    OrderPlaced: remember_order,
    **dict.fromkeys(STATUS_AFTER, note_status),
    OrderCancelled: show_cancelled,
    OrderItemsCancelled: show_items_cancelled,
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

    async def handle(event: type[Event], tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
        if event in BATCHED:
            await HANDLERS[event](threads, tx, envelopes)
            return
        for envelope in envelopes:
            with tx.caused_by(envelope):
                await HANDLERS[event](threads, tx, envelope.data)

    return {event: BatchHandler(partial(handle, event), lock) for event in HANDLERS}
