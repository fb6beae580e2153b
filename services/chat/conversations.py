"""What the live part needs to know of the threads."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError

from runtime.errors import InvalidRequest
from runtime.http.auth import Identity
from runtime.live.conversations import Change, Followed
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.database import Connection
from services.chat import store
from services.chat.thread_writer import ThreadWriter
from services.chat.views import message_frame, message_view

FOLLOWED = 500
"""Threads that somebody who connects sees live from the start; others, when something is said in them."""


class ReadFrame(BaseModel):
    """Up to where somebody has seen a thread."""

    thread_id: UUID
    seq: int = Field(ge=0, le=2**31 - 1)


class Threads:
    """The threads, as conversations."""

    async def following(self, connection: Connection, person: Identity) -> Sequence[Followed]:
        """One's own threads; one is told whether the other one is there."""
        return await store.following(connection, person.account_id, FOLLOWED)

    async def readable(self, connection: Connection, person: Identity, ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """One's own, and for agents all."""
        return await store.heads(connection, ids, None if person.role == "agent" else person.account_id)

    async def messages(
        self, connection: Connection, conversation: UUID, after: int, limit: int
    ) -> Sequence[tuple[int, str]]:
        """The messages, as frames."""
        messages = await store.messages(connection, conversation, after, limit)
        return [(message.seq, message_frame(conversation, message_view(message))) for message in messages]

    async def start(self, connection: Connection, conversation: UUID, since: datetime) -> int:
        """The last message from before."""
        return await store.last_before(connection, conversation, since)

    async def changed(
        self, connection: Connection, people: Sequence[UUID], ids: Sequence[UUID], since: datetime
    ) -> Sequence[Change]:
        """Threads with something new."""
        return await store.changed(connection, people, ids, since)


async def read_frame(threads: ThreadWriter, uow: UnitOfWork, person: Identity, frame: Mapping[str, Any]) -> None:
    """A frame of the type `read` marks a thread as read up to `seq`. Raises `InvalidRequest` and `NoThread`."""
    try:
        read = ReadFrame.model_validate(frame)
    except ValidationError as error:
        raise InvalidRequest('{"type": "read", "thread_id": "…", "seq": 1}') from error
    async with uow.begin() as tx:
        await threads.mark_read(tx, read.thread_id, person, read.seq)
