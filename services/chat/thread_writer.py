"""Writes messages into threads, and sends them to their two people at once."""

from typing import Any
from uuid import UUID

from runtime.errors import NotFound
from runtime.http.auth import Identity
from runtime.live.updates import LiveUpdates
from runtime.messaging.unit_of_work import Transaction
from services.chat import store, words
from services.chat.domain import Code, Kind, Thread
from services.chat.store import Posted
from services.chat.views import ReadView, message_frame, message_view, thread_frame, unread_frame


class NoThread(NotFound):
    """There is no such thread, or it is none of the caller's business."""

    def __init__(self) -> None:
        super().__init__("There is no such thread.")


class ThreadWriter:
    """Adds messages to threads, and sends them to who is connected."""

    def __init__(self, live: LiveUpdates) -> None:
        self._live = live

    async def say(
        self,
        tx: Transaction,
        thread_id: UUID,
        kind: Kind,
        sender_id: UUID | None,
        text: str,
        code: Code | None = None,
        data: dict[str, Any] | None = None,
    ) -> Posted | None:
        """Adds a message to the thread; None if there is no such thread for the sender."""
        posted = await store.post(tx, thread_id, kind, sender_id, text, code, data)
        if posted is None:
            return None
        people = (posted.buyer_id, posted.seller_id)
        seq = posted.message.seq
        self._live.send(tx, people, message_frame(thread_id, message_view(posted.message)), thread_id)
        for account_id in people:
            if account_id != sender_id:
                self._live.send(tx, [account_id], unread_frame(thread_id, seq, posted.unread[account_id]))
        if posted.thanked:
            await self.show(tx, thread_id)
        return posted

    async def announce(self, tx: Transaction, thread_id: UUID, text: str, code: Code, **data: str | int) -> None:
        """Adds a message of the system."""
        await self.say(tx, thread_id, Kind.SYSTEM, None, text, code, data)

    async def show(self, tx: Transaction, thread_id: UUID) -> None:
        """Shows the thread anew to its two people."""
        thread = await store.thread(tx, thread_id)
        if thread is not None:
            for account_id in thread.people:
                self._live.send(tx, [account_id], thread_frame(thread, account_id))

    async def tell_refunds(self, tx: Transaction, thread: Thread) -> None:
        """Says what the thread does not say yet of the refund: that it is late, once, or that it has arrived."""
        for refund in await store.take_untold_refunds(tx, thread.order_id):
            known = {"refund_id": str(refund.refund_id), "destination": str(refund.destination)}
            if refund.amount is None:
                await self.announce(
                    tx, thread.thread_id, words.refund_delayed(refund.destination), Code.REFUND_DELAYED, **known
                )
            else:
                text = words.refund_issued(refund.amount, refund.destination)
                await self.announce(tx, thread.thread_id, text, Code.REFUND_ISSUED, **known, amount=refund.amount)

    async def ask(self, tx: Transaction, thread: Thread) -> None:
        """Shows the seller what customer service asks about the order and the thread does not show yet."""
        for question in await store.take_untold_questions(tx, thread.order_id):
            await self.announce(
                tx,
                thread.thread_id,
                words.seller_contacted(question.text, question.respond_by),
                Code.SELLER_CONTACTED,
                case_id=str(question.case_id),
                question=question.text,
                respond_by=question.respond_by.isoformat(),
            )

    async def mark_read(self, tx: Transaction, thread_id: UUID, person: Identity, seq: int) -> ReadView:
        """Marks a thread as seen, and tells the person's other devices. Raises `NoThread`."""
        marked = await store.mark_read(tx, thread_id, person.account_id, seq)
        if marked is None:
            raise NoThread
        last_seq, unread = marked
        self._live.send(tx, [person.account_id], unread_frame(thread_id, last_seq, unread))
        return ReadView(thread_id=thread_id, last_seq=last_seq, unread=unread)
