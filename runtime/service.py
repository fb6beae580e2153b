"""A service: HTTP interface, consumer, relay and deadlines, started and stopped together."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from runtime.backoff import Backoff
from runtime.http.app import add_routes, create_app
from runtime.http.auth import TokenVerifier
from runtime.http.operator import Console
from runtime.messaging import operations
from runtime.messaging.bus import Bus
from runtime.messaging.consumer import Handlers
from runtime.messaging.deadlines import DeadlineHandler, Deadlines, Locking
from runtime.messaging.envelope import EXCHANGE, Event
from runtime.messaging.operations import FindRecords
from runtime.messaging.partitioning import Consumers
from runtime.messaging.relay import Relay
from runtime.messaging.replay import Replays
from runtime.messaging.retention import Kept, run_retention
from runtime.messaging.samples import sample_runtime
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.observability.sampling import Sampler
from runtime.observability.telemetry import POOL_WAIT
from runtime.settings import Settings
from runtime.storage import clock, schema
from runtime.storage.database import Database
from runtime.storage.database_errors import is_transient

log = logging.getLogger(__name__)

HealthCheck = Callable[[], Awaitable[bool]]
"""Checks whether a part that the service needs is available."""
Loop = Callable[[], Coroutine[Any, Any, None]]
"""Runs until it is cancelled."""
BETWEEN_LOOPS = 0.005
"""Seconds between the starts of two loops: each begins with a statement, and at once each would open a connection."""


@dataclass(frozen=True)
class ServiceSpec:
    """The parts of a service: its router, handlers, migrations, and the events that it publishes."""

    text: str
    router: APIRouter
    migrations: Path
    publishes: Sequence[type[Event]]
    handlers: Handlers = field(default_factory=dict)
    records: FindRecords = operations.nothing
    """What the service keeps, for the search of the operator's console."""
    kept: Sequence[Kept] = ()
    """The tables of which only recent rows are kept."""


class Service:
    """A service, built from its `ServiceSpec`. `running()` starts and stops it."""

    def __init__(
        self, settings: Settings, database: Database, bus: Bus, token_keys: Path, description: ServiceSpec
    ) -> None:
        name = settings.service
        consumers = sorted({consumer for event in description.publishes for consumer in event.consumed_by} - {name})
        self.name = name
        self.uow = UnitOfWork(name, database)
        self.health_checks: dict[str, HealthCheck] = {"database": self._database_ready, "broker": self._broker_ready}
        self.optional_checks: dict[str, HealthCheck] = {}
        """Parts that the service can do without: shown, and not needed for readiness."""
        self.background: list[Loop] = []
        self.on_start: list[Callable[[], Awaitable[None]]] = []
        self.on_stop: list[Callable[[], Awaitable[None]]] = []
        self.give_up: Callable[[], object] = partial(signal.raise_signal, signal.SIGTERM)
        self._settings = settings
        self._database = database
        self._migrations = description.migrations
        self._kept = description.kept
        self._migrated = False
        self._tried = asyncio.Event()
        self._main_task: asyncio.Task[None] | None = None
        if settings.traced:
            from runtime.observability.tracing import Tracing

            system = "memory" if settings.broker_url.startswith("memory:") else "rabbitmq"
            self.uow.tracing = Tracing(name, system, EXCHANGE)
            self.on_stop.append(self.uow.tracing.close)
        handlers, routers = description.handlers, [description.router]
        if settings.demonstration:
            from runtime.demo.instrumentation import DemoInstrumentation

            instrumentation = DemoInstrumentation(settings, self.uow, bus, handlers, description.publishes)
            bus, handlers = instrumentation.bus, instrumentation.handlers
            routers.insert(0, instrumentation.router)
            self.background += instrumentation.loops
            self.on_stop.append(instrumentation.close)
        self._relay = Relay(name, database, bus, consumers, self.uow.tracing)
        self.uow.wake_relay = self._relay.wake
        self.uow.held = lambda: self._relay.held
        self.sampler = Sampler(name)
        database.waited = POOL_WAIT.labels(name).observe
        self._consumers = Consumers(self.uow, bus, handlers, settings.partitions) if handlers else None
        sample_runtime(self.sampler, self.uow, self._consumers)
        if settings.demonstration and self._consumers is not None:
            instrumentation.queues = self._consumers.queues
        known = {event.wire_name: event for event in handlers}
        self.console = Console(
            self.uow, self._relay.replica, self._ready, self._optional, self._waiting, known, description.records
        )
        routers.append(self.console.router())
        self._deadlines: dict[str, DeadlineHandler | Locking] = {}
        self.app = create_app(
            name,
            description.text,
            self._ready,
            self._optional,
            self.uow.observer,
            settings.allowed_hosts,
            self.uow.tracing,
        )
        self.app.state.uow = self.uow
        self.app.state.console = self.console
        self.app.state.verifier = TokenVerifier(token_keys)
        for router in routers:
            add_routes(self.app, router)
        self.app.router.lifespan_context = lambda _: self._listening()

    def on_deadline(self, kind: str, handler: DeadlineHandler | Locking) -> None:
        """Registers the handler of this kind of deadlines."""
        self._deadlines[kind] = handler

    async def _ready(self) -> dict[str, bool]:
        return {name: await check() for name, check in self.health_checks.items()}

    async def _optional(self) -> dict[str, bool]:
        return {name: await check() for name, check in self.optional_checks.items()}

    async def _waiting(self) -> int | None:
        """The number of messages in its queues; None without a queue, or while the broker does not tell."""
        if self._consumers is None or not self._consumers.connected:
            return None
        found = dict(await self._consumers.waiting())
        return sum(found.values()) if found.keys() >= {*self._consumers.queues()} else None

    async def _database_ready(self) -> bool:
        return self._migrated and await self._database.writes()

    async def _broker_ready(self) -> bool:
        return self._relay.connected and (self._consumers is None or self._consumers.connected)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs the service: it works once the database is available. At the end it stops its loops, then
        disconnects."""
        self._main_task = main_task = asyncio.create_task(self._live(), name=f"{self.name} runs")
        main_task.add_done_callback(self._over)
        try:
            yield
        finally:
            main_task.cancel()
            await asyncio.wait({main_task})
            for stop in self.on_stop:
                await stop()
            await self._database.close()
            if not main_task.cancelled():
                main_task.result()  # raises its error, so that the process fails

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        """As `running`, for the HTTP server: it accepts requests only after the database was prepared or found to be
        away. Earlier ones would get a 503 that another replica could have answered."""
        async with self.running():
            await self._tried.wait()
            yield

    def _over(self, main_task: asyncio.Task[None]) -> None:
        self._tried.set()
        if not main_task.cancelled():
            log.critical("%s has failed, its process ends to be restarted", self.name, exc_info=main_task.exception())
            self.give_up()

    async def _live(self) -> None:
        await self._prepare()
        log.info("%s runs", self.name)
        loops: list[Loop] = [self._relay.run, partial(run_retention, self.uow, self._kept), self.sampler.run]
        if self._consumers is not None:
            loops += [self._consumers.run, Replays(self.uow, self._consumers.consumer()).run]
        if self._deadlines:
            deadlines = Deadlines(self.uow, self._deadlines)
            self.uow.wake_deadlines = deadlines.wake
            loops.append(deadlines.run)
        async with asyncio.TaskGroup() as group:
            for loop in [*loops, *self.background]:
                group.create_task(_endless(loop))
                await asyncio.sleep(BETWEEN_LOOPS)

    async def _prepare(self) -> None:
        backoff = Backoff("PostgreSQL, to prepare the database", log)
        while not self._migrated:
            try:
                await self._database.connect(self._tried.set)
                await schema.migrate(self._database, self._migrations)
                async with self._database.connection() as connection:
                    await clock.allow(connection, self._settings.demonstration)
                for start in self.on_start:
                    await start()
                self._migrated = True
            except Exception as error:
                if not is_transient(error):
                    raise
                self._tried.set()
                await backoff.wait(error)
        self._tried.set()

    def serve_now(self) -> None:
        """Accepts requests without waiting for the database; until that is available, they are refused."""
        self._tried.set()

    async def missing(self) -> list[str]:
        """The needed parts that are not available now."""
        return [name for name, available in (await self._ready()).items() if not available]

    async def until_ready(self) -> None:
        """Waits until all needed parts are available; raises the error if the service ends before."""
        while await self.missing():
            if self._main_task is not None and self._main_task.done():
                self._main_task.result()
            await asyncio.sleep(0.02)


class LoopEnded(Exception):
    """A loop that must run as long as the process has ended."""


async def _endless(loop: Loop) -> None:
    """Turns the end of a loop into an error, also after a stray cancellation by a library."""
    try:
        await loop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
    raise LoopEnded(repr(loop))
