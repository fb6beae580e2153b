"""What the live part reads of the threads."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError

from runtime.errors import InvalidRequest
from runtime.http.auth import Identity
from runtime.live.conversations import Change
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.database import Connection
from services.chat import store
from services.chat.thread_writer import ThreadWriter

MAX_WATCHED = 500
"""Accounts whose presence one client is sent."""


class ReadFrame(BaseModel):
    """The last message of a thread that was read."""

    thread_id: UUID
    seq: int = Field(ge=0, le=2**31 - 1)


class Threads:
    """The threads, as conversations."""

    async def watched(self, connection: Connection, person: Identity) -> Sequence[UUID]:
        """The other members of the person's own threads."""
        return await store.counterparts(connection, person.account_id, MAX_WATCHED)

    async def readable(self, connection: Connection, person: Identity, ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """The person's own threads; for agents, all."""
        return await store.heads(connection, ids, None if person.role == "agent" else person.account_id)

    async def changed(
        self, connection: Connection, accounts: Sequence[UUID], ids: Sequence[UUID], since: datetime
    ) -> Sequence[Change]:
        """The threads with a message since then."""
        return await store.changed(connection, accounts, ids, since)


async def read_frame(threads: ThreadWriter, uow: UnitOfWork, person: Identity, frame: Mapping[str, Any]) -> None:
    """A frame of the type `read` marks a thread as read up to `seq`. Raises `InvalidRequest` and `NoThread`."""
    try:
        read = ReadFrame.model_validate(frame)
    except ValidationError as error:
        raise InvalidRequest('{"type": "read", "thread_id": "…", "seq": 1}') from error
    async with uow.begin() as tx:
        await threads.mark_read(tx, read.thread_id, person, read.seq)
