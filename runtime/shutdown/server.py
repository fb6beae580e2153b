"""An HTTP server that stops without anybody noticing who has another replica to go to.

A connection that is closed just when a request comes over it looks to the other side as if the server had died over the
request, and then nobody may send it again. So nobody is let in any more, and each connection that is still there is
heard out first: what comes over it is answered, with the word that the connection ends here.
"""

import asyncio
import socket
from asyncio import TimerHandle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEEP_ALIVE = 5
"""Seconds until an idle connection is closed."""
LINGER = 2.2
"""Seconds after its last answer for which a connection is heard out: longer than our gateways keep an idle one."""
BEGINNING = 1.0
"""Seconds that a server which is told to stop while it starts may take for starting, and then end in order."""
GRACE = 5
"""Seconds in which requests have to be done."""


class Listener(uvicorn.Server):
    """uvicorn's server, which leaves signals to `runtime.shutdown.signals`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Called by uvicorn; takes none."""
        yield


async def until_told_to_stop(
    server: Listener, sockets: list[socket.socket] | None = None, hurry: Callable[[], object] = lambda: None
) -> None:
    """Serves until this task is cancelled, and finishes what is in hand. That is success, unless it had not begun and
    does not begin soon; `hurry` has it not wait for anything before."""
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


class Server(Listener):
    """uvicorn's server, which of itself closes idle connections at once, whatever is on its way over them."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets in who has knocked already, hears everybody out, and then stops as uvicorn does."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for connection in self._close_doors():
            await loop.connect_accepted_socket(self._protocol, connection)
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for protocol in self._protocols():
            if protocol.cycle is not None and not protocol.cycle.response_complete:
                protocol.cycle.keep_alive = False
        while any(_may_ask(protocol, began, loop.time()) for protocol in self._protocols()):
            await asyncio.sleep(0.02)
        self.config.timeout_graceful_shutdown = max(1, GRACE - round(loop.time() - began))
        await super().shutdown(sockets)

    def _close_doors(self) -> list[socket.socket]:
        """Stops listening; returns the connections that the kernel had made and nobody had taken yet."""
        doors = [listener.dup() for server in self.servers for listener in server.sockets]
        for server in self.servers:
            server.close()  # the event loop's hold on the doors; they stay open until the `with` below ends
        knocked: list[socket.socket] = []
        for door in doors:
            door.setblocking(False)
            with door, suppress(OSError):  # nobody else has knocked, or there are no more files to be had
                while True:
                    with suppress(ConnectionAbortedError):  # gone again
                        knocked.append(door.accept()[0])
        return knocked

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(self.config, self.server_state, self.lifespan.state)  # type: ignore[call-arg]

    def _protocols(self) -> list[HttpToolsProtocol]:
        return [one for one in self.server_state.connections if isinstance(one, HttpToolsProtocol)]


def _may_ask(protocol: HttpToolsProtocol, stopping: float, now: float) -> bool:
    """Whether an honest client may still send a request over this idle connection."""
    if protocol.cycle is None:  # it has never asked
        return now - stopping < LINGER
    timer: TimerHandle | None = protocol.timeout_keep_alive_task
    return timer is not None and now - (timer.when() - KEEP_ALIVE) < LINGER
