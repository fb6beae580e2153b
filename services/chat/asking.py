"""Requests a seller's cancellation from `orders`, and repeats the request until it is answered."""

from collections.abc import Sequence
from datetime import timedelta
from math import ceil
from uuid import UUID

from contracts.orders import OrderCancelRequested, Pieces, RequesterRole
from contracts.words import Channel
from runtime.errors import RateLimited
from runtime.messaging import deadlines
from runtime.messaging.deadlines import Locking, pause
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction
from services.chat import store
from services.chat.domain import Thread

ASK_AGAIN = "ask_again"
"""The deadline at which the request is repeated: it, or its answer, may have got lost."""
MAX_REJECTED, REJECTED_WITHIN = 20, timedelta(hours=1)
"""How many requests of one thread may be rejected, and in which time, before it takes none for pieces (M): each is a
message in it."""


async def ask(
    tx: Transaction, thread: Thread, cancellation_id: UUID, reason: str | None, lines: Sequence[Pieces] | None
) -> OrderCancelRequested:
    """Returns the request, and waits for its answer from now on.

    Raises `RateLimited` for pieces after too many rejected requests: the whole order can go until it ships (A).
    """
    if lines is not None:
        wait = await store.until_next_request(tx, thread.thread_id, MAX_REJECTED, REJECTED_WITHIN)
        if wait is not None:
            raise RateLimited(f"At most {MAX_REJECTED} rejected requests in an hour.", ceil(wait.total_seconds()))
    await store.begin_asking(tx, thread.thread_id, cancellation_id, reason, lines)
    await tx.schedule(ASK_AGAIN, str(thread.thread_id), deadlines.SHORTEST)
    return _request(thread, cancellation_id, reason, lines)


async def answered(tx: Transaction, thread: Thread) -> None:
    """Takes note of the answer."""
    await store.end_asking(tx, thread.thread_id)
    await tx.call_off(ASK_AGAIN, str(thread.thread_id))


async def ask_again(tx: Transaction, thread_id: str) -> Sequence[Event]:
    """Repeats the request if it is not answered yet."""
    thread = await store.thread(tx, UUID(thread_id))
    if thread is None or thread.pending is None:
        return []
    await tx.schedule(ASK_AGAIN, thread_id, pause(await store.since_asked(tx, thread.thread_id)))
    return [_request(thread, thread.pending, thread.pending_reason, thread.pending_lines)]


def _request(
    thread: Thread, cancellation_id: UUID, reason: str | None, lines: Sequence[Pieces] | None
) -> OrderCancelRequested:
    asks = {"channel": Channel.CHAT, "requested_by": thread.seller_id, "role": RequesterRole.SELLER}
    request = {"cancellation_id": cancellation_id, "order_id": thread.order_id, "reason": reason, "lines": lines}
    return OrderCancelRequested.model_validate(asks | request)


async def _lock(tx: Transaction, thread_ids: Sequence[str]) -> None:
    await store.lock_threads(tx, [UUID(thread_id) for thread_id in thread_ids])


DEADLINES = {ASK_AGAIN: Locking(ask_again, _lock)}
