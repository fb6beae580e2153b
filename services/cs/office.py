"""What every change of a case brings with it, whoever makes it: messages, live frames, the routing, the one story."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from contracts.cs import CaseClosed
from runtime.live.updates import LiveUpdates
from runtime.messaging import deadlines
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import TraceContext, current_context, use_context
from services.cs import agents, frames, store
from services.cs.domain import OVER, Case
from services.cs.stability import BrokerStability
from services.cs.words import AGENT_LEFT, Phrase

SELLER_SILENT = "seller_silent"
"""The deadline at which the seller's 24 hours are over (A)."""
SETTLED = "settled"
"""The deadline at which no event from within the 24 hours is on its way any more."""
ASK_AGAIN = "ask_again"
"""The deadline at which what was asked, the seller or `orders`, is asked again."""
ASK_SELLER_AGAIN = timedelta(minutes=5)
"""Until the seller is asked again for the first time: people take their time, and the question may have got lost."""


class Office:
    """Where cases are kept. An agent has at most `max_cases` active cases. `settling` is the real time that is left for
    events in flight when the 24 hours are over."""

    def __init__(self, stability: BrokerStability, live: LiveUpdates, *, max_cases: int, settling: timedelta) -> None:
        self._live = live
        self.stability = stability
        self.max_cases = max_cases
        self.settling = settling
        self.turn = asyncio.Lock()
        """Held by those of this process who want their turn (`agents.in_turn`), so that one connection waits for it."""
        self.came_back = asyncio.Event()
        """Set when a case is in the queue that perhaps somebody could take."""
        self.moved = asyncio.Event()
        """Set when places in the queue, or the number of agents on duty, may be others."""

    @contextmanager
    def telling(self, case: Case) -> Iterator[None]:
        """What happens inside the block goes on with the story that began with the case."""
        context = TraceContext(case.correlation_id, current_context().causation_id, case.traceparent)
        with use_context(context.caused_by(context.causation_id)):
            yield

    async def say(self, tx: Transaction, case: Case, words: Phrase | str, sender: UUID | None = None) -> store.Message:
        """Adds a message to the case."""
        message = await store.say(tx, case.case_id, words, sender)
        self._send(tx, case, message)
        return message

    def _send(self, tx: Transaction, case: Case, message: store.Message) -> None:
        frame = frames.message(case.case_id, message)
        self._live.send_message(tx, case.case_id, message.seq, frame, frames.people(case))

    async def save(self, tx: Transaction, case: Case) -> None:
        """Writes the case; one that is over is told of (`CaseClosed`), one that waits for an agent is routed."""
        await store.save(tx, case)
        if case.state in OVER:
            await self.call_off(tx, case)
            self.tell_end(tx, case)
        if case.is_queued:
            tx.after_commit(self.came_back.set)
            tx.after_commit(self.moved.set)
        self._live.send(tx, frames.people(case), frames.case(case))

    def tell_end(self, tx: Transaction, case: Case) -> None:
        """Says how the case ended."""
        assert case.outcome is not None
        with self.telling(case):
            tx.publish(CaseClosed(case_id=case.case_id, order_id=case.order_id, outcome=case.outcome))

    async def begin_asking(self, tx: Transaction, case: Case, first: timedelta = deadlines.SHORTEST) -> None:
        """What is asked now is asked again after `first`, and on until it is answered."""
        await store.note_asked(tx, case.case_id)
        await tx.schedule(ASK_AGAIN, str(case.case_id), first)

    async def call_off(self, tx: Transaction, case: Case) -> None:
        """Nothing is cancelled for the seller's silence, and nothing more is asked."""
        for kind in (SELLER_SILENT, SETTLED, ASK_AGAIN):
            await tx.call_off(kind, str(case.case_id))

    async def take_turn(self, tx: Transaction, *ids: UUID, leaving: Sequence[UUID] = ()) -> None:
        """Locks what may change while cases are given or taken: the cases `ids`, those of the agents `leaving`, and the
        front of the queue. To be called before anything else is locked."""
        await agents.in_turn(tx)
        await agents.lock_cases(tx, self.max_cases, ids, leaving)

    async def give_cases(self, tx: Transaction) -> None:
        """Gives waiting cases to agents who have room; to be called in the turn, after what changed the queue."""
        for case, message in await agents.give_cases(tx, self.max_cases):
            self._send(tx, case, message)
            self._live.send(tx, frames.people(case), frames.case(case))
        tx.after_commit(self.moved.set)

    async def send_home(self, tx: Transaction, ids: Sequence[UUID]) -> None:
        """The agents go off duty; their cases go to others. To be called in the turn that locked their cases."""
        for case in await agents.go_off_duty(tx, ids):
            await self.say(tx, case, AGENT_LEFT)
            self._live.send(tx, [*frames.people(case), *ids], frames.case(case))
        self._live.send(tx, ids, frames.duty(on=False))
        await self.give_cases(tx)
