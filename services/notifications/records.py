"""What the operator's console finds in `notifications`: deliveries to webhooks, without what they say and to where."""

from collections.abc import Sequence
from uuid import UUID

from runtime.messaging.operations import Record
from runtime.storage.database import Connection

_FACTS = ("webhook_id", "message_id", "kind", "state", "attempts", "status_code", "error", "next_attempt_at")
_DELIVERIES = """
select * from deliveries where delivery_id = any($1)
union select * from deliveries where order_id = any($1) order by at
"""


async def find(connection: Connection, ids: Sequence[UUID]) -> Sequence[Record]:
    """The deliveries with these ids, and those about these orders."""
    return [
        Record(
            "delivery",
            row["delivery_id"],
            row["at"],
            {name: row[name] for name in _FACTS},
            [row["order_id"]] if row["order_id"] else [],
        )
        for row in await connection.fetch(_DELIVERIES, ids)
    ]
