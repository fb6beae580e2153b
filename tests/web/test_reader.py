"""Records of the services are read, shown to every browser, counted when they are lost, and stored."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

import services.web.main
from runtime.observability.trace_context import new_id
from runtime.storage.clock import advance, allow
from runtime.storage.database import Database
from runtime.storage.redis import connect
from services.web.flow import store
from services.web.flow.browsers import MAX_BROWSERS, MAX_WAITING, Browsers, TooManyBrowsers
from services.web.flow.reader import Reader
from tests.conftest import Databases
from tests.harness.flow_records import add_entry, cancellation

MIGRATIONS = Path(services.web.main.__file__).parent / "migrations"


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    """A Redis of its own."""
    async with connect(f"memory://{new_id().hex}") as redis:
        yield redis


@pytest.fixture(scope="module")
async def database_url(embedded_databases: Databases) -> str:
    """A database of `web`."""
    return await embedded_databases.migrated("web", MIGRATIONS)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """That database, without traces."""
    database = Database(database_url)
    await database.connect()
    async with database.connection() as connection:
        await connection.execute("delete from stories")
    yield database
    await database.close()


EACH = len(cancellation())
"""Records of a cancellation."""


@pytest.fixture
def reader(redis: Redis, database: Database) -> Reader:
    """A reader that has read nothing yet."""
    return Reader(redis, database)


async def test_records_become_frames_and_traces(redis: Redis, reader: Reader) -> None:
    """All records of an entry are read, and belong to the trace that they name."""
    await add_entry(redis, cancellation("one"))
    assert await reader.consume_some() == EACH
    assert json.loads(reader.frames.take())["totals"]["records"] == EACH
    trace = await reader.find("one")
    assert trace is not None
    assert trace.outcome == "cancelled"
    assert await reader.consume_some() == 0


async def test_lost_records_are_counted(redis: Redis, reader: Reader) -> None:
    """A teller's numbers show what it dropped, and what the stream forgot before it was read."""
    for passed in (1_000, 1_000 + EACH, 1_006 + 2 * EACH):
        await add_entry(redis, cancellation(), passed=passed)
    await add_entry(redis, cancellation(), passed=3, teller="refunds 1")
    await reader.consume_some()
    assert (reader.frames.records, reader.frames.lost) == (4 * EACH, 6)


async def test_records_that_were_written_again_count_once(redis: Redis, reader: Reader) -> None:
    """A source that got no answer from Redis writes the same records again, and newer ones with them."""
    records = cancellation()
    await add_entry(redis, records[:2], passed=7)
    await add_entry(redis, records, passed=7)
    assert await reader.consume_some() == EACH
    assert (reader.frames.records, reader.frames.lost) == (EACH, 0)


async def test_records_that_a_new_source_dropped_are_counted(redis: Redis, reader: Reader) -> None:
    """Lost records of a service that started after the page are counted from its first record."""
    await asyncio.sleep(0.002)
    await add_entry(redis, cancellation(), passed=3, teller=f"refunds {new_id().hex}")
    await reader.consume_some()
    assert reader.frames.lost == 3


@pytest.mark.parametrize(
    "records",
    [
        "nonsense",
        "{}",
        "[[]]",
        '[{"stage": "sung"}]',
        '[{"stage": "sent", "at": 1e999, "service": "x"}]',
        '[{"stage": "written", "at": 1e300, "service": "x", "story": "x", "type": "OrderPaid"}]',
        '[{"stage": "written", "at": 1, "service": "x", "story": "x", "type": "Order\\u0000Paid"}]',
        "[" * 9_999,
    ],
    ids=["text", "object", "list", "stage", "time", "late", "zero", "deep"],
)
async def test_nonsense_is_counted_and_harms_nothing(redis: Redis, reader: Reader, records: str) -> None:
    """Records from a compromised service cannot stop the page."""
    await redis.xadd("flow", {"teller": "orders 1", "passed": 0, "records": records})
    await add_entry(redis, cancellation(), teller="chat 1")
    assert await reader.consume_some() == EACH
    assert reader.frames.lost == 1
    await reader.save_some()


async def test_traces_survive_a_restart(redis: Redis, database: Database, reader: Reader) -> None:
    """Stored traces are loaded again, also without the stream; records that are read again count once."""
    await add_entry(redis, cancellation("one"))
    await add_entry(redis, cancellation("two", at=2_000.0), passed=EACH)
    await reader.consume_some()
    await reader.save_some()
    after = Reader(redis, database)
    await after.load()
    assert [trace.correlation_id for trace in after.traces.latest(10)] == ["two", "one"]
    await after.consume_some()
    assert [len(trace.records) for trace in after.traces.latest(10)] == [EACH, EACH]
    await redis.flushall()
    third = Reader(redis, database)
    await third.load()
    summaries = [[trace.summary() for trace in one.traces.latest(2)] for one in (reader, third)]
    assert summaries[0] == summaries[1]


async def test_a_trace_that_continues_after_it_was_evicted_keeps_its_beginning(database: Database) -> None:
    """Stored records of a trace and new ones become one trace."""
    records = cancellation("one")
    for some in (records[:4], records[4:]):
        async with connect(f"memory://{new_id().hex}") as redis:
            reader = Reader(redis, database)
            await add_entry(redis, some)
            await reader.consume_some()
            await reader.save_some()
    async with database.connection() as connection:
        (kept,) = await store.load(connection, ["one"])
    assert len(kept.records) == EACH


async def test_a_bounded_number_of_traces_is_stored(redis: Redis, database: Database, reader: Reader) -> None:
    """Beyond the limit the oldest stored traces are deleted."""
    for number in range(store.KEPT + 30):
        await add_entry(redis, cancellation(str(number), at=1_000.0 + number), teller=str(number))
        if number % 50 == 0 or number == store.KEPT + 29:
            await reader.consume_some()
            await reader.save_some()
    async with database.connection() as connection:
        kept = [trace.correlation_id for trace in await store.load(connection)]
    assert kept == [str(number) for number in range(30, store.KEPT + 30)]


async def test_a_slow_browser_misses_frames_and_delays_no_other() -> None:
    """The latest frames wait for it, and no more than that; their numbers show what it missed."""
    browsers = Browsers()
    with browsers.subscribe() as frames:
        for number in range(100):
            browsers.send(str(number))
        waiting = [await anext(frames) for _ in range(MAX_WAITING)]
        assert waiting == [str(number) for number in range(100 - MAX_WAITING, 100)]
    assert len(browsers) == 0


async def test_the_number_of_browsers_is_bounded() -> None:
    """A browser beyond the limit is refused; a connection counts at once, and no longer after it is closed."""
    browsers = Browsers()
    with ExitStack() as stack:
        streams = [stack.enter_context(browsers.subscribe()) for _ in range(MAX_BROWSERS)]
        with pytest.raises(TooManyBrowsers), browsers.subscribe():
            pass
        browsers.send("frame")
        assert [await anext(frames) for frames in streams] == ["frame"] * MAX_BROWSERS
    with browsers.subscribe():
        assert len(browsers) == 1


async def test_frames_carry_the_time_that_the_pages_show(database: Database, reader: Reader) -> None:
    """A frame has the time of the database, which the demonstration moves; a database that is away changes nothing."""
    async with database.connection() as connection:
        await allow(connection, demonstration=True)
        await advance(connection, timedelta(hours=24))
    await reader.read_clock()
    assert json.loads(reader.frames.take())["clock"] == pytest.approx(86_400, abs=5)
    await database.close()
    await reader.read_clock()
    assert json.loads(reader.frames.take())["clock"] == pytest.approx(86_400, abs=5)
