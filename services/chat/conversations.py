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
from services.chat import store, talk
from services.chat.views import message_frame, publish_message

FOLLOWED = 500
"""Threads that somebody who connects sees live from the start; others, when something is said in them."""


class ReadFrame(BaseModel):
    """Up to where somebody has seen a thread."""

    thread_id: UUID
    seq: int = Field(ge=0, le=2**31 - 1)


class Threads:
    """The threads, as conversations."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

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
        return [(message.seq, message_frame(conversation, publish_message(message))) for message in messages]

    async def start(self, connection: Connection, conversation: UUID, since: datetime) -> int:
        """The last message from before."""
        return await store.last_before(connection, conversation, since)

    async def changed(
        self, connection: Connection, people: Sequence[UUID], ids: Sequence[UUID], since: datetime
    ) -> Sequence[Change]:
        """Threads with something new."""
        return await store.changed(connection, people, ids, since)

    async def on_frame(self, person: Identity, frame: Mapping[str, Any]) -> None:
        """`read` says up to where somebody has seen a thread."""
        if frame.get("type") != "read":
            raise InvalidRequest("There are the types resume, ping and read.")
        try:
            said = ReadFrame.model_validate(frame)
        except ValidationError as error:
            raise InvalidRequest('{"type": "read", "thread_id": "…", "seq": 1}') from error
        async with self._uow.begin() as tx:
            await talk.mark_read(tx, said.thread_id, person, said.seq)
