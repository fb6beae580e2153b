"""The process manager: what happens to a case, from the contact with its seller to the answer of `orders`.

    contact_seller    the agent asks the seller, who has 24 hours (A)
    ask_again         there is no answer: the seller, or later `orders`, is asked again
    seller_replied    an answer in time: nothing is cancelled, and the case returns to its agent;
    order_packed      so does the seller's processing of the order
    order_shipped
    seller_silent     the 24 hours are over
    settled           no event from within the 24 hours is in flight any more: `orders` is asked to cancel
    orders_cancelled  the answer: the case is resolved
    cancel_rejected   or it returns to its agent
    close             the agent ends the case

Each step takes the locks that `store.py` names, decides by a rule of `domain.py`, and saves; what it publishes belongs
to the trace that began with the case. Which state follows which is in `domain.TRANSITIONS`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from contracts.chat import SellerReplied
from contracts.cs import ANSWER_WITHIN, CaseClosed, Outcome, SellerContacted
from contracts.orders import (
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderItemsCancelled,
    OrderPacked,
    OrderShipped,
    RequesterRole,
)
from contracts.words import Channel, OrderStatus
from runtime.live.updates import LiveUpdates
from runtime.messaging import deadlines
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import TraceContext, current_context, new_id, use_context
from services.cs import agents, domain, store, views
from services.cs.domain import OVER, Case, SellerDid, State
from services.cs.store import Message, Phrase

SELLER_SILENT = "seller_silent"
"""The deadline at which the seller's 24 hours are over (A)."""
SETTLED = "settled"
"""The deadline at which no event from within the 24 hours is in flight any more."""
ASK_AGAIN = "ask_again"
"""The deadline at which the seller, or `orders`, is asked again."""
ASK_SELLER_AGAIN = timedelta(minutes=5)
"""Until the seller is asked again for the first time: people take their time, and the question may be lost."""
NOTE = "Penjual tidak menjawab layanan pelanggan dalam 24 jam."

HasSettled = Callable[[Transaction, Case], Awaitable[bool]]


class Cases:
    """The steps of the process. An agent has at most `max_cases` active cases. `settling` is the real time that events
    in flight get to arrive when the 24 hours are over; `has_settled` is true once they have."""

    def __init__(self, live: LiveUpdates, has_settled: HasSettled, *, max_cases: int, settling: timedelta) -> None:
        self._live = live
        self._has_settled = has_settled
        self.max_cases = max_cases
        self.settling = settling
        self.turn = asyncio.Lock()
        """Held by the task of this process that wants its turn (`agents.in_turn`): only one connection waits for it."""
        self.returned = asyncio.Event()
        """Set when a case is in the queue for which an agent may have room."""
        self.queue_changed = asyncio.Event()
        """Set when positions in the queue, or the number of agents on duty, may have changed."""

    async def contact_seller(self, tx: Transaction, case: Case, agent_id: UUID, question: str) -> Case:
        """The agent asks the seller, who has 24 hours to answer, pack or ship (A). To be called in the turn."""
        order = await self._order(tx, case)
        status = order.status if order else None
        asked = domain.contact(case, agent_id, status, await tx.now() + ANSWER_WITHIN)
        assert order is not None
        assert order.seller_id is not None
        with self.trace_of(case):
            await tx.schedule(SELLER_SILENT, str(case.case_id), ANSWER_WITHIN)
            asked = replace(asked, respond_by=await store.due(tx, SELLER_SILENT, case.case_id))
            assert asked.respond_by is not None
            await self.save(tx, asked)
            await self._begin_asking(tx, asked, ASK_SELLER_AGAIN)
            await self.say(tx, asked, views.seller_contacted(order.order_id, question, asked.respond_by))
            tx.publish(_question(asked, order.seller_id, question))
        await self.give_cases(tx)
        return asked

    async def _begin_asking(self, tx: Transaction, case: Case, first: timedelta = deadlines.SHORTEST) -> None:
        await store.note_asked(tx, case.case_id)
        await tx.schedule(ASK_AGAIN, str(case.case_id), first)

    async def ask_again(self, tx: Transaction, case_id: str) -> Sequence[Event]:
        """There is no answer yet: the question, or the answer, may be lost. The service that is asked again answers
        again, and does nothing twice."""
        case = await store.lock(tx, UUID(case_id))
        if case is None:
            return []
        asks_orders = case.state is State.CANCELLING and case.cancellation_id is not None
        asks_seller = case.state is State.AWAITING_SELLER and case.respond_by and await tx.now() < case.respond_by
        if not asks_orders and not asks_seller:
            return []
        waited = await store.since_asked(tx, case.case_id)
        if not asks_orders and waited < ASK_SELLER_AGAIN:  # a demonstration has moved the clock
            await tx.schedule(ASK_AGAIN, case_id, ASK_SELLER_AGAIN - waited)
            return []
        await tx.schedule(ASK_AGAIN, case_id, deadlines.pause(waited))
        if asks_orders:
            return [_request(case)]
        order = await self._order(tx, case)
        assert order is not None
        assert order.seller_id is not None
        return [_question(case, order.seller_id, await store.question(tx, case.case_id))]

    async def seller_replied(self, tx: Transaction, reply: SellerReplied) -> None:
        """The seller has answered: nothing is cancelled (A)."""
        case = await store.lock(tx, reply.case_id)
        if case is not None and case.state in OVER:
            self._publish_end(tx, case)  # `chat` has not consumed it
        await self._seller_acted(tx, [case] if case else [], reply.order_id, SellerDid.REPLIED)

    async def order_packed(self, tx: Transaction, packed: OrderPacked) -> None:
        """The seller processes the order: nothing is cancelled (A)."""
        await store.note_status(tx, {packed.order_id: tx.sequence}, OrderStatus.PACKED)
        cases = (await store.about(tx, packed.order_id))[packed.order_id]
        assert tx.envelope is not None
        asked = [case for case in cases if domain.contacted_before(case, tx.envelope.time)]
        await self._seller_acted(tx, asked, packed.order_id, SellerDid.PACKED)

    async def order_shipped(self, tx: Transaction, shipped: OrderShipped) -> None:
        """The seller has shipped the order: nothing is cancelled (A)."""
        await store.note_status(tx, {shipped.order_id: tx.sequence}, OrderStatus.SHIPPED)
        cases = (await store.about(tx, shipped.order_id))[shipped.order_id]
        await self._seller_acted(tx, cases, shipped.order_id, SellerDid.SHIPPED)

    async def _seller_acted(self, tx: Transaction, cases: Sequence[Case], order_id: UUID, deed: SellerDid) -> None:
        assert tx.envelope is not None
        for case in cases:
            if returned := domain.seller_acted(case, order_id, tx.envelope.time):
                await self._call_off(tx, case)
                await self.save(tx, returned)
                await self.say(tx, returned, views.called_off(deed, order_id))
            elif case.order_id == order_id and case.state in (State.AWAITING_SELLER, State.CANCELLING):
                await self.say(tx, case, views.too_late(deed, order_id))

    async def seller_silent(self, tx: Transaction, case_id: str) -> Sequence[Event]:
        """24 hours without an answer: the order is to be cancelled (A), unless an answer is still in flight."""
        case = await store.lock(tx, UUID(case_id))
        if case is None or (silent := domain.run_out(case)) is None:
            return []
        await self.save(tx, silent)
        await store.begin_settling(tx, case.case_id, self.settling)
        await tx.schedule(SETTLED, case_id, self.settling)
        await self.say(tx, silent, views.SELLER_SILENT)
        return []

    async def settled(self, tx: Transaction, case_id: str) -> Sequence[Event]:
        """No answer from within the 24 hours was in flight: `orders` is asked to cancel."""
        case = await store.lock(tx, UUID(case_id))
        if case is None or (asking := domain.request_cancellation(case, new_id())) is None:
            return []
        if not await self._has_settled(tx, case):
            await tx.schedule(SETTLED, case_id, self.settling)
            return []
        await self.save(tx, asking)
        await self._begin_asking(tx, asking)
        return [_request(asking)]

    async def orders_cancelled(self, tx: Transaction, envelopes: Sequence[Envelope[OrderCancelled]]) -> None:
        """The orders are cancelled, through any channel: a case that waited for its seller is resolved.

        `orders` publishes the event again when no refund follows; that changes nothing here.
        """
        first = {envelope.data.order_id: envelope for envelope in reversed(envelopes)}
        known = await store.orders(tx, list(first))
        new = {
            order_id: envelope
            for order_id, envelope in first.items()
            if order_id not in known or known[order_id].status is not OrderStatus.CANCELLED
        }
        if not new:
            return
        sequences = {order_id: envelope.sequence for order_id, envelope in new.items()}
        await store.note_status(tx, sequences, OrderStatus.CANCELLED)
        for order_id, cases in (await store.about(tx, *new)).items():
            cancelled = new[order_id].data
            with tx.caused_by(new[order_id]):
                for case in cases:
                    ours = case.cancellation_id == cancelled.cancellation_id
                    await self.say(tx, case, views.order_cancelled(cancelled, ours=ours))
                    if resolved := domain.order_cancelled(case):
                        await self.save(tx, resolved)

    async def items_cancelled(self, tx: Transaction, cancelled: OrderItemsCancelled) -> None:
        """Pieces are cancelled, through any channel: the cases show it, and what is left still waits for its seller."""
        order_id, lines = cancelled.order_id, [line.model_dump(mode="json") for line in cancelled.lines]
        if await store.note_part(tx, order_id, cancelled.cancellation_id, lines):
            phrase = views.items_cancelled(cancelled, (await store.orders(tx, [order_id]))[order_id])
            for case in (await store.about(tx, order_id))[order_id]:
                await self.say(tx, case, phrase)

    async def cancel_rejected(self, tx: Transaction, rejected: OrderCancelRejected) -> None:
        """`orders` does not cancel the order: the case gives the reason, and returns to its agent."""
        for case in (await store.about(tx, rejected.order_id))[rejected.order_id]:
            changed = domain.rejected(case, rejected.cancellation_id, rejected.code)
            if changed is None:
                continue
            await self.say(tx, case, views.cancel_rejected(rejected.order_id, rejected.code, rejected.detail))
            if changed.state is case.state:
                await store.save(tx, changed)
            else:
                await self._call_off(tx, case)
                await self.save(tx, changed)

    async def close(self, tx: Transaction, case: Case, agent_id: UUID, outcome: Outcome) -> Case:
        """The agent ends the case. To be called in the turn."""
        order = await self._order(tx, case)
        closed = domain.close(case, agent_id, outcome, order.status if order else None)
        if closed != case:
            await self.save(tx, closed)
            await self.say(tx, closed, views.case_closed(outcome))
            await self.give_cases(tx)
        return closed

    async def save(self, tx: Transaction, case: Case) -> None:
        """Writes the case. A case that is over publishes `CaseClosed`; a case in the queue wakes the router."""
        await store.save(tx, case)
        if case.state in OVER:
            await self._call_off(tx, case)
            self._publish_end(tx, case)
        if case.is_queued:
            tx.after_commit(self.returned.set)
            tx.after_commit(self.queue_changed.set)
        self._live.send(tx, case.members, views.case_frame(case))

    async def _call_off(self, tx: Transaction, case: Case) -> None:
        for kind in (SELLER_SILENT, SETTLED, ASK_AGAIN):
            await tx.call_off(kind, str(case.case_id))

    def _publish_end(self, tx: Transaction, case: Case) -> None:
        with self.trace_of(case):
            tx.publish(CaseClosed.model_validate(case, from_attributes=True))

    async def _order(self, tx: Transaction, case: Case) -> store.Order | None:
        return (await store.orders(tx, [case.order_id])).get(case.order_id) if case.order_id else None

    @contextmanager
    def trace_of(self, case: Case) -> Iterator[None]:
        """What happens inside the block continues the trace that began with the case."""
        context = TraceContext(case.correlation_id, current_context().causation_id, case.traceparent)
        with use_context(context.caused_by(context.causation_id)):
            yield

    async def say(self, tx: Transaction, case: Case, words: Phrase | str, sender: UUID | None = None) -> Message:
        """Adds a message to the case."""
        message = await store.say(tx, case.case_id, words, sender)
        self._send(tx, case, message)
        return message

    def _send(self, tx: Transaction, case: Case, message: Message) -> None:
        frame = views.message_frame(case.case_id, message)
        self._live.send(tx, case.members, frame, case.case_id)

    async def take_turn(self, tx: Transaction, *ids: UUID, leaving: Sequence[UUID] = ()) -> None:
        """Locks what may change while cases are given or taken: the cases `ids`, those of the agents `leaving`, and the
        front of the queue. To be called before anything else is locked."""
        await agents.in_turn(tx)
        await agents.lock_cases(tx, self.max_cases, ids, leaving)

    async def give_cases(self, tx: Transaction) -> None:
        """Gives waiting cases to agents who have room. To be called in the turn, after what changed the queue."""
        for case, message in await agents.give_cases(tx, self.max_cases, views.agent_joined):
            self._send(tx, case, message)
            self._live.send(tx, case.members, views.case_frame(case))
        tx.after_commit(self.queue_changed.set)

    async def go_off_duty(self, tx: Transaction, ids: Sequence[UUID]) -> None:
        """The agents go off duty; their cases go to others. To be called in the turn that locked their cases."""
        for case in await agents.go_off_duty(tx, ids):
            await self.say(tx, case, views.AGENT_LEFT)
            self._live.send(tx, [*case.members, *ids], views.case_frame(case))
        self._live.send(tx, ids, views.duty_frame(on=False))
        await self.give_cases(tx)


def _question(case: Case, seller_id: UUID, question: str) -> SellerContacted:
    return SellerContacted.model_validate({**vars(case), "seller_id": seller_id, "question": question})


def _request(case: Case) -> OrderCancelRequested:
    request = {"channel": Channel.CS, "requested_by": None, "role": RequesterRole.SYSTEM, "note": NOTE}
    return OrderCancelRequested.model_validate({**vars(case), **request})
