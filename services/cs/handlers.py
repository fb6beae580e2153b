"""What `cs` does about what it hears, and about the deadlines that it has set."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from contracts.accounts import AccountRegistered
from contracts.chat import SellerReplied
from contracts.cs import SellerContacted
from contracts.orders import (
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderDelivered,
    OrderPacked,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    RequesterRole,
)
from contracts.refunds import RefundDelayed, RefundIssued
from contracts.words import Channel, OrderStatus
from runtime.messaging.consumer import BatchHandler, Handlers
from runtime.messaging.deadlines import Locking, pause
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.cs import domain, store, words
from services.cs.domain import Case, SellerDid, State
from services.cs.office import ASK_AGAIN, ASK_SELLER_AGAIN, SELLER_SILENT, SETTLED, Office

Act = Callable[[Office, Transaction, Any], Awaitable[None]]
"""Acts on one event or, if its kind is among `TOGETHER`, on all of those in a batch."""
Fire = Callable[[Office, Transaction, str], Awaitable[Sequence[Event]]]

NOTE = "Penjual tidak menjawab layanan pelanggan dalam 24 jam."


async def remember_account(office: Office, tx: Transaction, account: AccountRegistered) -> None:
    """Somebody has a name now."""
    await store.note_account(tx, account)


async def remember_order(office: Office, tx: Transaction, placed: OrderPlaced) -> None:
    """A buyer has an order, which can be handed over in a case."""
    await store.note_order(tx, placed, tx.sequence)


async def note_paid(office: Office, tx: Transaction, paid: OrderPaid) -> None:
    """The order is paid for."""
    await store.note_status(tx, {paid.order_id: tx.sequence}, OrderStatus.PROCESSING)


async def note_delivered(office: Office, tx: Transaction, delivered: OrderDelivered) -> None:
    """The order has arrived."""
    await store.note_status(tx, {delivered.order_id: tx.sequence}, OrderStatus.DELIVERED)


async def order_packed(office: Office, tx: Transaction, packed: OrderPacked) -> None:
    """The seller processes the order: nothing is cancelled for silence (A)."""
    await store.note_status(tx, {packed.order_id: tx.sequence}, OrderStatus.PACKED)
    cases = (await store.about(tx, packed.order_id))[packed.order_id]
    assert tx.envelope is not None
    asked = [case for case in cases if domain.written_to_before(case, tx.envelope.time)]
    await _seller_acted(office, tx, asked, packed.order_id, SellerDid.PACKED)


async def order_shipped(office: Office, tx: Transaction, shipped: OrderShipped) -> None:
    """The seller has shipped the order: nothing is cancelled for silence (A)."""
    await store.note_status(tx, {shipped.order_id: tx.sequence}, OrderStatus.SHIPPED)
    cases = (await store.about(tx, shipped.order_id))[shipped.order_id]
    await _seller_acted(office, tx, cases, shipped.order_id, SellerDid.SHIPPED)


async def seller_replied(office: Office, tx: Transaction, reply: SellerReplied) -> None:
    """The seller has answered customer service: nothing is cancelled for silence (A)."""
    case = await store.lock(tx, reply.case_id)
    if case is not None and case.state in domain.OVER:
        office.tell_end(tx, case)  # `chat` has not heard of it
    await _seller_acted(office, tx, [case] if case else [], reply.order_id, SellerDid.REPLIED)


async def _seller_acted(
    office: Office, tx: Transaction, cases: Sequence[Case], order_id: UUID, deed: SellerDid
) -> None:
    assert tx.envelope is not None
    for case in cases:
        if returned := domain.seller_acted(case, order_id, tx.envelope.time):
            await office.call_off(tx, case)
            await office.save(tx, returned)
            await office.say(tx, returned, words.called_off(deed, order_id))
        elif case.order_id == order_id and case.state in (State.AWAITING_SELLER, State.CANCELLING):
            await office.say(tx, case, words.too_late(deed, order_id))


async def orders_cancelled(office: Office, tx: Transaction, envelopes: Sequence[Envelope[OrderCancelled]]) -> None:
    """The orders are cancelled, through whichever channel: a case that waited for its seller is resolved.

    `orders` says it again when it hears nothing of the money; that is no news here.
    """
    told_first = {told.data.order_id: told for told in reversed(envelopes)}
    known = await store.orders(tx, list(told_first))
    news = {
        order_id: told
        for order_id, told in told_first.items()
        if order_id not in known or known[order_id].status is not OrderStatus.CANCELLED
    }
    if not news:
        return
    await store.note_status(tx, {order_id: told.sequence for order_id, told in news.items()}, OrderStatus.CANCELLED)
    for order_id, cases in (await store.about(tx, *news)).items():
        with tx.caused_by(news[order_id]):
            for case in cases:
                await _case_cancelled(office, tx, case, news[order_id].data)


async def _case_cancelled(office: Office, tx: Transaction, case: Case, cancelled: OrderCancelled) -> None:
    ours = case.cancellation_id == cancelled.cancellation_id
    await office.say(tx, case, words.order_cancelled(cancelled, ours=ours))
    if resolved := domain.order_cancelled(case):
        await office.save(tx, resolved)


async def cancel_rejected(office: Office, tx: Transaction, rejected: OrderCancelRejected) -> None:
    """`orders` does not cancel what this asked it to: the case says why, and goes back to its agent."""
    for case in (await store.about(tx, rejected.order_id))[rejected.order_id]:
        changed = domain.rejected(case, rejected.cancellation_id, rejected.code)
        if changed is None:
            continue
        await office.say(tx, case, words.cancel_rejected(rejected.order_id, rejected.code, rejected.detail))
        if changed.state is case.state:
            await store.save(tx, changed)
        else:
            await office.call_off(tx, case)
            await office.save(tx, changed)


async def refunds_issued(office: Office, tx: Transaction, envelopes: Sequence[Envelope[RefundIssued]]) -> None:
    """The money has arrived: the cases say where."""
    cases = await store.about(tx, *(told.data.order_id for told in envelopes))
    for told in envelopes:
        for case in cases[told.data.order_id]:
            with tx.caused_by(told):
                if await store.refund_issued(tx, case.case_id, tx.sequence, told.data.refund_id):
                    await office.say(tx, case, words.refund_issued(told.data))


async def refund_delayed(office: Office, tx: Transaction, delayed: RefundDelayed) -> None:
    """The money is late: the case says so, once."""
    for case in (await store.about(tx, delayed.order_id))[delayed.order_id]:
        if await store.refund_delayed(tx, case.case_id, tx.sequence, delayed.refund_id):
            await office.say(tx, case, words.refund_delayed(delayed))


async def seller_silent(office: Office, tx: Transaction, case_id: str) -> Sequence[Event]:
    """24 hours without an answer: the order is to be cancelled (A), unless there was one that is still on its way."""
    case = await store.lock(tx, UUID(case_id))
    if case is None or (silent := domain.run_out(case)) is None:
        return []
    await office.save(tx, silent)
    await store.begin_settling(tx, case.case_id, office.settling)
    await tx.schedule(SETTLED, case_id, office.settling)
    await office.say(tx, silent, words.SELLER_SILENT)
    return []


async def settled(office: Office, tx: Transaction, case_id: str) -> Sequence[Event]:
    """Nothing from within the 24 hours was on its way: `orders` is asked to cancel."""
    case = await store.lock(tx, UUID(case_id))
    if case is None or (asking := domain.request_cancellation(case, new_id())) is None:
        return []
    assert case.respond_by is not None
    if not office.stability.is_steady or not await store.has_settled(tx, case, office.settling):
        await tx.schedule(SETTLED, case_id, office.settling)
        return []
    await office.save(tx, asking)
    await office.begin_asking(tx, asking)
    return [_request(asking)]


def _request(case: Case) -> OrderCancelRequested:
    assert case.order_id is not None
    assert case.cancellation_id is not None
    return OrderCancelRequested(
        cancellation_id=case.cancellation_id,
        order_id=case.order_id,
        channel=Channel.CS,
        requested_by=None,
        role=RequesterRole.SYSTEM,
        note=NOTE,
    )


async def ask_again(office: Office, tx: Transaction, case_id: str) -> Sequence[Event]:
    """There is no answer yet: the question, or the answer, may have got lost on its way. Who is asked again answers
    again, and does nothing twice."""
    case = await store.lock(tx, UUID(case_id))
    if case is None:
        return []
    asks_orders = case.state is State.CANCELLING and case.cancellation_id is not None
    if not asks_orders and not domain.seller_is_due(case, await tx.now()):
        return []
    waited = await store.since_asked(tx, case.case_id)
    if not asks_orders and waited < ASK_SELLER_AGAIN:  # a demonstration has moved the clock
        await tx.schedule(ASK_AGAIN, case_id, ASK_SELLER_AGAIN - waited)
        return []
    await tx.schedule(ASK_AGAIN, case_id, pause(waited))
    return [_request(case) if asks_orders else await _ask_seller(tx, case)]


async def _ask_seller(tx: Transaction, case: Case) -> SellerContacted:
    assert case.order_id is not None
    assert case.respond_by is not None
    seller_id = (await store.orders(tx, [case.order_id]))[case.order_id].seller_id
    assert seller_id is not None
    return SellerContacted(
        case_id=case.case_id,
        order_id=case.order_id,
        seller_id=seller_id,
        question=await store.question(tx, case.case_id),
        respond_by=case.respond_by,
    )


DEADLINES: Mapping[str, Fire] = {
    SELLER_SILENT: seller_silent,
    SETTLED: settled,
    ASK_AGAIN: ask_again,
}

HANDLERS: Mapping[type[Event], Act] = {
    AccountRegistered: remember_account,
    OrderPlaced: remember_order,
    OrderPaid: note_paid,
    OrderPacked: order_packed,
    OrderShipped: order_shipped,
    OrderDelivered: note_delivered,
    OrderCancelled: orders_cancelled,
    OrderCancelRejected: cancel_rejected,
    RefundIssued: refunds_issued,
    RefundDelayed: refund_delayed,
    SellerReplied: seller_replied,
}

TOGETHER = frozenset({OrderCancelled, RefundIssued})
"""What comes most."""
ABOUT_ORDERS = (OrderPacked, OrderShipped, OrderCancelled, OrderCancelRejected, RefundIssued, RefundDelayed)
"""What has something happen in the cases about the order."""


def handlers(office: Office) -> Handlers:
    """The table for this office: what they publish belongs to the story of its case."""

    async def acquire_locks(tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
        await store.note_heard(tx, min(told.time for told in envelopes), office.settling)
        replies = [told.data.case_id for told in envelopes if isinstance(told.data, SellerReplied)]
        order_ids = [told.data.order_id for told in envelopes if isinstance(told.data, ABOUT_ORDERS)]
        if replies or order_ids:
            await store.lock_all(tx, replies, order_ids)

    async def handle_each(act: Act, tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
        for told in envelopes:
            with tx.caused_by(told):
                await act(office, tx, told.data)

    async def handle_all(act: Act, tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
        await act(office, tx, envelopes)

    return {
        event: BatchHandler(partial(handle_all if event in TOGETHER else handle_each, act), acquire_locks)
        for event, act in HANDLERS.items()
    }


def deadlines(office: Office) -> Mapping[str, Locking]:
    """The deadlines of this office. What is being heard while one fires comes first."""

    async def lock(tx: Transaction, case_ids: Sequence[str]) -> None:
        await store.wait_for_hearing(tx)
        await store.lock_all(tx, [UUID(case_id) for case_id in case_ids])

    return {kind: Locking(partial(act, office), lock) for kind, act in DEADLINES.items()}
