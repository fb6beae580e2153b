"""The events that `cs` consumes, and its deadlines. What they do to cases is in `cases.py`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

from contracts.accounts import AccountRegistered
from contracts.chat import SellerReplied
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
from contracts.words import OrderStatus
from runtime.backoff import LONGEST
from runtime.messaging.consumer import BatchHandler, Handlers
from runtime.messaging.deadlines import Locking
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from services.cs import agents, store, views
from services.cs.cases import ASK_AGAIN, SELLER_SILENT, SETTLED, Cases
from services.cs.domain import Case

Act = Callable[[Cases, Transaction, Any], Awaitable[None]]
"""Acts on one event or, if its type is among `BATCHED`, on all of those in a batch."""
Fire = Callable[[Cases, Transaction, str], Awaitable[Sequence[Event]]]


class BrokerStability:
    """Tells when no event from within the 24 hours can be in flight any more: while the broker is away, some may wait
    there. `settling` is the time, in real seconds, in which an event gets from its publisher's commit to here while
    nothing is broken. After an outage, publishers may pause as long as that took, up to `LONGEST`."""

    def __init__(self, settling: float) -> None:
        self._settling = settling
        self._since: float | None = None
        """When the broker was back and the publishers' pauses were over."""

    @property
    def is_steady(self) -> bool:
        """Whether the broker was there for the whole of the last `settling`, and publishers knew."""
        return self._since is not None and monotonic() - self._since >= self._settling

    async def watch(self, connected: Callable[[], Awaitable[bool]]) -> None:
        """Runs until it is cancelled."""
        away = monotonic()
        while True:
            if not await connected():
                away = away if self._since is None else monotonic()
                self._since = None
            elif self._since is None:
                self._since = monotonic() + min(LONGEST, monotonic() - away)
            await asyncio.sleep(max(0.01, min(0.25, self._settling / 2)))

    async def has_settled(self, tx: Transaction, case: Case) -> bool:
        """Whether the settling time of the case is over, in which the broker was there and no event arrived that was
        published before its 24 hours ended."""
        return self.is_steady and await store.has_settled(tx, case, timedelta(seconds=self._settling))


async def remember_account(cases: Cases, tx: Transaction, account: AccountRegistered) -> None:
    """An account has a name."""
    await agents.note_account(tx, account)


async def remember_order(cases: Cases, tx: Transaction, placed: OrderPlaced) -> None:
    """A buyer has an order, which can be handed over in a case."""
    await store.note_order(tx, placed, tx.sequence)


async def note_status(cases: Cases, tx: Transaction, moved: OrderPaid | OrderDelivered) -> None:
    """The order is paid for, or has arrived."""
    status = OrderStatus.PROCESSING if isinstance(moved, OrderPaid) else OrderStatus.DELIVERED
    await store.note_status(tx, {moved.order_id: tx.sequence}, status)


async def refunds_issued(cases: Cases, tx: Transaction, envelopes: Sequence[Envelope[RefundIssued]]) -> None:
    """The money has arrived: the cases show where."""
    concerned = await store.about(tx, *(envelope.data.order_id for envelope in envelopes))
    for envelope in envelopes:
        for case in concerned[envelope.data.order_id]:
            with tx.caused_by(envelope):
                if not await store.shows_refund(tx, case.case_id, envelope.data.refund_id, "refund_issued"):
                    await cases.say(tx, case, views.refund_issued(envelope.data))


async def refund_delayed(cases: Cases, tx: Transaction, delayed: RefundDelayed) -> None:
    """The money is late: the cases show it, once."""
    for case in (await store.about(tx, delayed.order_id))[delayed.order_id]:
        if not await store.shows_refund(tx, case.case_id, delayed.refund_id, "refund_issued", "refund_delayed"):
            await cases.say(tx, case, views.refund_delayed(delayed))


DEADLINES: Mapping[str, Fire] = {
    SELLER_SILENT: Cases.seller_silent,
    SETTLED: Cases.settled,
    ASK_AGAIN: Cases.ask_again,
}

HANDLERS: Mapping[type[Event], Act] = {
    AccountRegistered: remember_account,
    OrderPlaced: remember_order,
    OrderPaid: note_status,
    OrderPacked: Cases.order_packed,
    OrderShipped: Cases.order_shipped,
    OrderDelivered: note_status,
    OrderCancelled: Cases.orders_cancelled,
    OrderItemsCancelled: Cases.items_cancelled,
    OrderCancelRejected: Cases.cancel_rejected,
    RefundIssued: refunds_issued,
    RefundDelayed: refund_delayed,
    SellerReplied: Cases.seller_replied,
}

BATCHED = frozenset({OrderCancelled, RefundIssued})
"""The most frequent events."""
ABOUT_ORDERS = (
    *(OrderPacked, OrderShipped, OrderCancelled, OrderItemsCancelled, OrderCancelRejected, RefundIssued, RefundDelayed),
)
"""The events that change the cases about the order."""


def handlers(cases: Cases) -> Handlers:
    """The table for these cases: what they publish belongs to the trace of the case."""

    noted: dict[int, tuple[datetime, float]] = {}
    """Of the batch of each partition: the time of its oldest event, and when that was noted."""

    async def note(tx: Transaction, oldest: datetime) -> None:
        await store.note_consumed(tx, oldest, cases.settling)
        noted[tx.partition] = oldest, monotonic()

    async def acquire_locks(tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
        await note(tx, min(envelope.time for envelope in envelopes))
        replies = [envelope.data.case_id for envelope in envelopes if isinstance(envelope.data, SellerReplied)]
        order_ids = [envelope.data.order_id for envelope in envelopes if isinstance(envelope.data, ABOUT_ORDERS)]
        if replies or order_ids:
            await store.lock_all(tx, replies, order_ids)

    async def handle(event: type[Event], tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> None:
        if event in BATCHED:
            await HANDLERS[event](cases, tx, envelopes)
        else:
            for envelope in envelopes:
                with tx.caused_by(envelope):
                    await HANDLERS[event](cases, tx, envelope.data)
        oldest, at = noted[tx.partition]
        if monotonic() - at > cases.settling.total_seconds() / 2:  # a batch that takes long may be one of a backlog
            await note(tx, oldest)

    return {event: BatchHandler(partial(handle, event), acquire_locks) for event in HANDLERS}


def deadlines(cases: Cases) -> Mapping[str, Locking]:
    """The deadlines of these cases. An event that is in a handler when one fires has its effect first."""

    async def lock(tx: Transaction, case_ids: Sequence[str]) -> None:
        await store.lock_consumed(tx)
        await store.lock_all(tx, [UUID(case_id) for case_id in case_ids])

    return {kind: Locking(partial(act, cases), lock) for kind, act in DEADLINES.items()}
