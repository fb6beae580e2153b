"""An HTTP server that stops without failed requests, if clients have another replica.

If a server closes a connection while a request arrives on it, the client cannot know whether the request was executed,
and must not repeat it. So the server first stops listening, then answers the requests that still arrive on open
connections, with `Connection: close`, and then closes them.
"""

import asyncio
import socket
from asyncio import TimerHandle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime.backoff import woken

KEEP_ALIVE = 5
"""Seconds until an idle connection is closed."""
LINGER = 2.2
"""Seconds for which a connection stays open after its last response: longer than our gateways keep an idle one."""
BEGINNING = 1.0
"""Seconds that a start may still take when the server is stopped meanwhile, so that it ends in order."""
GRACE = 5
"""Seconds for requests to finish."""


TICK = 1.0
"""Seconds between two renewals of the header `Date`."""


class HttpServer(uvicorn.Server):
    """uvicorn's server, which leaves signals to `runtime.shutdown.signals`, and sleeps until it is to exit: uvicorn's
    looks ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        self._exiting = asyncio.Event()
        super().__init__(config)

    @property
    def should_exit(self) -> bool:
        """Whether the server is to exit; uvicorn sets it, too."""
        return self._exiting.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self._exiting.set()

    async def main_loop(self) -> None:
        """Overrides uvicorn's method."""
        while not await self.on_tick(0):
            await woken(self._exiting, TICK)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Overrides uvicorn's method, which would install handlers."""
        yield


async def serve_until_cancelled(
    server: HttpServer, sockets: list[socket.socket] | None = None, hurry: Callable[[], object] = lambda: None
) -> None:
    """Serves until this task is cancelled, then finishes open requests and returns. If the server has not started and
    does not start soon, it stays cancelled; `hurry` makes a start skip its waiting."""
    serving = asyncio.create_task(server.serve(sockets))
    try:
        await asyncio.wait({serving})
    except asyncio.CancelledError:
        server.should_exit = True
        if not server.started:
            hurry()
            await asyncio.wait({serving}, timeout=BEGINNING)
        if not serving.done() and not server.started:
            serving.cancel()
            await asyncio.wait({serving})
            raise
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
    await serving


class DrainingServer(HttpServer):
    """uvicorn's server, changed in its shutdown: uvicorn closes idle connections at once, also if a request is
    arriving."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts pending connections, answers what still arrives, and then stops as uvicorn does."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for connection in self._stop_listening():
            await loop.connect_accepted_socket(self._protocol, connection)
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for protocol in self._protocols():
            if protocol.cycle is not None and not protocol.cycle.response_complete:
                protocol.cycle.keep_alive = False
        while any(_may_ask(protocol, began, loop.time()) for protocol in self._protocols()):
            await asyncio.sleep(0.02)
        self.config.timeout_graceful_shutdown = max(1, GRACE - round(loop.time() - began))
        await super().shutdown(sockets)

    def _stop_listening(self) -> list[socket.socket]:
        """Stops listening; returns the pending connections of the kernel's queue."""
        listeners = [one.dup() for server in self.servers for one in server.sockets]
        for server in self.servers:
            server.close()  # for the event loop; the duplicates stay open until the `with` below ends
        accepted: list[socket.socket] = []
        for listener in listeners:
            listener.setblocking(False)
            with listener, suppress(OSError):  # no more connections, or no more file descriptors
                while True:
                    with suppress(ConnectionAbortedError):  # it has disconnected
                        accepted.append(listener.accept()[0])
        return accepted

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(self.config, self.server_state, self.lifespan.state)  # type: ignore[call-arg]

    def _protocols(self) -> list[HttpToolsProtocol]:
        return [one for one in self.server_state.connections if isinstance(one, HttpToolsProtocol)]


def _may_ask(protocol: HttpToolsProtocol, stopping: float, now: float) -> bool:
    """Whether a client may still send a request over this idle connection."""
    if protocol.cycle is None:  # without a request so far
        return now - stopping < LINGER
    timer: TimerHandle | None = protocol.timeout_keep_alive_task
    return timer is not None and now - (timer.when() - KEEP_ALIVE) < LINGER
