"""The relay publishes the events of the outbox."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import takewhile
from secrets import token_hex
from socket import gethostname
from time import monotonic
from typing import TYPE_CHECKING

import asyncpg

from runtime.backoff import Backoff
from runtime.messaging.bus import Bus, BusError, Message, Publisher, Unroutable
from runtime.observability.telemetry import OUTBOX_PUBLISHED, OUTBOX_UNROUTABLE, RELAY_LEADER
from runtime.storage.database import COMMAND_TIMEOUT, Database, connect
from runtime.storage.database_errors import is_transient

if TYPE_CHECKING:
    from runtime.observability.tracing import Tracing

    Session = asyncpg.Connection[asyncpg.Record]

BATCH = 256
"""Events in one batch of the relay."""
POLL = 2.0
"""Seconds between two queries of the relay, at most, and between two tries of a replica to become the leader."""
LEADER_LOCK = 0x0B0A7A1
LEASE = {
    "idle_session_timeout": "20s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""With these settings the server takes the lock from a leader whose process or machine has stopped."""
PLANS = {"enable_seqscan": "off", "enable_nestloop": "off"}
"""Published rows are deleted, but the table keeps its size until it is vacuumed: never scan all of it. And the rows
behind unroutable events are found by one lookup for all, not by one for each row."""
CHANNEL = "outbox"
APPLICATION = "relay "
"""The relay's connection has this name at the server, with that of its replica: so the database knows all replicas."""

log = logging.getLogger(__name__)

_TAKE = """
select seq, event_id, type, subject, dataschema, routing_key, mandatory, correlation_id, causation_id, traceparent,
       data, sequence, to_char(time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time
from outbox o where seq <> all($2::bigint[]) {} order by seq limit $1
"""
_WITHOUT = """
and not exists (select from outbox w where w.subject = o.subject and w.seq <= o.seq and w.routing_key = any($3::text[]))
"""
"""Leaves out unroutable events, and the later events of their subjects."""


_WRITES = "delete from outbox where false"
"""Fails on a read-only server, as after a failover: there, published rows could not be deleted."""


def _message(
    service: str, row: asyncpg.Record, confirmed: Callable[[], object] = lambda: None, traceparent: str = ""
) -> Message:
    # By hand, because `data` is JSON already; the contract tests read it back through `Envelope`.
    body = (
        f'{{"specversion":"1.0","id":"{row["event_id"]}","source":"{service}","type":"{row["type"]}",'
        f'"subject":"{row["subject"]}","time":"{row["time"]}","datacontenttype":"application/json",'
        f'"dataschema":"{row["dataschema"]}","correlationid":"{row["correlation_id"]}",'
        f'"causationid":"{row["causation_id"]}","sequence":{row["sequence"]},'
        f'"traceparent":"{traceparent or row["traceparent"]}","data":{row["data"]}}}'
    )
    return Message(row["routing_key"], body.encode(), row["mandatory"], row["subject"], confirmed)


class Relay:
    """Publishes a service's outbox. One relay on a database is active at a time; the others stand by.

    A row is deleted once the bus has confirmed its message. After a crash before that the message is published a second
    time, which the inbox of every consumer detects.

    An unroutable event delays the later events of its own subject, and no others. Whether there is a queue depends on
    the routing key, so from time to time the relay tries one event of each such key.
    """

    def __init__(
        self,
        service: str,
        database: Database,
        bus: Bus,
        consumers: Sequence[str],
        tracing: "Tracing | None" = None,
    ) -> None:
        self._service = service
        self._tracing = tracing
        self._database = database
        self._bus = bus
        self._consumers = consumers
        self._woken = asyncio.Event()
        self._leads = self._stands_by = False
        self._shown = RELAY_LEADER.labels(service)
        self.replica = f"{gethostname()[:30]}-{token_hex(3)}"
        """The name of this replica."""
        self._publisher: Publisher | None = None
        self._hint: asyncio.Task[None] | None = None
        self._confirmed: list[int] = []
        """Rows that can be deleted."""
        self._held: set[int] = set()
        """Rows that are published and have to stay, because the bus has them in memory only."""
        self._unroutable: dict[str, tuple[Backoff, float]] = {}
        """Routing keys for which there is no queue, and when they are tried again."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection to publish on, or another relay that leads and needs one."""
        return self._publisher is not None or self._stands_by

    @property
    def held(self) -> Collection[int]:
        """The rows of the outbox that are published already."""
        return self._held

    def wake(self) -> None:
        """Wakes the relay: this one, and the active one with a hint that may get lost."""
        self._woken.set()
        if not self._leads and (self._hint is None or self._hint.done()):
            self._hint = asyncio.create_task(self._notify())

    async def run(self) -> None:
        """Publishes until it is cancelled; waits while the database or the bus is away."""
        bus, database = Backoff("RabbitMQ, to publish", log), Backoff("PostgreSQL, to publish", log)
        while True:
            try:
                await self._lead(bus, database)
            except BusError as error:
                await bus.wait(error)
            except Exception as error:
                if not is_transient(error):
                    log.exception("the relay failed")
                await database.wait(error)

    async def _lead(self, bus: Backoff, database: Backoff) -> None:
        connection = await connect(
            self._database.url,
            command_timeout=COMMAND_TIMEOUT,
            server_settings={**LEASE, **PLANS, "application_name": f"{APPLICATION}{self.replica}"},
        )
        try:
            while not await connection.fetchval("select pg_try_advisory_lock($1)", LEADER_LOCK):
                self._stands_by = True
                await asyncio.sleep(POLL)
            await connection.execute(_WRITES)
            self._leads, self._stands_by = True, False
            await connection.add_listener(CHANNEL, lambda *_: self._woken.set())
            self._publisher = await self._bus.publisher(self._consumers)
            self._shown.set(1)
            while True:
                self._woken.clear()
                taken = await self._publish_batch(connection, self._publisher)
                bus.reset()  # only now: after a connection, every batch can still fail
                database.reset()
                if taken < BATCH:
                    await self._pause(connection, self._publisher)
        finally:
            self._leads = self._stands_by = False
            self._shown.set(0)
            connection.terminate()  # first, and at once: this releases the lock
            publisher, self._publisher = self._publisher, None
            if publisher is not None:
                await publisher.close()

    async def _publish_batch(self, connection: "Session", publisher: Publisher) -> int:
        """Publishes the next batch; returns its number of rows, unroutable ones included."""
        await self._delete(connection)
        rows = await self._take(connection)
        lines: dict[str, list[asyncpg.Record]] = {}
        for row in rows:
            lines.setdefault(row["subject"], []).append(row)
        while lines:
            wave = self._wave(lines.values())
            refused = await self._send(connection, publisher, wave)
            sent = {row["seq"] for row in wave}
            rest = {
                subject: [row for row in line if row["seq"] not in sent]
                for subject, line in lines.items()
                if line[0]["routing_key"] not in refused
            }
            lines = {subject: line for subject, line in rest.items() if line}
        return len(rows)

    async def _take(self, connection: "Session") -> Sequence[asyncpg.Record]:
        waiting = [key for key, (_, until) in self._unroutable.items() if until > monotonic()]
        if waiting:
            return await connection.fetch(_TAKE.format(_WITHOUT), BATCH, list(self._held), waiting)
        return await connection.fetch(_TAKE.format(""), BATCH, list(self._held))

    def _wave(self, lines: Collection[list[asyncpg.Record]]) -> list[asyncpg.Record]:
        """What can be published at once: of each subject the first events with one key, because later events may only
        follow once these have reached a queue; of an unroutable key one event in all."""
        wave: list[asyncpg.Record] = []
        tried: set[str] = set()
        for line in lines:
            key = line[0]["routing_key"]
            if key not in self._unroutable:
                wave += takewhile(lambda row, key=key: row["routing_key"] == key, line)  # type: ignore[misc]
            elif key not in tried:
                tried.add(key)
                wave.append(line[0])
        return wave

    async def _send(
        self, connection: "Session", publisher: Publisher, wave: Sequence[asyncpg.Record]
    ) -> Collection[str]:
        """Publishes these at once, and deletes the confirmed ones; returns the keys that no queue takes."""
        refused: set[str] = set()
        sent: set[int] = set()
        spans = nullcontext(dict[int, str]()) if self._tracing is None else self._tracing.sending(wave, sent)
        try:
            with spans as parents:
                messages = [
                    _message(self._service, row, partial(self._confirm, row["seq"]), parents.get(row["seq"], ""))
                    for row in wave
                ]
                try:
                    await publisher.publish(messages)
                except Unroutable as error:
                    refused = {message.routing_key for message in error.messages}
                    OUTBOX_UNROUTABLE.labels(self._service).inc(len(error.messages))
                    for key in refused:
                        backoff, _ = self._unroutable.get(key, (Backoff(f"a queue for {key}", log), 0.0))
                        self._unroutable[key] = backoff, monotonic() + backoff.pause(error)
                except BaseException:
                    sent.update(self._confirmed)  # before the failure
                    raise
                sent.update(row["seq"] for row in wave if row["routing_key"] not in refused)
        except BusError:
            await self._delete(connection)  # those confirmed before the failure
            raise
        for key in self._unroutable.keys() & {row["routing_key"] for row in wave} - refused:
            self._unroutable.pop(key)[0].reset()
        self._held |= {row["seq"] for row in wave if row["routing_key"] not in refused}
        await self._delete(connection)
        return refused

    def _confirm(self, seq: int) -> None:
        self._confirmed.append(seq)
        if seq in self._held:  # published long ago; a new one is deleted soon anyway
            self._woken.set()

    async def _delete(self, connection: "Session") -> None:
        if not self._confirmed:
            return
        confirmed = list(self._confirmed)
        await connection.execute("delete from outbox where seq = any($1::bigint[])", confirmed)
        del self._confirmed[: len(confirmed)]
        self._held.difference_update(confirmed)
        OUTBOX_PUBLISHED.labels(self._service).inc(len(confirmed))

    async def _pause(self, connection: "Session", publisher: Publisher) -> None:
        """Waits until the relay is woken, or until `POLL` has passed."""
        try:
            async with asyncio.timeout(POLL):
                await self._woken.wait()
        except TimeoutError:
            await publisher.publish([])  # checks the connection
            await connection.execute(_WRITES)

    async def _notify(self) -> None:
        try:
            async with self._database.connection() as connection:
                await connection.execute(f"notify {CHANNEL}")
        except Exception as error:
            log.debug("the hint was lost, the poll will find the events: %r", error)
