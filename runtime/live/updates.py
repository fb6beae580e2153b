"""Sends what happens in conversations at once to the clients that are connected, at any replica.

A service with conversations (threads of chat, cases of customer service) builds `LiveUpdates` with its own `Source`:

    live = LiveUpdates("chat", database, redis, store, origins(env))       # in main.build
    live.attach(service)
    add_live_routes(router)                                                # in api.py: POST …/tickets, WS …/live

and hands it the frames of a transaction, which are sent once that has committed:

    live.send(tx, [buyer_id, seller_id], frame, thread_id)                 # also to those who follow the thread
    live.send(tx, [buyer_id], frame)

`frame` is JSON, made once for all its readers. Frames may get lost, messages may not: those of one conversation have
`seq` 1, 2, 3, … in a table. A client fetches `GET …/messages?after=<the last seq it has>` whenever

- it has connected, or connected again;
- a message's `seq` is not the next one;
- a hint names a `seq` that it does not have: `{"type": "hint", "conversation": "<id>", "seq": 12}`.

It ignores a message that it has already. A hint is sent for what a frame may not have brought (Redis was away, a
replica died): the replicas search PostgreSQL for it as soon as Redis is back, else within `SWEEP` seconds, or
`AWAY_SWEEP` while Redis is away.

A client may send `{"type": "follow", "conversations": ["<id>", …]}`: from then on it also gets the messages of
conversations that it may read and is no member of; a hint for each says where the conversation stands. It may send
`{"type": "ping"}`, answered by `pong`, and the types in `LiveUpdates.on_frame`. A mistake is answered by
`{"type": "error", "code": …, "detail": …}`.
Close codes: 4000 when the access token has expired, 4008 for a slow reader, 1009 for a frame over 16 KiB, 1012 when the
process stops. After each of them: a new ticket, connect, and fetch. 4001 when the session has ended: sign in again.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from redis.asyncio import Redis

from runtime.backoff import woken
from runtime.http.auth import Identity
from runtime.http.revocations import Revocations
from runtime.live.conversations import Change, Source
from runtime.live.presence import Presence
from runtime.live.sockets import OVER, Socket
from runtime.live.tickets import Tickets, origins
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.telemetry import LIVE_SOCKETS
from runtime.repeating import repeat
from runtime.service import Service
from runtime.storage.broadcast import RedisBroadcast
from runtime.storage.database import Database
from runtime.storage.redis import writes

__all__ = ["Change", "LiveUpdates", "LiveUpdatesDep", "Source", "origins"]

SWEEP, AWAY_SWEEP = 15.0, 1.0
"""Seconds between two searches in PostgreSQL for what no frame brought: with Redis, and while it is away."""
MARGIN = timedelta(seconds=60)
"""Longer than any transaction takes: a message may be committed that long after its time."""
READERS = 4
"""Connections that reading for sockets may take, so that a storm of clients leaves some for requests."""


@dataclass
class LiveUpdates:
    """The sockets of one replica, and its connection to the other replicas."""

    service: str
    database: Database
    redis: Redis
    source: Source
    allowed: frozenset[str]
    on_frame: dict[str, Callable[[Identity, Mapping[str, Any]], Awaitable[None]]] = field(default_factory=dict)
    """The handlers of the service's own types of frames. They raise a `Refusal`."""
    on_arrival: list[Callable[[Identity], None]] = field(default_factory=list)
    """Called when an account has opened its first socket at this replica."""

    def __post_init__(self) -> None:
        service = self.service
        self.tickets = Tickets(self.redis, service, lambda: self.broadcast.away)
        self.broadcast = RedisBroadcast(self.redis, f"{service}:live", self._receive, self._miss)
        self.presence = Presence(self.redis, service, self.broadcast)
        self.revocations = Revocations(self.redis)
        self.revocations.on_end.append(self._end)
        self._followers: dict[UUID, set[Socket]] = {}
        self._reading = asyncio.Semaphore(READERS)
        self._missed = asyncio.Event()
        self._since: datetime | None = None
        self._found: dict[UUID, int] = {}

    def attach(self, service: Service) -> None:
        """Makes this the live part of the service."""

        async def redis_writes() -> bool:
            return not self.broadcast.away and await writes(self.redis, service.name)

        service.app.state.live = self
        service.background.append(self.run)
        self.revocations.attach(service.app, service.background)
        service.on_stop.append(self.redis.aclose)
        service.optional_checks["redis"] = redis_writes

    @property
    def connected(self) -> Collection[UUID]:
        """The accounts that have a socket at this replica now."""
        return self.presence.sockets.keys()

    async def online(self, accounts: Collection[UUID]) -> set[UUID]:
        """Which of the accounts have a socket at any replica, as far as is known."""
        return await self.presence.online(accounts)

    def send(self, tx: Transaction, to: Collection[UUID], frame: str, conversation: UUID | None = None) -> None:
        """Sends a frame to the accounts `to` and to the followers of the conversation, at all replicas, once the
        transaction has committed."""
        tx.after_commit(partial(self._send, to, frame, conversation))

    def deliver(self, to: Collection[UUID], frame: str, conversation: UUID | None = None) -> None:
        """Sends a frame now, to sockets at this replica only."""
        sockets = {socket for account in to for socket in self.presence.sockets.get(account, ())}
        for socket in sockets | self._followers.get(conversation, set()) if conversation else sockets:
            socket.send(frame)

    def _send(self, to: Collection[UUID], frame: str, conversation: UUID | None) -> None:
        self.deliver(to, frame, conversation)
        address = {"to": [str(account) for account in to], "conversation": conversation and str(conversation)}
        self.broadcast.publish(f"{json.dumps(address)}\n{frame}")

    def _receive(self, text: str) -> None:
        head, _, frame = text.partition("\n")
        notice = json.loads(head)
        if "presence" in notice:
            self.presence.on_frame(UUID(notice["presence"]), bool(notice["online"]))
        else:
            conversation = notice.get("conversation")
            self.deliver([UUID(account) for account in notice["to"]], frame, conversation and UUID(conversation))

    def _miss(self) -> None:
        self._missed.set()
        if not self.broadcast.away:
            self.presence.refresh()

    async def run(self) -> None:
        """Exchanges frames with the other replicas, and finds what they could not send, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.broadcast.run())
            group.create_task(self.presence.run())
            group.create_task(repeat("find missed messages", self.sweep, self._wait))

    async def sweep(self) -> None:
        """Sends hints for the messages in the database that no frame may have brought."""
        self._missed.clear()
        accounts = list(self.presence.sockets)
        if not accounts:
            self._since, self._found = None, {}
            return
        async with self._reading, self.database.connection() as connection:
            now = await connection.fetchval("select clock_now()")
            since = self._since or now - MARGIN
            changes = await self.source.changed(connection, accounts, list(self._followers), since)
        known, self._found = self._found, {change.conversation: change.last_seq for change in changes}
        self._since = now - MARGIN
        for change in changes:
            if known.get(change.conversation) != change.last_seq:
                self.deliver(change.members, hint(change.conversation, change.last_seq), change.conversation)

    async def _wait(self) -> None:
        await woken(self._missed, AWAY_SWEEP if self.broadcast.away else SWEEP)

    async def follow(self, socket: Socket, ids: Collection[UUID]) -> Collection[UUID]:
        """Has the socket follow those of the conversations that its person may read, with a hint for each of them.
        Returns the others."""
        reader = None if socket.person.role == "agent" else socket.person.account_id
        async with self._reading, self.database.connection() as connection:
            before = await self.source.readable(connection, reader, list(ids))
            for conversation in before:
                socket.follows.add(conversation)
                self._followers.setdefault(conversation, set()).add(socket)
            # Read again: a message that came between the two is in no frame.
            heads = await self.source.readable(connection, reader, list(before))
        for conversation, seq in heads.items():
            socket.send(hint(conversation, seq))
        return set(ids) - before.keys()

    async def load_subscriptions(self, socket: Socket) -> None:
        """Finds the accounts whose presence the socket is sent."""
        async with self._reading, self.database.connection() as connection:
            watched = await self.source.watched(connection, socket.person.account_id)
        self.presence.watch(socket, watched)

    def enter(self, socket: Socket) -> None:
        """Adds a socket."""
        LIVE_SOCKETS.labels(self.service).inc()
        if self.presence.enter(socket):
            for call in self.on_arrival:
                call(socket.person)

    def leave(self, socket: Socket) -> None:
        """Removes a socket."""
        LIVE_SOCKETS.labels(self.service).dec()
        for conversation in socket.follows:
            self._followers[conversation].discard(socket)
            if not self._followers[conversation]:
                del self._followers[conversation]
        self.presence.leave(socket)

    def _end(self, account: UUID, session: str) -> None:
        for socket in tuple(self.presence.sockets.get(account, ())):
            if socket.person.session == session:
                socket.drop(OVER, "the session is over")


def hint(conversation: UUID, seq: int) -> str:
    """The frame that has clients fetch the messages up to `seq`, unless they have them."""
    return json.dumps({"type": "hint", "conversation": str(conversation), "seq": seq})


async def _live(request: Request) -> LiveUpdates:
    live: LiveUpdates = request.app.state.live
    return live


LiveUpdatesDep = Annotated[LiveUpdates, Depends(_live)]
"""The live part of the service, for a route."""
