"""Reads the records of the services, sends frames to the browsers, and saves the last traces."""

import asyncio
import logging
from collections import OrderedDict
from time import time
from typing import Any

from redis.asyncio import Redis

from runtime.backoff import Backoff
from runtime.demo.recorder import STREAM
from runtime.storage.database import Database
from runtime.storage.database_errors import is_transient
from runtime.storage.redis import reached
from services.web.flow import store
from services.web.flow.browsers import Browsers
from services.web.flow.frames import Frames
from services.web.flow.records import read_entry
from services.web.flow.traces import Trace, Traces

FRAME = 0.1
"""Seconds from one frame to the next; a busy page gets fewer, so that it can draw them."""
BUSY_FRAME = 0.25
UNWATCHED = 1.0
"""While nothing happens and no browser is connected."""
BUSY = 30
"""Records in a frame that make the next one a busy one."""
ENTRIES = 50
"""Entries that are read at once, each of at most a hundred records; then browsers get their turn."""
SAVE_EVERY = 1.0
"""Seconds between two saves of traces."""
MAX_SOURCES = 200

log = logging.getLogger(__name__)


class Reader:
    """Two loops: one reads records and sends frames, one saves traces."""

    def __init__(self, redis: Redis, database: Database) -> None:
        self.traces = Traces()
        self.frames = Frames()
        self.browsers = Browsers()
        self._redis = redis
        self._database = database
        self._since = time()
        self._after = "0-0"
        self._passed: OrderedDict[str, int] = OrderedDict()

    async def load(self) -> None:
        """Loads the saved traces."""
        async with self._database.connection() as connection:
            for trace in await store.load(connection):
                self.traces.restore(trace)

    async def consume(self) -> None:
        """Reads records and sends frames until it is cancelled."""
        backoff = Backoff("Redis, for the flow page", log)
        while True:
            try:
                count = await self.consume_some()
                backoff.reset()
            except Exception as error:
                await backoff.wait(error)
                continue
            if not self.frames.empty:
                if len(self.browsers):
                    await self.read_clock()
                self.browsers.send(self.frames.take())
            await asyncio.sleep(BUSY_FRAME if count > BUSY else FRAME if count or len(self.browsers) else UNWATCHED)

    async def read_clock(self) -> None:
        """Reads how far the database's clock, which the pages show, is ahead of this process's clock."""
        try:
            async with self._database.connection() as connection:
                now = await store.now(connection)
        except Exception as error:
            log.debug("the database's clock cannot be read; the last difference stays: %r", error)
        else:
            self.frames.clock = round(now - time(), 3)

    async def consume_some(self) -> int:
        """Reads the new entries; returns how many records they have."""
        count = 0
        while True:
            async with reached():
                found: Any = await self._redis.xread({STREAM: self._after}, count=ENTRIES)
            entries = [entry for _, stream in found or () for entry in stream]
            for entry_id, fields in entries:
                self._after = entry_id
                count += self._take_in(fields)
                await asyncio.sleep(0)
            if len(entries) < ENTRIES:
                return count

    def _take_in(self, fields: dict[str, str]) -> int:
        entry = read_entry(fields)
        if entry is None:
            self.frames.lost += 1
            return 0
        expected = self._passed.pop(entry.source, 0 if self._started_after(entry.source) else entry.passed)
        passed = entry.passed + len(entry.records) + entry.unreadable
        self._passed[entry.source] = max(passed, expected)
        if len(self._passed) > MAX_SOURCES:
            self._passed.popitem(last=False)
        self.frames.lost += max(entry.passed - expected, 0) + entry.unreadable
        entry.records = entry.records[max(expected - entry.passed, 0) :]  # after the answer to the writer was lost
        touched = self.traces.add(entry.records)
        self.frames.add(entry.records, touched.values())
        return len(entry.records)

    def _started_after(self, source: str) -> bool:
        """Whether the source started after this reader, which then misses none of its records: its name ends with a
        UUIDv7, which holds a time."""
        try:
            return int(source.split()[-1][:12], 16) / 1000 > self._since
        except (ValueError, IndexError):
            return False

    async def save(self) -> None:
        """Saves the last traces until it is cancelled."""
        backoff = Backoff("PostgreSQL, to save traces", log)
        while True:
            try:
                await self.save_some()
                backoff.reset()
                await asyncio.sleep(SAVE_EVERY)
            except Exception as error:
                if not is_transient(error):
                    log.exception("traces were not saved")
                await backoff.wait(error)

    async def save_some(self) -> None:
        """Saves those of the last traces that have changed."""
        changed = self.traces.unsaved(store.KEPT)
        if not changed:
            return
        for trace in changed:
            trace.unsaved = False
        try:
            async with self._database.transaction() as connection:
                self._merge(
                    await store.load(connection, [trace.correlation_id for trace in changed if not trace.merged])
                )
                await store.save(connection, [trace for trace in changed if trace.eventful])
        except BaseException:
            for trace in changed:
                trace.unsaved = True
            raise
        for trace in changed:
            trace.merged = True

    def _merge(self, saved: list[Trace]) -> None:
        """Adds the saved beginning of a trace that goes on after it was dropped here."""
        for old in saved:
            if (trace := self.traces.all.get(old.correlation_id)) is not None:
                trace.add(old.records)
                trace.records.sort(key=lambda record: record.at)

    async def find(self, either: str) -> Trace | None:
        """A trace, from memory or from the database; or the latest cancellation of an order, by the order's id."""
        trace = self.traces.find(either)
        if trace is not None and trace.eventful:
            return trace
        async with self._database.connection() as connection:
            return next(iter(await store.load(connection, [either])), None)
