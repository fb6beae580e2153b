"""A wire between a client and a server that can be cut, or go silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Wire:
    """Passes bytes to and fro on a port of its own."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._port = 0
        self.connections = 0

    @property
    def url(self) -> str:
        """The server's URL, by way of the wire."""
        credentials = self._target.netloc.rpartition("@")[0]
        return self._target._replace(netloc=f"{credentials}@127.0.0.1:{self._port}").geturl()

    def cut(self) -> None:
        """Breaks every connection, as a power cut would."""
        for writer in list(self._writers):
            writer.transport.abort()

    def silence(self) -> None:
        """From now on nothing gets through any more, and nobody is told."""
        self._flows.clear()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes a client to the server."""
        self.connections += 1
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flows.wait()
                writer.write(data)
        self._writers.discard(writer)
        writer.close()


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A wire to the server at `url`."""
    stretched = Wire(url)
    server = await asyncio.start_server(stretched.connect, "127.0.0.1", 0)
    stretched._port = server.sockets[0].getsockname()[1]
    try:
        yield stretched
    finally:
        stretched._flows.set()
        stretched.cut()
        server.close()
