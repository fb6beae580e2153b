"""What live connections need to know of cases."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from runtime.http.auth import Identity
from runtime.live.updates import Change, Followed
from runtime.storage.database import Connection
from services.cs import frames, store

MOST = 200
"""Conversations that somebody follows without asking."""


class Cases:
    """The conversations of `cs`: a buyer follows their own cases, an agent those that are with that agent."""

    async def following(self, connection: Connection, person: Identity) -> Sequence[Followed]:
        """The cases that somebody sees live without asking."""
        heads = await store.heads_of(connection, person.account_id, MOST)
        return [Followed(case_id, last_seq) for case_id, last_seq in heads]

    async def readable(self, connection: Connection, person: Identity, ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Those of the cases that somebody may read: agents all of them, a buyer their own."""
        buyer = None if person.role == "agent" else person.account_id
        return await store.heads(connection, ids, buyer)

    async def messages(
        self, connection: Connection, conversation: UUID, after: int, limit: int
    ) -> Sequence[tuple[int, str]]:
        """The messages behind `after`."""
        found = await store.messages(connection, conversation, after, limit)
        return [(message.seq, frames.message(conversation, message)) for message in found]

    async def start(self, connection: Connection, conversation: UUID, since: datetime) -> int:
        """The last message before that time."""
        return await store.last_before(connection, conversation, since)

    async def changed(
        self, connection: Connection, people: Sequence[UUID], ids: Sequence[UUID], since: datetime
    ) -> Sequence[Change]:
        """The cases in which something was said since then, as far as they concern these people or are among `ids`."""
        found = await store.spoken_in(connection, people, ids, since)
        return [Change(case.case_id, last_seq, frames.people(case)) for case, last_seq in found]
