"""The worker that pays refunds to DANA.

A refund to DANA has a deadline at which something is to be done about it. When it fires, what is about to happen is
written down and committed; then DANA is called, outside of any transaction; then the answer is written down. Whatever
dies in between leaves an uncertain refund and a deadline, and the next thing done about it is to ask DANA. A payment
that waits for its turn is not made if the wallet is unlinked meanwhile: nothing was sent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

from contracts.refunds import RefundDelayed
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.storage.database_errors import is_transient
from services.refunds import domain, store
from services.refunds.answers import Answer, Outcome
from services.refunds.domain import Refund, State, Step
from services.refunds.handlers import PAY_DANA, issued
from services.refunds.snap import Dana

AT_ONCE = 12
"""Calls to DANA under way at the same time: fewer than it has connections, so that none fails for want of one."""
IN_LINE = 3 * AT_ONCE
"""Calls that are under way or decided on: no more than can begin within `IN_HAND` when each takes all of 8 seconds."""
TURNS = 200
"""So many a second are told to come back when the line is full: what waits must not keep the database busy."""

log = logging.getLogger(__name__)


class Overtaken(Exception):
    """Somebody else has taken the refund on meanwhile, because a call took so long: what they learn counts."""


class Payer:
    """Does what is due about refunds to DANA."""

    def __init__(self, uow: UnitOfWork, dana: Dana) -> None:
        self._uow = uow
        self._dana = dana
        self._free = asyncio.Semaphore(AT_ONCE)
        self._calls: set[asyncio.Task[None]] = set()
        self._deciding: Transaction | None = None
        self._decided = 0
        self._next_turn = 0.0

    async def due(self, tx: Transaction, subject: str) -> Sequence[Event]:
        """The deadline of one refund: send the money, or ask what became of it, or give it to Lazada Credit."""
        if tx is not self._deciding:
            self._deciding, self._decided = tx, 0
        if len(self._calls) + self._decided >= IN_LINE:
            await tx.schedule(PAY_DANA, subject, self._turn())
            return []
        refund, linked, now = await store.lock(tx, UUID(subject))
        if refund is None:
            return []
        match domain.next_step(refund, linked, now):
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
            case Step.WAIT as wait:
                await tx.schedule(PAY_DANA, subject, domain.pause(refund, wait, now))
        return []

    async def finish(self, within: float) -> None:
        """Waits for the calls that are under way, for so many seconds, and breaks off the rest."""
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=within)
            for call in late:
                call.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _turn(self) -> timedelta:
        """When to come back to a line that is full: one after the other, and not all at once."""
        now = asyncio.get_running_loop().time()
        self._next_turn = max(self._next_turn, now) + 1 / TURNS
        return timedelta(seconds=self._next_turn - now)

    def _start_after(self, tx: Transaction, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Has the call begin once this is committed. Until then it takes its place in the line as one decided on."""
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
            lambda: self._dana.top_up(sending.reference, phone, sending.amount),
            lambda refund, answer: domain.answered(before, refund, answer),
            withdrawn_if_unlinked=True,
        )

    async def _ask(self, refund: Refund, decided_at: datetime) -> None:
        await self._call(
            "status",
            refund,
            decided_at,
            lambda: self._dana.status(refund.reference),
            lambda refund, answer: domain.inquired(refund, answer, decided_at),
        )

    async def _call(
        self,
        what: str,
        before: Refund,
        decided_at: datetime,
        call: Callable[[], Awaitable[Answer]],
        learn: Callable[[Refund, Answer], Refund],
        *,
        withdrawn_if_unlinked: bool = False,
    ) -> None:
        try:
            async with self._free:
                is_current, linked = await self._look(before, decided_at)
                if not is_current:
                    return
                if withdrawn_if_unlinked and not linked:
                    answer = Answer(Outcome.WITHDRAWN)
                else:
                    began = perf_counter()
                    answer = await call()
                    self._uow.observer.called("dana", what, answer.outcome.value, perf_counter() - began)
            async with self._uow.begin() as tx:
                # The deadline first and then the refund, as when it fires: or else the two could wait for each other.
                await tx.schedule(PAY_DANA, str(before.refund_id), domain.IN_HAND)
                refund, linked, now = await store.lock(tx, before.refund_id)
                if refund != before:
                    raise Overtaken
                tx.publish(*await _go_on(tx, learn(refund, answer), linked, now))
        except Overtaken:
            log.info("the answer about refund %s came too late to count", before.refund_id)
        except Exception as error:
            # The deadline is still set: the refund is asked about when it fires.
            log.log(
                logging.WARNING if is_transient(error) else logging.ERROR,
                "the answer about refund %s was not written down: %r",
                before.refund_id,
                error,
            )

    async def _look(self, before: Refund, decided_at: datetime) -> tuple[bool, bool]:
        """Whether it is still time for a call (not, say, when the process was suspended since it was decided on), and
        whether the wallet is still linked."""
        async with self._uow.begin() as tx:
            refund, linked, now = await store.look(tx, before.refund_id)
            return refund == before and now - decided_at <= domain.IN_HAND, linked


async def _go_on(tx: Transaction, refund: Refund, linked: bool, now: datetime) -> Sequence[Event]:
    """Writes down what was learnt of a refund and sets the time for what comes next."""
    await store.save(tx, refund)
    if refund.state is State.ISSUED:
        await store.post(tx, [refund], store.Movement.SETTLE)
        await tx.call_off(PAY_DANA, str(refund.refund_id))
        return [issued(refund)]
    step = domain.next_step(refund, linked, now)
    if step is Step.CREDIT:
        return await _credit(tx, refund)
    pause = domain.pause(refund, step, now)
    await tx.schedule(PAY_DANA, str(refund.refund_id), pause)
    return [
        RefundDelayed(
            refund_id=refund.refund_id,
            order_id=refund.order_id,
            buyer_id=refund.buyer_id,
            destination=refund.destination,
            attempts=refund.attempts,
            next_attempt_at=now + pause,
        )
    ]


async def _credit(tx: Transaction, refund: Refund) -> Sequence[Event]:
    """Gives up on DANA: the money goes to Lazada Credit."""
    given = domain.credited(refund)
    await store.save(tx, given)
    await store.post(tx, [given], store.Movement.RETURN)
    await tx.call_off(PAY_DANA, str(refund.refund_id))
    return [issued(given)]
