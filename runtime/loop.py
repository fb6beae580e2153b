"""The event loop: uvloop, in which a name without an address delays no other connection."""

import asyncio
import socket
import threading
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import uvloop


class Loop(uvloop.Loop):
    """Looks up each name in a thread of its own before it connects, and a name once at a time.

    uvloop has two threads for lookups. In a network without a way out, as those of compose.yaml, the lookup of a host
    that is gone takes 20 seconds: two of them, and nothing in the process can connect to anything.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[str, asyncio.Future[None]] = {}

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        """As of the base class; raises `OSError` if the name has no address, or cannot be looked up."""
        await self._look_up(host)
        return await super().create_connection(protocol_factory, host, port, **options)

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """As of the base class."""
        await self._look_up(host)
        return await super().getaddrinfo(host, port, **options)

    async def _look_up(self, host: Any) -> None:
        if not isinstance(host, str) or _is_address(host):
            return
        if host not in self._lookups:
            try:
                threading.Thread(target=self._ask, args=(host,), daemon=True, name=f"looks up {host}").start()
            except RuntimeError as error:
                raise OSError(f"{host}: no thread for its lookup") from error
            self._lookups[host] = self.create_future()  # before its answer, which this loop takes later
        await asyncio.shield(self._lookups[host])

    def _ask(self, host: str) -> None:
        failure: Exception | None = None
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError) as error:
            failure = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            self.call_soon_threadsafe(self._answer, host, failure)

    def _answer(self, host: str, failure: Exception | None) -> None:
        lookup = self._lookups.pop(host)
        if failure is None:
            lookup.set_result(None)
        else:
            lookup.set_exception(failure)
            lookup.exception()  # nobody may be waiting for it any more


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return not host
    return True
