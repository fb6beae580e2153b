"""What the live part reads of a service's conversations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from runtime.http.auth import Identity
from runtime.storage.database import Connection


@dataclass(frozen=True)
class Change:
    """A conversation with a recent message, and the accounts that see it without asking."""

    conversation: UUID
    last_seq: int
    members: Sequence[UUID]


class Source(Protocol):
    """Reads a service's conversations. Each call gets a connection without a transaction."""

    async def watched(self, connection: Connection, person: Identity) -> Sequence[UUID]:
        """The accounts whose presence `person` is shown; a few hundred at most."""

    async def readable(self, connection: Connection, person: Identity, ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Those of the conversations `ids` that `person` may read, with the last `seq` of each."""

    async def changed(
        self, connection: Connection, accounts: Sequence[UUID], ids: Sequence[UUID], since: datetime
    ) -> Sequence[Change]:
        """The conversations with a message since then that are among `ids`, or have a member among `accounts`."""
