"""What the live part reads of a service's conversations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from runtime.storage.database import Connection


@dataclass(frozen=True)
class Change:
    """A conversation with a recent message, and the accounts that see it without asking."""

    conversation: UUID
    last_seq: int
    members: Sequence[UUID]


class Source(Protocol):
    """Reads a service's conversations: its `store`. Each call gets a connection without a transaction."""

    async def watched(self, connection: Connection, account_id: UUID) -> Sequence[UUID]:
        """The accounts whose presence the account is shown; a few hundred at most."""

    async def readable(self, connection: Connection, reader: UUID | None, ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Those of the conversations `ids` that the account may read, with the last `seq` of each; for None, an agent,
        all of them."""

    async def changed(
        self, connection: Connection, accounts: Sequence[UUID], ids: Sequence[UUID], since: datetime
    ) -> Sequence[Change]:
        """The conversations with a message since then that are among `ids`, or have a member among `accounts`."""
