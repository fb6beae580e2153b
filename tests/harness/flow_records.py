"""Records of an event's stages, made up for tests."""

import json
from typing import Any

from redis.asyncio import Redis

from contracts.orders import OrderCancelled
from runtime.demo.recorder import STREAM
from runtime.observability.trace_context import new_id
from services.web.flow.records import Record, read_records

CONSUMERS = OrderCancelled.consumed_by


def cancellation(correlation_id: str = "", at: float = 1_000.0, **changes: Any) -> list[dict[str, Any]]:
    """All records of a cancellation whose event all consumers have handled."""
    trace = correlation_id or str(new_id())
    event = {"id": str(new_id()), "type": "OrderCancelled", "subject": "order-1"}
    times = {"taken": at + 0.03, "began": at + 0.031, "ended": at + 0.033}

    def record(stage: str, after: float, service: str = "orders", **facts: object) -> dict[str, Any]:
        return {"stage": stage, "at": at + after, "service": service, "story": trace, **facts, **changes}

    return [
        record("requested", 0.02, request="POST /orders/{order_id}/cancel", status=200, took=0.02),
        record("written", 0.015, cause=trace, **event),
        record("sent", 0.021, **event),
        record("confirmed", 0.024, **event),
        *(record("handled", 0.035, name, **event, **times) for name in CONSUMERS),
    ]


def parsed(records: list[dict[str, Any]]) -> list[Record]:
    """The records as a reader gets them."""
    found, unreadable = read_records(records)
    assert unreadable == 0
    return found


async def add_entry(redis: Redis, records: list[Any], passed: int = 0, teller: str = "orders 1") -> None:
    """Adds an entry to the stream."""
    fields: dict[Any, Any] = {"teller": teller, "passed": passed, "records": json.dumps(records)}
    await redis.xadd(STREAM, fields)
