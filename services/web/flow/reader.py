"""Hears what the services tell, shows it to the browsers, and keeps the last stories."""

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
from services.web.flow.audience import Audience
from services.web.flow.frames import Frames
from services.web.flow.records import read_entry
from services.web.flow.traces import Trace, Traces

FRAME = 0.1
"""Seconds from one frame to the next; a busy page gets fewer, so that it can draw them."""
BUSY_FRAME = 0.25
UNWATCHED = 1.0
"""While nothing happens and nobody looks on."""
BUSY = 30
"""Records in a frame that make the next one a busy one."""
ENTRIES = 50
"""Entries that are read at once, a hundred records each at the most; then browsers get their turn."""
KEEP_EVERY = 1.0
"""Seconds between two writings of stories."""
MAX_TELLERS = 200

log = logging.getLogger(__name__)


class Reader:
    """Two loops: one hears and shows, one keeps."""

    def __init__(self, redis: Redis, database: Database) -> None:
        self.traces = Traces()
        self.frames = Frames()
        self.audience = Audience()
        self._redis = redis
        self._database = database
        self._since = time()
        self._after = "0-0"
        self._passed: OrderedDict[str, int] = OrderedDict()

    async def load(self) -> None:
        """Takes up the stories that were kept."""
        async with self._database.connection() as connection:
            for trace in await store.load(connection):
                self.traces.all[trace.story] = trace

    async def hear(self) -> None:
        """Hears and shows until it is cancelled."""
        backoff = Backoff("Redis, to hear what happens", log)
        while True:
            try:
                heard = await self.hear_some()
                backoff.reset()
            except Exception as error:
                await backoff.wait(error)
                continue
            if not self.frames.empty:
                if len(self.audience):
                    await self.look_at_clock()
                self.audience.show(self.frames.take())
            await asyncio.sleep(BUSY_FRAME if heard > BUSY else FRAME if heard or len(self.audience) else UNWATCHED)

    async def look_at_clock(self) -> None:
        """Finds out how far the time of the database, which the pages show, is ahead of the clocks of processes."""
        try:
            async with self._database.connection() as connection:
                now = await store.now(connection)
        except Exception as error:
            log.debug("what the clock says is not known now, it goes on as it did: %r", error)
        else:
            self.frames.clock = round(now - time(), 3)

    async def hear_some(self) -> int:
        """Takes in what is new; returns how many records that were."""
        heard = 0
        while True:
            async with reached():
                found: Any = await self._redis.xread({STREAM: self._after}, count=ENTRIES)
            entries = [entry for _, told in found or () for entry in told]
            for place, fields in entries:
                self._after = place
                heard += self._take_in(fields)
                await asyncio.sleep(0)
            if len(entries) < ENTRIES:
                return heard

    def _take_in(self, fields: dict[str, str]) -> int:
        entry = read_entry(fields)
        if entry is None:
            self.frames.lost += 1
            return 0
        expected = self._passed.pop(entry.teller, 0 if self._heard_from_birth(entry.teller) else entry.passed)
        self._passed[entry.teller] = entry.passed + len(entry.records) + entry.unreadable
        if len(self._passed) > MAX_TELLERS:
            self._passed.popitem(last=False)
        self.frames.lost += max(entry.passed - expected, 0) + entry.unreadable
        touched = self.traces.add(entry.records)
        self.frames.add(entry.records, touched.values())
        return len(entry.records)

    def _heard_from_birth(self, teller: str) -> bool:
        """Whether all that a teller ever said could be heard here: its name ends with a UUIDv7, that is, a time."""
        try:
            return int(teller.split()[-1][:12], 16) / 1000 > self._since
        except (ValueError, IndexError):
            return False

    async def keep(self) -> None:
        """Writes the last stories down until it is cancelled."""
        backoff = Backoff("PostgreSQL, to keep stories", log)
        while True:
            try:
                await self.keep_some()
                backoff.reset()
                await asyncio.sleep(KEEP_EVERY)
            except Exception as error:
                if not is_transient(error):
                    log.exception("stories were not kept")
                await backoff.wait(error)

    async def keep_some(self) -> None:
        """Writes down those of the last stories that have changed."""
        changed = self.traces.unkept(store.KEPT)
        if not changed:
            return
        for trace in changed:
            trace.unkept = False
        try:
            async with self._database.transaction() as connection:
                self._merge(await store.load(connection, [trace.story for trace in changed if not trace.merged]))
                await store.keep(connection, [trace for trace in changed if trace.types()])
        except BaseException:
            for trace in changed:
                trace.unkept = True
            raise
        for trace in changed:
            trace.merged = True

    def _merge(self, kept: list[Trace]) -> None:
        """A story that goes on after it was forgotten here: its beginning is in the database."""
        for old in kept:
            if (trace := self.traces.all.get(old.story)) is not None:
                trace.add(old.records)
                trace.records.sort(key=lambda record: record.at)

    async def find(self, story: str) -> Trace | None:
        """A story, from here or from the database."""
        trace = self.traces.all.get(story)
        if trace is not None and trace.types():
            return trace
        async with self._database.connection() as connection:
            return next(iter(await store.load(connection, [story])), None)
