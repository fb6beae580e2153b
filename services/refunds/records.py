"""What the operator's console finds in `refunds`: refunds with the movements of their money, and those that have not
arrived, with their next step."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from runtime.messaging.operations import Record
from runtime.messaging.unit_of_work import Transaction
from runtime.storage.database import Connection
from services.refunds import domain, hold, store
from services.refunds.domain import Refund, State


@dataclass(frozen=True)
class OpenRefund:
    """A refund that has not arrived, as far as DANA has answered.

    `uncertain`: a payment may be on its way; `doubtful_until`: until then one may still arrive. `next_step`: `send`,
    `ask`, `wait`, `credit` or `hold`. `next_at`: null if no deadline is set for it, which must not be.
    """

    refund_id: UUID
    order_id: UUID
    reference: str
    amount: int
    state: State
    opened_at: datetime
    attempts: int
    inquiries: int
    uncertain: bool
    doubtful_until: datetime | None
    wallet_closed: bool
    linked: bool
    next_step: str
    next_at: datetime | None
    age: float
    """Seconds since it was opened."""


async def open_refunds(tx: Transaction, limit: int) -> list[OpenRefund]:
    """The refunds that have not arrived, the oldest first."""
    on_hold = await hold.is_on(tx)
    now = await tx.now()
    return [_open(row, on_hold, now) for row in await tx.connection.fetch(_OPEN, limit, store.PAY_DANA)]


def _open(row: asyncpg.Record, on_hold: bool, now: datetime) -> OpenRefund:
    linked, refund = row["linked"], store.refund_of({name: row[name] for name in Refund.__dataclass_fields__})
    shown = {name: one for name, one in vars(refund).items() if name in OpenRefund.__dataclass_fields__}
    return OpenRefund(
        **shown,
        reference=refund.reference,
        opened_at=row["opened_at"],
        linked=linked,
        next_step=domain.next_step(refund, linked, now, on_hold=on_hold).value,
        next_at=row["due_at"],
        age=(now - row["opened_at"]).total_seconds(),
    )


async def find(connection: Connection, ids: Sequence[UUID]) -> Sequence[Record]:
    """The refunds with these ids, and those of these cancellations and orders."""
    names = ("state", "amount", "destination", "attempts", "inquiries", "uncertain", "doubtful_until", "wallet_closed")
    rows = await connection.fetch(_FOUND, ids)
    moved = await connection.fetch(_MOVED, [row["refund_id"] for row in rows])
    return [
        Record(
            "refund",
            row["refund_id"],
            row["opened_at"],
            {name: row[name] for name in names}
            | {one["kind"]: one["at"] for one in moved if one["refund_id"] == row["refund_id"]},
            [row["cancellation_id"], row["order_id"]],
        )
        for row in rows
    ]


_OPEN = """
select r.*, d.due_at, r.phone is not null and r.phone is not distinct from l.phone as linked
from refunds r left join dana_links l using (buyer_id)
left join deadlines d on d.kind = $2 and d.subject = r.refund_id::text
where r.state <> 'issued' order by r.opened_at limit $1
"""
_FOUND = """
select * from refunds where refund_id = any($1) or cancellation_id = any($1) or order_id = any($1) order by opened_at
"""
_MOVED = "select refund_id, kind, at from ledger_transactions where refund_id = any($1) order by at"
