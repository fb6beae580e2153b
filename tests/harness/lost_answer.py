"""An answer of Redis that is lost on its way."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Connection
from redis.exceptions import TimeoutError as RedisTimeout


def lose_an_answer(monkeypatch: pytest.MonkeyPatch, command: bytes) -> None:
    """The server executes the next exchange with `command` in it, and its answer does not arrive."""
    send = Connection.send_packed_command

    async def sent(self: Connection, packed: Any, check_health: bool = True) -> None:
        await send(self, packed, check_health)
        if command in b"".join([packed] if isinstance(packed, bytes) else packed):
            monkeypatch.undo()
            await asyncio.sleep(0.05)
            raise RedisTimeout("the answer was lost")

    monkeypatch.setattr(Connection, "send_packed_command", sent)
