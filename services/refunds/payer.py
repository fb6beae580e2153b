"""The worker that pays refunds to DANA.

A refund to DANA has a deadline at which something is to be done about it. When it fires, what is about to happen is
written down and committed; then DANA is called, outside of any transaction; then the answer is written down. Whatever
dies in between leaves an uncertain refund and a deadline, and the next thing done about it is to ask DANA.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

from contracts.refunds import RefundDelayed
from runtime.database import is_passing
from runtime.events import Event
from runtime.work import Transaction, Work
from services.refunds import domain, store
from services.refunds.answers import Answer
from services.refunds.domain import Refund, State, Step
from services.refunds.handlers import PAY_DANA, issued
from services.refunds.snap import Dana

AT_ONCE = 20
"""Calls to DANA under way at the same time."""

log = logging.getLogger(__name__)


class Payer:
    """Does what is due about refunds to DANA."""

    def __init__(self, work: Work, dana: Dana) -> None:
        self._work = work
        self._dana = dana
        self._free = asyncio.Semaphore(AT_ONCE)
        self._calls: set[asyncio.Task[None]] = set()

    async def due(self, tx: Transaction, subject: str) -> Sequence[Event]:
        """The deadline of one refund: send the money, or ask what became of it, or give it to Lazada Credit."""
        refund, linked, now = await store.lock(tx, UUID(subject))
        if refund is None:
            return []
        match domain.next_step(refund, linked, now):
            case Step.SEND:
                sending = domain.sent(refund, now)
                await store.save(tx, sending)
                await tx.schedule(PAY_DANA, subject, domain.IN_HAND)
                tx.after_commit(lambda: self._start(self._send(refund, sending)))
            case Step.ASK:
                await tx.schedule(PAY_DANA, subject, domain.IN_HAND)
                tx.after_commit(lambda: self._start(self._ask(refund)))
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

    def _start(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _send(self, before: Refund, sending: Refund) -> None:
        assert sending.phone is not None
        phone = sending.phone
        await self._call(
            sending,
            lambda: self._dana.top_up(sending.reference, phone, sending.amount),
            lambda refund, answer, _: domain.answered(before, refund, answer),
        )

    async def _ask(self, refund: Refund) -> None:
        await self._call(refund, lambda: self._dana.status(refund.reference), domain.inquired)

    async def _call(
        self,
        before: Refund,
        call: Callable[[], Awaitable[Answer]],
        learn: Callable[[Refund, Answer, Any], Refund],
    ) -> None:
        async with self._free:
            answer = await call()
        try:
            async with self._work.begin() as tx:
                refund, linked, now = await store.lock(tx, before.refund_id)
                # Somebody else has taken it on meanwhile, because this call took so long: what they learn counts.
                if refund != before:
                    return
                tx.publish(*await _go_on(tx, learn(refund, answer, now), linked, now))
        except Exception as error:
            # The deadline is still set: the refund is asked about when it fires.
            log.log(
                logging.WARNING if is_passing(error) else logging.ERROR,
                "the answer about refund %s was not written down: %r",
                before.refund_id,
                error,
            )


async def _go_on(tx: Transaction, refund: Refund, linked: bool, now: Any) -> Sequence[Event]:
    """Writes down what was learnt of a refund and sets the time for what comes next."""
    await store.save(tx, refund)
    if refund.state is State.ISSUED:
        await store.post(tx, refund, store.Movement.SETTLE)
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
    await store.post(tx, given, store.Movement.RETURN)
    await tx.call_off(PAY_DANA, str(refund.refund_id))
    return [issued(given)]
