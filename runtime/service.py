"""One service: its HTTP interface, its consumer, its relay and its deadlines, started and stopped together."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from runtime import clock, schema
from runtime.auth import TokenVerifier
from runtime.bus import Bus
from runtime.database import Database
from runtime.deadlines import DeadlineHandler, Deadlines
from runtime.events import Event
from runtime.housekeeping import keep_house
from runtime.http import create_app
from runtime.inbox import Consumer, Handlers
from runtime.outbox import Relay
from runtime.parked import Replays
from runtime.settings import Settings
from runtime.work import Work

log = logging.getLogger(__name__)

Part = Callable[[], Awaitable[bool]]
"""Tells whether something that the service stands on is there."""


@dataclass(frozen=True)
class Description:
    """What a service is made of: its own router, handlers and migrations, and the events it publishes."""

    text: str
    router: APIRouter
    migrations: Path
    publishes: Sequence[type[Event]]
    handlers: Handlers = field(default_factory=dict)


class Service:
    """Puts a service together around its description. `running()` is its life."""

    def __init__(
        self, settings: Settings, database: Database, bus: Bus, token_keys: Path, description: Description
    ) -> None:
        name = settings.service
        hearers = sorted({hearer for event in description.publishes for hearer in event.heard_by} - {name})
        self.name = name
        self.work = Work(name, database)
        self.parts: dict[str, Part] = {"database": self._database_ready, "broker": self._broker_ready}
        self.background: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.on_start: list[Callable[[], Awaitable[None]]] = []
        self.on_stop: list[Callable[[], Awaitable[None]]] = []
        self._settings = settings
        self._database = database
        self._migrations = description.migrations
        self._migrated = False
        self._relay = Relay(name, database, bus, hearers)
        self.work.wake_relay = self._relay.wake
        self._consumer = Consumer(self.work, bus, description.handlers) if description.handlers else None
        self._deadlines: dict[str, DeadlineHandler] = {}
        self.app = create_app(name, description.text, self._ready)
        self.app.state.work = self.work
        self.app.state.verifier = TokenVerifier(token_keys)
        self.app.include_router(description.router)
        self.app.router.lifespan_context = lambda _: self.running()

    def on_deadline(self, kind: str, handler: DeadlineHandler) -> None:
        """Has `handler` act on the deadlines of this kind."""
        self._deadlines[kind] = handler

    async def _ready(self) -> dict[str, bool]:
        return {name: await part() for name, part in self.parts.items()}

    async def _database_ready(self) -> bool:
        return self._migrated and await self._database.answers()

    async def _broker_ready(self) -> bool:
        return self._relay.connected and (self._consumer is None or self._consumer.connected)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serves at once, and works as soon as the database is there; on leaving stops what runs, then disconnects."""
        life = asyncio.create_task(self._live(), name=f"{self.name} at work")
        try:
            yield
        finally:
            life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await life
            for stop in self.on_stop:
                await stop()
            await self._database.close()

    async def _live(self) -> None:
        await self._database.connect()
        await schema.migrate(self._database, self._migrations)
        async with self._database.connection() as connection:
            await clock.allow(connection, self._settings.demonstration)
        for start in self.on_start:
            await start()
        self._migrated = True
        log.info("%s is at work", self.name)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relay.run(), name=f"{self.name} relay")
            group.create_task(keep_house(self.work), name=f"{self.name} housekeeping")
            if self._consumer is not None:
                group.create_task(self._consumer.run(), name=f"{self.name} consumer")
                group.create_task(Replays(self.work, self._consumer).run(), name=f"{self.name} replays")
            if self._deadlines:
                deadlines = Deadlines(self.work, self._deadlines)
                self.work.wake_deadlines = deadlines.wake
                group.create_task(deadlines.run(), name=f"{self.name} deadlines")
            for run in self.background:
                group.create_task(run())

    async def until_ready(self) -> None:
        """Waits until everything that the service stands on is there."""
        while not all((await self._ready()).values()):
            await asyncio.sleep(0.02)
