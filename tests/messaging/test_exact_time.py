"""An hour has 3,600 seconds and a day 24 hours, in every time zone of the database's server."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest

from batalkan.invariants.stores import opened
from batalkan.operate import connected
from runtime.storage import clock
from runtime.storage.database import Database, connect
from tests.messaging.toys import Toy, Toys

DAY = timedelta(hours=24)
CHANGES = pytest.mark.parametrize("eve", ["2027-03-27T12:00Z", "2027-10-30T12:00Z"])
"""The day after each of these has 23 or 25 hours in Berlin."""


@pytest.fixture
async def berlin(embedded_toys: Toys) -> AsyncIterator[Toy]:
    """A service whose database is in Berlin, and whose time can be moved."""
    url = await embedded_toys.database("refunds")
    name = urlsplit(url).path[1:]
    await embedded_toys.databases.admin(f"alter database \"{name}\" set timezone = 'Europe/Berlin'")
    toy = await embedded_toys.on(url, "refunds", {})
    async with toy.database.connection() as connection:
        await clock.allow(connection, True)
        body = await connection.fetchval("select pg_get_functiondef('clock_now'::regproc)")
    yield toy
    async with toy.database.connection() as connection:
        await connection.execute(body)
    await embedded_toys.databases.admin(f'alter database "{name}" reset timezone')


async def begin_at(toy: Toy, eve: str) -> None:
    """Has the service's time begin at that moment, as if it were now."""
    async with toy.database.connection() as connection:
        body: str = await connection.fetchval("select pg_get_functiondef('clock_now'::regproc)")
        body, count = re.subn(r"\bnow\(\)", f"timestamptz '{eve}'", body)
        assert count == 1
        await connection.execute(body)


@CHANGES
async def test_deadline_of_24_hours(berlin: Toy, eve: str) -> None:
    """A deadline is due exactly after its delay, also over the night in which clocks change."""
    await begin_at(berlin, eve)
    async with berlin.uow.begin() as tx:
        await tx.schedule("due", "1", DAY)
    assert await berlin.fetch("select due_at from deadlines") == [datetime.fromisoformat(eve) + DAY]


@CHANGES
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
async def test_moved_clock(berlin: Toy, eve: str, zone: str) -> None:
    """A clock that is moved by a day is moved by 24 hours, also for a foreign session in another time zone, and also
    when an operator wrote the day into the table."""
    await begin_at(berlin, eve)
    async with berlin.database.connection() as connection:
        assert await clock.advance(connection, DAY) == DAY
        assert await clock.shift(connection) == DAY
        for _ in range(2):
            async with connection.transaction():
                await connection.execute(f"set local timezone = '{zone}'")
                assert await connection.fetchval("select clock_now()") == datetime.fromisoformat(eve) + DAY
            await connection.execute("update clock set shift = interval '1 day'")


@CHANGES
async def test_duration_as_a_parameter(berlin: Toy, eve: str) -> None:
    """A duration reaches the database in microseconds, and comes back as long as it was."""
    for sent in (DAY, timedelta(days=400, microseconds=1), -timedelta(hours=36), timedelta()):
        async with berlin.database.connection() as connection:
            query = "select $1::interval as sent, $2::timestamptz + $1 as moved, extract(day from $1::interval) as days"
            row = await connection.fetchrow(query, sent, datetime.fromisoformat(eve))
        assert row is not None
        assert (row["sent"], row["moved"], row["days"]) == (sent, datetime.fromisoformat(eve) + sent, 0)
    async with berlin.database.connection() as connection:
        assert await connection.fetchval("select interval '1 day 2 hours'") == timedelta(hours=26)


async def test_every_connection_is_in_utc(berlin: Toy) -> None:
    """The pool, the command line and the invariants use UTC, also if the database or the URL set another time zone."""
    show = "select current_setting('timezone')"
    assert await berlin.fetch(show) == ["UTC"]
    async with connected(berlin.url) as connection:
        assert await connection.fetchval(show) == "UTC"
    async with opened({"refunds": berlin.url}) as stores:
        assert await stores.value("refunds", show) == "UTC"
    records = f"{berlin.url}{'&' if '?' in berlin.url else '?'}TimeZone=Asia/Jakarta"
    connection = await connect(records, server_settings={"enable_seqscan": "off"})
    assert await connection.fetchval(show) == "UTC"
    await connection.close()
    database = Database(records, pool_size=1)
    await database.connect()
    async with database.connection() as pooled:
        assert await pooled.fetchval(show) == "UTC"
    await database.close()
