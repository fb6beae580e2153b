"""Handlers that are seen at work, and that fail when they are told to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import time
from typing import Any

from runtime.demo.recorder import Telling
from runtime.demo.switches import Switchboard
from runtime.messaging.consumer import Handler, Handlers, Together
from runtime.messaging.envelope import Envelope, Event
from runtime.messaging.unit_of_work import Transaction
from runtime.storage.database_errors import is_away


class BrokenOnPurpose(Exception):
    """The handlers of this service are switched off."""

    def __init__(self) -> None:
        super().__init__("switched off, for demonstration")


class Shown:
    """Has handlers seen."""

    def __init__(self, board: Switchboard, witness: Telling) -> None:
        self._board = board
        self._witness = witness

    def all(self, handlers: Handlers) -> Handlers:
        """The same handlers, seen at work."""
        return {
            event: Together(partial(self._together, handler.handle), handler.prepare)
            if isinstance(handler, Together)
            else partial(self._one, handler)
            for event, handler in handlers.items()
        }

    async def _one(self, handle: Handler, tx: Transaction, event: Any) -> Sequence[Event]:
        assert tx.heard is not None
        with self._seen(tx, [tx.heard]):
            return await handle(tx, event)

    async def _together(self, handle: Any, tx: Transaction, alike: Sequence[Envelope[Any]]) -> None:
        with self._seen(tx, alike):
            await handle(tx, alike)

    @contextmanager
    def _seen(self, tx: Transaction, heard: Sequence[Envelope[Any]]) -> Iterator[None]:
        began = time()
        try:
            if not self._board.on("handling"):
                raise BrokenOnPurpose
            yield
        except Exception as error:
            # Several together are taken apart, and then each of them fails by itself.
            if len(heard) == 1 and not is_away(error):
                self._witness.failed(heard[0], error)
            raise
        ended = time()
        for envelope in heard:
            tx.after_commit(partial(self._witness.handled, envelope, began, ended))
