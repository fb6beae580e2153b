"""The services' stores as the invariants read them: each in one snapshot."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg

from runtime.storage.database import connect


class Stores:
    """The given stores. A topic that needs another store checks nothing."""

    def __init__(self, connections: Mapping[str, "asyncpg.Connection[asyncpg.Record]"]) -> None:
        self._connections = connections

    @property
    def names(self) -> list[str]:
        """The services whose stores are given."""
        return list(self._connections)

    def have(self, *services: str) -> bool:
        """Whether the stores of all these services are given."""
        return all(service in self._connections for service in services)

    async def rows(self, service: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of a query on the service's store."""
        return list(await self._connections[service].fetch(query, *arguments))

    async def found(self, service: str, *searches: tuple[str, str]) -> list[str]:
        """For each row of each query a sentence, which is filled in from the row's columns."""
        return [text.format(**row) for query, text in searches for row in await self.rows(service, query)]

    async def value(self, service: str, query: str) -> Any:
        """The single value of a query on the service's store."""
        return await self._connections[service].fetchval(query)


@asynccontextmanager
async def opened(urls: Mapping[str, str]) -> AsyncIterator[Stores]:
    """Opens the stores at these URLs. Their snapshots are taken at the beginning, one directly after the other."""
    connections = {}
    async with AsyncExitStack() as stack:
        for service, url in urls.items():
            connection = await connect(url)
            stack.push_async_callback(connection.close)
            connections[service] = connection
        for connection in connections.values():
            await stack.enter_async_context(connection.transaction(isolation="repeatable_read", readonly=True))
            await connection.fetchval("select true")  # the first statement takes the snapshot
        yield Stores(connections)
