"""The instrumentation of a service in demonstration mode, around its bus and its handlers."""

import asyncio
from collections.abc import Callable, Sequence

from runtime.demo.bus import SwitchedBus
from runtime.demo.handlers import InstrumentedHandlers
from runtime.demo.recorder import DemoObserver
from runtime.demo.routes import routes
from runtime.demo.switches import FaultSwitchboard
from runtime.messaging.bus import Bus, BusError, Gauge
from runtime.messaging.consumer import Handlers
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.settings import Settings
from runtime.storage.redis import connect


class DemoInstrumentation:
    """The additions to a service in demonstration mode. `bus` and `handlers` replace its own."""

    def __init__(
        self, settings: Settings, uow: UnitOfWork, bus: Bus, handlers: Handlers, publishes: Sequence[type[Event]]
    ) -> None:
        self._redis = connect(settings.redis_url)
        self.queues: Callable[[], Sequence[str]] = list
        """The queues that the service consumes now."""
        self._gauge: Gauge | None = None
        self._measured: Sequence[str] = ()
        self._measuring = asyncio.Lock()
        observer = DemoObserver(settings.service, self._redis)
        board = FaultSwitchboard(settings.service, self._redis)
        uow.observer = observer
        self.bus: Bus = SwitchedBus(bus, board, observer)
        self.handlers = InstrumentedHandlers(board, observer).all(handlers)
        self.loops = [observer.run, board.run]
        most_consumed = max(publishes, key=lambda event: len(event.consumed_by), default=None)
        self.router = routes(uow, board, self.waiting, most_consumed)

    async def waiting(self) -> int | None:
        """The number of messages in the service's queues; None without a queue, or without a broker."""
        if not (queues := self.queues()):
            return None
        async with self._measuring:
            try:
                if self._gauge is None or self._measured != queues:
                    await self._close_gauge()
                    self._gauge, self._measured = await self.bus.gauge(*queues), queues
                return await self._gauge.waiting()
            except BusError:
                await self._close_gauge()
                return None

    async def _close_gauge(self) -> None:
        gauge, self._gauge = self._gauge, None
        if gauge is not None:
            await gauge.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._close_gauge()
        await self._redis.aclose()
