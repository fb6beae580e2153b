"""Writes messages into threads, and sends them to their members at once."""

from typing import Any
from uuid import UUID

from runtime.errors import NotFound
from runtime.http.auth import Identity
from runtime.live.updates import LiveUpdates
from runtime.messaging.unit_of_work import Transaction
from services.chat import read_models, store, words
from services.chat.domain import Code, Draft, Kind, Thread
from services.chat.store import Posted
from services.chat.views import ReadView, message_frame, thread_frame, unread_frame


class NoThread(NotFound):
    """The thread does not exist, or the account may not read it."""

    def __init__(self) -> None:
        super().__init__("There is no such thread.")


class ThreadWriter:
    """Adds messages to threads, and sends them to their members."""

    def __init__(self, live: LiveUpdates) -> None:
        self._live = live

    async def say(self, tx: Transaction, thread_id: UUID, draft: Draft) -> Posted | None:
        """Adds a message to the thread; None if the sender is no member of such a thread."""
        posted = await store.post(tx, thread_id, draft)
        if posted is None:
            return None
        members = (posted.buyer_id, posted.seller_id)
        self._live.send(tx, members, message_frame(thread_id, posted.message), thread_id)
        for account_id in members:
            if account_id != draft.sender_id:
                self._live.send(
                    tx, [account_id], unread_frame(thread_id, posted.message.seq, posted.unread[account_id])
                )
        if posted.thanked:
            await self.send(tx, thread_id)
        return posted

    async def announce(self, tx: Transaction, thread: Thread, text: str, code: Code, **data: Any) -> None:
        """Adds a message of the system."""
        await self.say(tx, thread.thread_id, Draft(Kind.SYSTEM, None, text, code, data))

    async def send(self, tx: Transaction, thread_id: UUID) -> None:
        """Sends the thread to its members."""
        thread = await store.thread(tx, thread_id)
        if thread is not None:
            for account_id in thread.members:
                self._live.send(tx, [account_id], thread_frame(thread, account_id))

    async def announce_refunds(self, tx: Transaction, thread: Thread) -> None:
        """Announces refunds that the thread does not show yet: that one is late, once, or that it has arrived."""
        for refund in await read_models.take_unshown_refunds(tx, thread.order_id):
            known = {"refund_id": str(refund.refund_id), "destination": str(refund.destination)}
            if refund.amount is None:
                text = words.refund_delayed(refund.destination)
                await self.announce(tx, thread, text, Code.REFUND_DELAYED, **known)
            else:
                text = words.refund_issued(refund.amount, refund.destination)
                await self.announce(tx, thread, text, Code.REFUND_ISSUED, **known, amount=refund.amount)

    async def announce_questions(self, tx: Transaction, thread: Thread) -> None:
        """Announces the questions of customer service that the thread does not show yet."""
        for question in await read_models.take_unshown_questions(tx, thread.order_id):
            text = words.seller_contacted(question.text, question.respond_by)
            known = {"case_id": str(question.case_id), "respond_by": question.respond_by.isoformat()}
            await self.announce(tx, thread, text, Code.SELLER_CONTACTED, **known, question=question.text)

    async def mark_read(self, tx: Transaction, thread_id: UUID, person: Identity, seq: int) -> ReadView:
        """Marks a thread as read, also on the person's other devices. Raises `NoThread`."""
        marked = await store.mark_read(tx, thread_id, person.account_id, seq)
        if marked is None:
            raise NoThread
        last_seq, unread = marked
        self._live.send(tx, [person.account_id], unread_frame(thread_id, last_seq, unread))
        return ReadView(thread_id=thread_id, last_seq=last_seq, unread=unread)
