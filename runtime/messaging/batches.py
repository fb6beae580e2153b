"""Batches of deliveries: how they are split, and finished when the service stops."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from runtime.messaging.bus import Delivery
from runtime.messaging.envelope import Envelope, UnreadableEvent

STOPPING = 3.0
"""Seconds that the current batch may take when the service stops; then it is rolled back, and delivered again later."""


@dataclass(frozen=True)
class Parsed:
    """A delivery with its envelope, or the reason why it has none."""

    delivery: Delivery
    envelope: Envelope[Any] | None
    error: UnreadableEvent | None = None


def groups(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """The deliveries in their order: first deliveries together, each redelivered one by itself."""
    groups: list[list[Delivery]] = []
    for delivery in deliveries:
        if groups and not delivery.earlier and not groups[-1][-1].earlier:
            groups[-1].append(delivery)
        else:
            groups.append([delivery])
    return groups


async def finished(batch: Coroutine[Any, Any, None]) -> None:
    """Finishes the batch, also when the caller is cancelled meanwhile; then within `STOPPING` seconds."""
    task = asyncio.create_task(batch)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(TimeoutError):
            async with asyncio.timeout(STOPPING):
                await asyncio.gather(task, return_exceptions=True)
        raise
