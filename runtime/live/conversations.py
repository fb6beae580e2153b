"""What the live part needs to know of a service's conversations: where they are kept, and the last few messages."""

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from runtime.http.auth import Identity
from runtime.storage.database import Connection

RING, RINGS = 16, 2000
"""Messages kept of each conversation, and conversations of which they are kept."""


@dataclass(frozen=True)
class Followed:
    """A conversation of somebody who connects: its last message, and the accounts whose presence they are shown."""

    conversation: UUID
    last_seq: int
    others: Sequence[UUID] = ()


@dataclass(frozen=True)
class Change:
    """A conversation in which something was said lately, and who is to see it."""

    conversation: UUID
    last_seq: int
    people: Sequence[UUID]


class Source(Protocol):
    """What a service tells of its conversations. Each call gets a connection without a transaction."""

    async def following(self, connection: Connection, person: Identity) -> Sequence[Followed]:
        """The conversations that somebody sees live without asking, those with the newest activity first; a few
        hundred are enough, the others are found when something is said in them."""

    async def readable(self, connection: Connection, person: Identity, ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Those of the conversations `ids` that somebody may read, with the last `seq` of each."""

    async def messages(
        self, connection: Connection, conversation: UUID, after: int, limit: int
    ) -> Sequence[tuple[int, str]]:
        """`seq` and frame of the messages from `after` + 1 on."""

    async def start(self, connection: Connection, conversation: UUID, since: datetime) -> int:
        """The `seq` of the last message written before `since`; 0 if there is none."""

    async def changed(
        self, connection: Connection, people: Sequence[UUID], ids: Sequence[UUID], since: datetime
    ) -> Sequence[Change]:
        """Conversations with a message since then that are among `ids`, or that one of `people` follows."""


class Recent:
    """The last messages of the conversations in which something was said last, so that they need not be read."""

    def __init__(self) -> None:
        self._rings: OrderedDict[UUID, deque[tuple[int, str]]] = OrderedDict()

    def keep(self, conversation: UUID, seq: int, frame: str) -> None:
        """Keeps a message, if it is the next one, or newer than what is kept."""
        ring = self._rings.setdefault(conversation, deque(maxlen=RING))
        self._rings.move_to_end(conversation)
        if len(self._rings) > RINGS:
            self._rings.popitem(last=False)
        last = ring[-1][0] if ring else seq - 1
        if seq > last:
            if seq > last + 1:
                ring.clear()
            ring.append((seq, frame))

    def after(self, conversation: UUID, seq: int) -> list[tuple[int, str]]:
        """The messages from `seq` + 1 on; none if that one is not kept."""
        ring = self._rings.get(conversation)
        if not ring or not ring[0][0] <= seq + 1 <= ring[-1][0]:
            return []
        return list(ring)[seq + 1 - ring[0][0] :]
