"""What the operator's console finds in `chat`: threads, without what people wrote."""

from collections.abc import Sequence
from uuid import UUID

from runtime.messaging.operations import Record
from runtime.storage.database import Connection


async def find(connection: Connection, ids: Sequence[UUID]) -> Sequence[Record]:
    """The threads with these ids, and those about these orders."""
    names = ("order_id", "buyer_id", "seller_id", "last_seq", "asked", "guided", "pending")
    return [
        Record(
            "thread",
            row["thread_id"],
            row["active_at"],
            {name: row[name] for name in names},
            [one for one in (row["order_id"], row["pending"]) if one],
        )
        for row in await connection.fetch(_THREADS, ids)
    ]


_THREADS = """
select thread_id, order_id, buyer_id, seller_id, last_seq, asked, guided, pending, active_at
from threads where thread_id = any($1) or order_id = any($1) order by active_at
"""
