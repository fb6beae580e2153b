"""Instrumented handlers: they are observed, and fail while they are switched off."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import time
from typing import Any

from runtime.demo.recorder import DemoObserver
from runtime.demo.switches import FaultSwitchboard
from runtime.messaging.consumer import BatchHandler, Handler, Handlers
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from runtime.storage.database_errors import is_away


class BrokenOnPurpose(Exception):
    """The handlers of this service are switched off."""

    def __init__(self) -> None:
        super().__init__("switched off, for demonstration")


class InstrumentedHandlers:
    """Wraps handlers."""

    def __init__(self, board: FaultSwitchboard, observer: DemoObserver) -> None:
        self._board = board
        self._observer = observer

    def all(self, handlers: Handlers) -> Handlers:
        """The same handlers, wrapped."""
        return {
            event: BatchHandler(partial(self._handle_batch, handler.handle), handler.acquire_locks)
            if isinstance(handler, BatchHandler)
            else partial(self._one, handler)
            for event, handler in handlers.items()
        }

    async def _one(self, handle: Handler, tx: Transaction, event: Any) -> Sequence[Event]:
        assert tx.envelope is not None
        with self._observed(tx, [tx.envelope]):
            return await handle(tx, event)

    async def _handle_batch(self, handle: Any, tx: Transaction, same_type: Sequence[Envelope[Any]]) -> None:
        with self._observed(tx, same_type):
            await handle(tx, same_type)

    @contextmanager
    def _observed(self, tx: Transaction, envelopes: Sequence[Envelope[Any]]) -> Iterator[None]:
        began = time()
        try:
            if not self._board.on("handling"):
                raise BrokenOnPurpose
            yield
        except Exception as error:
            # A failed batch is handled one by one, and then each event fails by itself.
            if len(envelopes) == 1 and not is_away(error):
                self._observer.failed(envelopes[0], error)
            raise
        ended = time()
        for envelope in envelopes:
            tx.after_commit(partial(self._observer.handled, envelope, began, ended))
