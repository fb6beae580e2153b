"""The outbox: events written in the transaction that they tell of, and the relay that publishes them afterwards."""

import asyncio
import logging
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from runtime.bus import Bus, BusError, Message, Publisher
from runtime.database import ACQUIRE_TIMEOUT, COMMAND_TIMEOUT, Connection, Database, connect, is_passing
from runtime.events import MAX_BODY, Event
from runtime.patience import Patience
from runtime.story import Story, new_id
from runtime.telemetry import OUTBOX_PUBLISHED, OUTBOX_UNPUBLISHED

BATCH = 256
"""Events that are published under one transaction of the relay."""
POLL = 1.0
"""Seconds after which the relay looks, woken or not."""
LEADER_LOCK = 0x0B0A7A1
LEASE = {
    "idle_session_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""By these the server takes the lock from a leader whose process stands still or whose machine is gone."""
PLANS = {"enable_seqscan": "off"}
"""What was published leaves the table empty but, until it is vacuumed, as large as it was: never read all of it."""
CHANNEL = "outbox"
MAX_DATA = MAX_BODY - 4096
"""Bytes: leaves room for the envelope."""

log = logging.getLogger(__name__)

# Counting first locks the subject's row until commit, so that the events of one subject get their sequence and their
# place in the outbox in one order, whoever writes them.
_WRITE = """
with counted as (
    insert into event_sequence as s (subject, last, heard)
    select subject, count(*), count(*) filter (where mandatory)
    from unnest($3::text[], $6::bool[]) as one (subject, mandatory) group by subject order by subject
    on conflict (subject) do update set last = s.last + excluded.last, heard = s.heard + excluded.heard
    returning s.subject, s.last
)
insert into outbox (event_id, type, subject, dataschema, routing_key, mandatory, correlation_id, causation_id,
                    traceparent, data, sequence, time)
select e.event_id, e.type, e.subject, e.dataschema, e.routing_key, e.mandatory, e.correlation_id, e.causation_id,
       e.traceparent, e.data,
       c.last - count(*) over (partition by e.subject) + row_number() over (partition by e.subject order by e.n),
       clock_now()
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::uuid[], $8::uuid[], $9::text[],
            $10::text[]) with ordinality
     as e (event_id, type, subject, dataschema, routing_key, mandatory, correlation_id, causation_id, traceparent,
           data, n)
join counted c using (subject)
order by e.n
"""

_TAKE = """
delete from outbox where seq = any(array(select seq from outbox order by seq limit $1))
returning seq, event_id, type, subject, dataschema, routing_key, mandatory, correlation_id, causation_id, traceparent,
          data, sequence, to_char(time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time
"""


class EventTooLarge(Exception):
    """The event is larger than any service would read, so it is refused where it arises."""

    def __init__(self, event: Event, size: int) -> None:
        super().__init__(f"{event.wire_name} of {event.subject} is {size} bytes large, at most {MAX_DATA} are sent")


async def write(connection: Connection, service: str, events: Sequence[tuple[Event, Story]]) -> list[UUID]:
    """Adds the events to the outbox, in their order, under the transaction that is open on the connection. Returns
    their ids.

    Raises `EventTooLarge`.
    """
    if not events:
        return []
    columns = [
        (
            new_id(),
            event.wire_name,
            event.subject,
            event.dataschema(),
            f"{service}.{event.wire_name}",
            bool(set(event.heard_by) - {service}),  # nobody hears an event of its own
            story.correlation_id,
            story.causation_id,
            story.traceparent,
            _data(event),
        )
        for event, story in events
    ]
    await connection.execute(_WRITE, *map(list, zip(*columns, strict=True)))
    return [event_id for event_id, *_ in columns]


def _data(event: Event) -> str:
    data = event.model_dump_json()
    if len(data.encode()) > MAX_DATA:
        raise EventTooLarge(event, len(data.encode()))
    return data


def _message(service: str, row: asyncpg.Record) -> Message:
    # Put together by hand, because `data` is JSON already; the contract tests read it back through `Envelope`.
    body = (
        f'{{"specversion":"1.0","id":"{row["event_id"]}","source":"{service}","type":"{row["type"]}",'
        f'"subject":"{row["subject"]}","time":"{row["time"]}","datacontenttype":"application/json",'
        f'"dataschema":"{row["dataschema"]}","correlationid":"{row["correlation_id"]}",'
        f'"causationid":"{row["causation_id"]}","sequence":{row["sequence"]},'
        f'"traceparent":"{row["traceparent"]}","data":{row["data"]}}}'
    )
    return Message(row["routing_key"], body.encode(), row["mandatory"])


class Relay:
    """Publishes a service's outbox. Of all the relays on a database one at a time works; the others stand by.

    A batch is deleted, published and confirmed, and only then is the deletion committed: what was not confirmed is
    still there. It may then go out a second time, which the inbox of every consumer expects.
    """

    def __init__(self, service: str, database: Database, bus: Bus, hearers: Sequence[str]) -> None:
        self._service = service
        self._database = database
        self._bus = bus
        self._hearers = hearers
        self._woken = asyncio.Event()
        self._leads = self._stands_by = False
        self._publisher: Publisher | None = None
        self._hint: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection to publish on, or another relay that leads and needs one."""
        return self._publisher is not None or self._stands_by

    def wake(self) -> None:
        """Says that there is something to publish: here, or, with a hint that may be lost, at the relay that leads."""
        self._woken.set()
        if not self._leads and (self._hint is None or self._hint.done()):
            self._hint = asyncio.create_task(self._notify())

    async def run(self) -> None:
        """Publishes until it is cancelled; outages of the database and the bus are waited out."""
        bus, database = Patience("RabbitMQ, to publish", log), Patience("PostgreSQL, to publish", log)
        while True:
            try:
                await self._lead(bus, database)
            except BusError as error:
                await bus.wait(error)
            except Exception as error:
                if not is_passing(error):
                    log.exception("the relay failed")
                await database.wait(error)

    async def _lead(self, bus: Patience, database: Patience) -> None:
        connection = await connect(
            self._database.url,
            timeout=ACQUIRE_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            server_settings={**LEASE, **PLANS},
        )
        try:
            database.rewarded()
            while not await connection.fetchval("select pg_try_advisory_lock($1)", LEADER_LOCK):
                self._stands_by = True
                await asyncio.sleep(POLL)
            self._leads, self._stands_by = True, False
            await connection.add_listener(CHANNEL, lambda *_: self._woken.set())
            self._publisher = await self._bus.publisher(self._hearers)
            bus.rewarded()
            while True:
                self._woken.clear()
                published = await self._publish_batch(connection, self._publisher)
                if published < BATCH:
                    await self._pause(connection, self._publisher)
        finally:
            self._leads = self._stands_by = False
            connection.terminate()  # first, and at once: it gives the lock back
            publisher, self._publisher = self._publisher, None
            if publisher is not None:
                await publisher.close()

    async def _publish_batch(self, connection: "asyncpg.Connection[asyncpg.Record]", publisher: Publisher) -> int:
        async with connection.transaction():
            rows = sorted(await connection.fetch(_TAKE, BATCH), key=lambda row: row["seq"])
            await publisher.publish([_message(self._service, row) for row in rows])
        OUTBOX_PUBLISHED.labels(self._service).inc(len(rows))
        return len(rows)

    async def _pause(self, connection: "asyncpg.Connection[asyncpg.Record]", publisher: Publisher) -> None:
        """Until somebody says that there is something to publish, or the timer finds it."""
        while True:
            try:
                async with asyncio.timeout(POLL):
                    await self._woken.wait()
                return
            except TimeoutError:
                await publisher.publish([])  # which tells whether the connection is still there
                if await connection.fetchval("select exists (select from outbox)"):
                    return

    async def _notify(self) -> None:
        try:
            async with self._database.connection() as connection:
                await connection.execute(f"notify {CHANNEL}")
        except Exception as error:
            log.debug("the hint was lost, the timer will do: %r", error)


async def count(connection: Connection, service: str) -> int:
    """How many events wait in the outbox."""
    waiting: int = await connection.fetchval("select count(*) from outbox")
    OUTBOX_UNPUBLISHED.labels(service).set(waiting)
    return waiting
