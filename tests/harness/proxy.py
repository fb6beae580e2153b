"""A TCP proxy between a service and a server, which can cut, delay, and swallow what passes through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

PIECE = 64 * 1024


class Proxy:
    """Listens on a port of its own and forwards to another."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.delay = 0.0
        """Seconds that every piece waits, in each direction."""
        self.port = 0
        self.connections = 0
        """How many were opened so far."""

    def swallow(self) -> None:
        """From now on accepts everything, new connections too, and forwards nothing."""
        self._flows.clear()

    def pass_on(self) -> None:
        """Forwards what was held back, and everything from now on."""
        self._flows.set()

    def cut(self) -> None:
        """Resets every connection; the next may be opened at once."""
        for writer in list(self._writers):
            writer.transport.abort()

    def through(self, url: str) -> str:
        """The URL of the same server, reached through here."""
        parts = urlsplit(url)
        return parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{self.port}")).geturl()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either end closes it."""
        self.connections += 1
        self._writers.add(writer)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            self._writers.discard(writer)
            writer.transport.abort()
            return
        self._writers.add(back)
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            for one in (writer, back):
                self._writers.discard(one)
                one.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await source.read(PIECE):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flows.wait()
                target.write(piece)
                await target.drain()
        target.transport.abort() if target.transport.is_closing() else target.close()


@asynccontextmanager
async def proxied(port: int) -> AsyncIterator[Proxy]:
    """A proxy to a port of this machine, for as long as the block lasts."""
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.pass_on()
        proxy.cut()
