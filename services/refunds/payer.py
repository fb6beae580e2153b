"""The worker that pays refunds to DANA.

A refund to DANA has a deadline. When it fires, the worker saves its intent and commits; then it calls DANA, outside of
any transaction; then it saves the answer. A crash in between leaves an uncertain refund and a deadline, and the next
step is to ask DANA. A queued payment is not sent if the wallet is unlinked meanwhile.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

from contracts.refunds import RefundDelayed
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.storage.database_errors import is_transient
from services.refunds import domain, hold, store
from services.refunds.answers import Answer, Outcome
from services.refunds.domain import AtOrders, Refund, State, Step
from services.refunds.handlers import issued
from services.refunds.snap import Dana
from services.refunds.store import PAY_DANA

AT_ONCE = 12
"""Calls to DANA under way at the same time: fewer than connections, so that none fails for want of one."""
MAX_QUEUED = 3 * AT_ONCE
"""Calls under way or decided on: no more than can begin within `IN_HAND` when each takes all of 8 seconds."""
RETURNS_PER_SECOND = 200
"""How many deferred refunds come back per second when the queue is full, so that waiting does not load the database."""

log = logging.getLogger(__name__)


class Overtaken(Exception):
    """A call took so long that another worker took the refund: only that worker's answer counts."""


class Payer:
    """Takes the next step of each refund to DANA that is due."""

    def __init__(self, uow: UnitOfWork, dana: Dana) -> None:
        self._uow = uow
        self._dana = dana
        self._free = asyncio.Semaphore(AT_ONCE)
        self._calls: set[asyncio.Task[None]] = set()
        self._deciding: Transaction | None = None
        self._decided = 0
        self._next_turn = 0.0

    async def due(self, tx: Transaction, subject: str) -> Sequence[Event]:
        """The deadline of one refund: sends the money, asks for its status, or credits Lazada Credit."""
        if tx is not self._deciding:
            self._deciding, self._decided = tx, 0
        if len(self._calls) + self._decided >= MAX_QUEUED:
            await tx.schedule(PAY_DANA, subject, self._next_return())
            return []
        refund, linked, now = await store.lock(tx, UUID(subject))
        if refund is None:
            return []
        match domain.next_step(refund, linked, now, on_hold=await hold.is_on(tx)):
            case Step.SEND:
                sending = domain.sent(refund, now)
                await store.save(tx, sending)
                await tx.schedule(PAY_DANA, subject, domain.IN_HAND)
                self._start_after(tx, lambda: self._send(refund, sending, now))
            case Step.ASK:
                await tx.schedule(PAY_DANA, subject, domain.IN_HAND)
                self._start_after(tx, lambda: self._ask(refund, now))
            case Step.CREDIT:
                return await _credit(tx, refund)
            case Step.WAIT | Step.HOLD as wait:
                await tx.schedule(PAY_DANA, subject, domain.pause(refund, wait, now))
        return []

    async def finish(self, within: float) -> None:
        """Waits up to `within` seconds for the calls under way, and cancels the rest."""
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=within)
            for call in late:
                call.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _next_return(self) -> timedelta:
        """When to come back to a full queue: spread over time, not all at once."""
        now = asyncio.get_running_loop().time()
        self._next_turn = max(self._next_turn, now) + 1 / RETURNS_PER_SECOND
        return timedelta(seconds=self._next_turn - now)

    def _start_after(self, tx: Transaction, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Starts the call after the commit. Until then it counts as decided on."""
        self._decided += 1
        tx.after_commit(lambda: self._start(call()))

    def _start(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if self._next_turn > asyncio.get_running_loop().time():
            self._uow.wake_deadlines()

    async def _send(self, before: Refund, sending: Refund, decided_at: datetime) -> None:
        assert sending.phone is not None
        phone = sending.phone
        await self._call(
            "top-up",
            sending,
            decided_at,
            lambda at: self._dana.top_up(sending.reference, phone, sending.amount, at),
            lambda refund, answer: domain.answered(before, refund, answer),
            withdrawn_if_unlinked=True,
        )

    async def _ask(self, refund: Refund, decided_at: datetime) -> None:
        await self._call(
            "status",
            refund,
            decided_at,
            lambda _: self._dana.status(refund.reference, refund.amount),
            lambda refund, answer: domain.inquired(refund, answer, decided_at),
        )

    async def _call(
        self,
        what: str,
        before: Refund,
        decided_at: datetime,
        call: Callable[[datetime], Awaitable[Answer]],
        learn: Callable[[Refund, Answer], Refund],
        *,
        withdrawn_if_unlinked: bool = False,
    ) -> None:
        try:
            async with self._free:
                # Taken before the check: if the process is suspended after it, DANA refuses the payment as too old.
                signed_at = datetime.now(UTC)
                is_current, linked = await self._read_current(before, decided_at)
                if not is_current:
                    return
                if withdrawn_if_unlinked and not linked:
                    answer = Answer(Outcome.WITHDRAWN)
                else:
                    began = perf_counter()
                    answer = await call(signed_at)
                    self._uow.observer.called("dana", what, answer.outcome.value, perf_counter() - began)
            async with self._uow.begin() as tx:
                # The deadline first and then the refund, as when it fires: or else the two could deadlock.
                await tx.schedule(PAY_DANA, str(before.refund_id), domain.IN_HAND)
                refund, linked, now = await store.lock(tx, before.refund_id)
                if refund != before:
                    raise Overtaken
                tx.publish(*await _go_on(tx, learn(refund, answer), linked, now))
        except Overtaken:
            log.info("the answer about refund %s came too late and is ignored", before.refund_id)
        except Exception as error:
            # The deadline is still set: the status is inquired when it fires.
            log.log(
                logging.WARNING if is_transient(error) else logging.ERROR,
                "the answer about refund %s was not saved; DANA is asked again: %r",
                before.refund_id,
                error,
            )

    async def _read_current(self, before: Refund, decided_at: datetime) -> tuple[bool, bool]:
        """Whether the call is still in time (the process may have been suspended since it was decided on), and whether
        the wallet is still linked."""
        async with self._uow.begin() as tx:
            refund, linked, now = await store.read(tx, before.refund_id)
            return refund == before and now - decided_at <= domain.IN_HAND, linked


async def _go_on(tx: Transaction, refund: Refund, linked: bool, now: datetime) -> Sequence[Event]:
    """Saves what was learnt of a refund and schedules its next step."""
    await store.save(tx, refund)
    if refund.state is State.ISSUED:
        await store.post(tx, [refund], store.Movement.SETTLE)
        await tx.call_off(PAY_DANA, str(refund.refund_id))
        return [issued(refund)]
    on_hold = await hold.is_on(tx)
    step = domain.next_step(refund, linked, now, on_hold=on_hold)
    if step is Step.CREDIT:
        return await _credit(tx, refund)
    pause = domain.pause(refund, step, now)
    await tx.schedule(PAY_DANA, str(refund.refund_id), pause)
    if on_hold or refund.at_orders not in (None, AtOrders.OPEN):
        return []  # it may have arrived, as far as all others know
    return [RefundDelayed.model_validate(vars(refund) | {"next_attempt_at": now + pause})]


async def _credit(tx: Transaction, refund: Refund) -> Sequence[Event]:
    """Gives up on DANA: credits Lazada Credit instead."""
    given = domain.credited(refund)
    await store.save(tx, given)
    await store.post(tx, [given], store.Movement.RETURN)
    await tx.call_off(PAY_DANA, str(refund.refund_id))
    return [issued(given)]
