"""Publishing on the bus in memory, and waiting until it is handled."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from runtime.messaging.bus import Message
from runtime.messaging.bus.memory import MemoryBus

TIMEOUT = 10.0


async def publish_and_wait(bus: MemoryBus, messages: Sequence[Message]) -> None:
    """Returns when every service that hears the messages is done with them."""
    all_settled, left = asyncio.Event(), len(messages)

    def settled() -> None:
        nonlocal left
        left -= 1
        if not left:
            all_settled.set()

    publisher = await bus.publisher([])
    async with asyncio.timeout(TIMEOUT):
        await publisher.publish([replace(message, settled=settled) for message in messages])
        await all_settled.wait()
