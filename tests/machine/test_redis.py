"""The client of Redis, when a connection breaks under it."""

import pytest
from redis.asyncio import Connection
from redis.exceptions import ConnectionError as ConnectionBroken

from runtime.storage.redis import connect


async def test_a_command_over_a_broken_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop's error for a closed transport reaches the library as a broken connection."""

    async def closed(*_: object, **__: object) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    monkeypatch.setattr(Connection, "send_packed_command", closed)
    connection = connect("redis://127.0.0.1:1/0").connection_pool.make_connection()  # type: ignore[no-untyped-call]
    with pytest.raises(ConnectionBroken):
        await connection.send_packed_command([b"PING"])
