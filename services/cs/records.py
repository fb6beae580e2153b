"""What the operator's console finds in `cs`: cases, without what people wrote."""

from collections.abc import Sequence
from uuid import UUID

from runtime.messaging.operations import Record
from runtime.storage.database import Connection

_FACTS = ("state", "outcome", "order_id", "buyer_id", "agent_id", "opened_at", "respond_by", "ended_at")


async def find(connection: Connection, ids: Sequence[UUID]) -> Sequence[Record]:
    """The cases with these ids, and those about these orders."""
    rows = await connection.fetch(_CASES, ids)
    related = ("order_id", "cancellation_id", "correlation_id")
    return [
        Record(
            "case",
            row["case_id"],
            row["opened_at"],
            {name: row[name] for name in _FACTS},
            [row[name] for name in related if row[name]],
        )
        for row in rows
    ]


_CASES = """
select case_id, state, outcome, order_id, buyer_id, agent_id, opened_at, respond_by, ended_at, cancellation_id,
       correlation_id
from cases where case_id = any($1)
union
select case_id, state, outcome, order_id, buyer_id, agent_id, opened_at, respond_by, ended_at, cancellation_id,
       correlation_id
from cases where order_id = any($1)
order by opened_at
"""
