"""Live: what happens in conversations is shown at once to whoever is connected over a WebSocket, at any replica.

A service with conversations (threads of chat, cases of customer service) builds `LiveUpdates` with its own `Source`:

    live = LiveUpdates("chat", database, redis, Threads(), origins(env))     # in main.build
    live.attach(service)
    router.include_router(live_routes())                                     # in api.py: POST …/tickets, WS …/live

and hands it the frames of a transaction, which are sent once that has committed:

    live.send_message(tx, thread_id, seq, frame, to=[buyer_id, seller_id])   # a message, with its place
    live.send(tx, [buyer_id], frame)                                         # anything else; may get lost

`frame` is JSON, made once for all its readers. Messages of one conversation have `seq` 1, 2, 3, … without gaps, in a
table; they are never lost: what a hint did not bring (Redis was away, a replica died) is read from PostgreSQL, at once
where a gap shows, else within `SWEEP` seconds, or `AWAY_SWEEP` while Redis is away. Each socket gets each message once,
in order, because a socket is only ever sent the one after its last (`runtime.live.sockets`).

What a client may send: `{"type": "resume", "after": {"<conversation>": seq, …}}`, first of all, with what it has, or
`{}`; messages are held back for it for two seconds. Then `{"type": "ping"}`, answered by `pong`, and whatever
`LiveUpdates.on_frame` has a handler for. What it did wrong is answered by `{"type": "error", "code": …, "detail": …}`.
Close codes: 4000 when the access token has run out, 4008 for a slow reader, 1009 for a frame over 16 KiB, 1012 when the
process stops. After each of them: a new ticket, and `resume`. 4001 when the session has ended: sign in again.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from redis.asyncio import Redis

from runtime.backoff import Backoff
from runtime.http.auth import Identity
from runtime.http.revocations import Revocations
from runtime.live.conversations import Change, Followed, Recent, Source
from runtime.live.presence import Presence
from runtime.live.sockets import OVER, Socket
from runtime.live.tickets import Tickets, origins
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.telemetry import LIVE_SOCKETS
from runtime.service import Service
from runtime.storage.broadcast import RedisBroadcast
from runtime.storage.database import Database
from runtime.storage.database_errors import is_transient
from runtime.storage.redis import writes

__all__ = ["Change", "Followed", "LiveUpdates", "LiveUpdatesDep", "Source", "origins"]

SWEEP, AWAY_SWEEP = 15.0, 1.0
"""Seconds between two looks at PostgreSQL for what no hint brought: with Redis, and while it is away."""
MARGIN = timedelta(seconds=60)
"""Longer than any transaction takes: what was written before may be committed after a look by so much."""
PAGE = 100
READERS = 4
"""Connections that reading for sockets may take, so that a storm of clients leaves some for requests."""

log = logging.getLogger(__name__)


@dataclass
class LiveUpdates:
    """The sockets of one replica, and its ties to the other replicas."""

    service: str
    database: Database
    redis: Redis
    source: Source
    allowed: frozenset[str]
    on_frame: dict[str, Callable[[Identity, Mapping[str, Any]], Awaitable[None]]] = field(default_factory=dict)
    """The handlers of the service's own types of frames. They raise a `Refusal`."""
    on_arrival: list[Callable[[Identity], Awaitable[None]]] = field(default_factory=list)
    """Called when somebody has their first socket at this replica; failures are logged."""
    on_departure: list[Callable[[Identity], Awaitable[None]]] = field(default_factory=list)
    """Called at once when somebody has lost their last socket at this replica."""

    def __post_init__(self) -> None:
        service = self.service
        self.tickets = Tickets(self.redis, service, lambda: self.broadcast.away)
        self.broadcast = RedisBroadcast(self.redis, f"{service}:live", self._receive, self._miss)
        self.presence = Presence(self.redis, service, self.broadcast)
        self.revocations = Revocations(self.redis)
        self.revocations.on_end.append(self._end)
        self._readers: dict[UUID, set[Socket]] = {}
        self._recent = Recent()
        self._reading = asyncio.Semaphore(READERS)
        self._missed = asyncio.Event()
        self._since: datetime | None = None
        self._tasks: set[asyncio.Task[None]] = set()

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
    def people(self) -> Collection[UUID]:
        """The accounts that have a socket at this replica now."""
        return self.presence.here.keys()

    async def online(self, accounts: Collection[UUID]) -> set[UUID]:
        """Which of the accounts have a socket at any replica, as far as is known."""
        return await self.presence.online(accounts)

    def send_message(self, tx: Transaction, conversation: UUID, seq: int, frame: str, to: Collection[UUID]) -> None:
        """Sends message `seq` of a conversation, as JSON, to the accounts `to`, once the transaction has committed."""
        tx.after_commit(partial(self._send_message, conversation, seq, frame, to))

    def send(self, tx: Transaction, to: Collection[UUID], frame: str) -> None:
        """Sends a frame other than a message to the accounts `to`, once the transaction has committed."""
        tx.after_commit(partial(self._send, to, frame))

    def _send_message(self, conversation: UUID, seq: int, frame: str, to: Collection[UUID]) -> None:
        self._recent.keep(conversation, seq, frame)
        self._news(conversation, seq, to)
        notice = {"conversation": str(conversation), "seq": seq, "to": [str(account) for account in to]}
        self.broadcast.publish(f"{json.dumps(notice)}\n{frame}")

    def _send(self, to: Collection[UUID], frame: str) -> None:
        self._show(to, frame)
        self.broadcast.publish(f"{json.dumps({'to': [str(account) for account in to]})}\n{frame}")

    async def run(self) -> None:
        """Keeps in touch with the other replicas, and finds what they could not tell, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.broadcast.run())
            group.create_task(self.presence.run())
            group.create_task(self._sweep_always())

    async def after(self, conversation: UUID, seq: int) -> Sequence[tuple[int, str]]:
        """Messages from `seq` + 1 on: from memory, or else from the database."""
        if kept := self._recent.after(conversation, seq):
            return kept
        async with self._reading, self.database.connection() as connection:
            return await self.source.messages(connection, conversation, seq, PAGE)

    async def start(self, conversation: UUID, since: datetime) -> int:
        """The last message of a conversation that a client may have known when it connected."""
        async with self._reading, self.database.connection() as connection:
            return await self.source.start(connection, conversation, since - MARGIN)

    async def sweep(self) -> None:
        """Looks into the database for messages that no hint brought."""
        people = list(self.presence.here)
        if not people:
            self._since = None
            return
        async with self._reading, self.database.connection() as connection:
            now = await connection.fetchval("select clock_now()")
            changes = await self.source.changed(connection, people, list(self._readers), self._since or now - MARGIN)
        self._since = now - MARGIN
        for change in changes:
            self._news(change.conversation, change.last_seq, change.people)

    async def _sweep_always(self) -> None:
        backoff = Backoff("PostgreSQL, for live messages", log)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(AWAY_SWEEP if self.broadcast.away else SWEEP):
                    await self._missed.wait()
            self._missed.clear()
            try:
                await self.sweep()
                backoff.reset()
            except Exception as error:
                if not is_transient(error):
                    log.exception("looking for missed messages failed")
                self._missed.set()
                await backoff.wait(error)

    async def readable(self, person: Identity, ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Those of the conversations that somebody may read, with the last message of each."""
        async with self._reading, self.database.connection() as connection:
            return await self.source.readable(connection, person, ids)

    async def load_subscriptions(self, socket: Socket) -> None:
        """Finds out which conversations somebody follows who connects, and up to where they are."""
        async with self._reading, self.database.connection() as connection:
            socket.since = await connection.fetchval("select clock_now()")
            followed = await self.source.following(connection, socket.person)
        for one in followed:
            socket.cursors[one.conversation] = one.last_seq
        self.presence.watch(socket, list(dict.fromkeys(other for one in followed for other in one.others)))

    def enter(self, socket: Socket) -> None:
        """Somebody has connected."""
        LIVE_SOCKETS.labels(self.service).inc()
        if self.presence.enter(socket):
            self._call(self.on_arrival, socket.person)

    def leave(self, socket: Socket) -> None:
        """Somebody has disconnected."""
        LIVE_SOCKETS.labels(self.service).dec()
        for conversation in socket.reads:
            self._readers[conversation].discard(socket)
            if not self._readers[conversation]:
                del self._readers[conversation]
        if self.presence.leave(socket):
            self._call(self.on_departure, socket.person)

    def _end(self, account: UUID, session: str) -> None:
        for socket in tuple(self.presence.here.get(account, ())):
            if socket.person.session == session:
                socket.drop(OVER, "the session is over")

    def add_reader(self, socket: Socket, conversation: UUID) -> None:
        """Shows a conversation to somebody whose own it is not, or not among those they follow."""
        socket.reads.add(conversation)
        self._readers.setdefault(conversation, set()).add(socket)

    def _call(self, calls: Sequence[Callable[[Identity], Awaitable[None]]], person: Identity) -> None:
        async def run(call: Callable[[Identity], Awaitable[None]]) -> None:
            try:
                await call(person)
            except Exception:
                log.exception("taking note of who came and went failed")

        for call in calls:
            task = asyncio.create_task(run(call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _news(self, conversation: UUID, head: int, to: Collection[UUID]) -> None:
        for account in to:
            for socket in self.presence.here.get(account, ()):
                socket.news(conversation, head)
        for socket in self._readers.get(conversation, ()):
            socket.news(conversation, head)

    def _show(self, to: Collection[UUID], frame: str) -> None:
        for account in to:
            for socket in self.presence.here.get(account, ()):
                socket.show(frame)

    def _receive(self, hint: str) -> None:
        head, _, frame = hint.partition("\n")
        notice = json.loads(head)
        if "presence" in notice:
            self.presence.on_frame(UUID(notice["presence"]), bool(notice["online"]))
            return
        to = [UUID(account) for account in notice["to"]]
        if "conversation" in notice:
            conversation, seq = UUID(notice["conversation"]), int(notice["seq"])
            self._recent.keep(conversation, seq, frame)
            self._news(conversation, seq, to)
        else:
            self._show(to, frame)

    def _miss(self) -> None:
        self._missed.set()
        if not self.broadcast.away:
            self.presence.refresh()


async def _live(request: Request) -> LiveUpdates:
    live: LiveUpdates = request.app.state.live
    return live


LiveUpdatesDep = Annotated[LiveUpdates, Depends(_live)]
"""The live part of the service, for a route."""
