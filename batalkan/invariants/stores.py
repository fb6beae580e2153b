"""The services' stores as the invariants read them: each as of one moment."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg

from runtime.storage.database import connect


class Stores:
    """The stores that were named. A topic that needs one which was not named has nothing to say."""

    def __init__(self, connections: Mapping[str, "asyncpg.Connection[asyncpg.Record]"]) -> None:
        self._connections = connections

    @property
    def names(self) -> list[str]:
        """The services whose stores there are."""
        return list(self._connections)

    def have(self, *services: str) -> bool:
        """Whether the stores of all these services are there."""
        return all(service in self._connections for service in services)

    async def rows(self, service: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        """What the query finds at the service."""
        return list(await self._connections[service].fetch(query, *arguments))

    async def value(self, service: str, query: str) -> Any:
        """The one value that the query finds at the service."""
        return await self._connections[service].fetchval(query)


@asynccontextmanager
async def opened(urls: Mapping[str, str]) -> AsyncIterator[Stores]:
    """The stores at these URLs. All of them are read as they are when the block begins, one right after the other."""
    connections = {}
    async with AsyncExitStack() as stack:
        for service, url in urls.items():
            connection = await connect(url)
            stack.push_async_callback(connection.close)
            connections[service] = connection
        for connection in connections.values():
            await stack.enter_async_context(connection.transaction(isolation="repeatable_read", readonly=True))
            await connection.fetchval("select true")  # it is the first statement that fixes the moment
        yield Stores(connections)
