"""What services could tell, made up for tests."""

import json
from typing import Any

from redis.asyncio import Redis

from runtime.demo.recorder import STREAM
from runtime.observability.trace_context import new_id
from services.web.flow.records import Record, read_records

CONSUMERS = ("refunds", "chat", "cs")


def cancellation(story: str = "", at: float = 1_000.0, **changes: Any) -> list[dict[str, Any]]:
    """All that is told of a cancellation of which `refunds` has heard, and chat and cs as well."""
    story = story or str(new_id())
    event: dict[str, Any] = {"story": story, "id": str(new_id()), "type": "OrderCancelled", "subject": "order-1"}
    records: list[dict[str, Any]] = [
        {
            "stage": "requested",
            "at": at + 0.02,
            "service": "orders",
            "story": story,
            "request": "POST /orders/{order_id}/cancel",
            "status": 200,
            "took": 0.02,
        },
        {"stage": "written", "at": at + 0.015, "service": "orders", "cause": story, **event},
        {"stage": "sent", "at": at + 0.021, "service": "orders", **event},
        {"stage": "confirmed", "at": at + 0.024, "service": "orders", **event},
    ]
    for name in CONSUMERS:
        times = {"taken": at + 0.03, "began": at + 0.031, "ended": at + 0.033}
        records.append({"stage": "handled", "at": at + 0.035, "service": name, **event, **times})
    return [record | changes for record in records]


def parsed(records: list[dict[str, Any]]) -> list[Record]:
    """As they are read."""
    found, unreadable = read_records(records)
    assert unreadable == 0
    return found


async def add_entry(redis: Redis, records: list[Any], passed: int = 0, teller: str = "orders 1") -> None:
    """Adds an entry to the stream."""
    fields: dict[Any, Any] = {"teller": teller, "passed": passed, "records": json.dumps(records)}
    await redis.xadd(STREAM, fields)
