"""The only file of `refunds` with SQL. Every function works inside the transaction that it is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg

from contracts.words import Destination
from runtime.story import new_id
from runtime.work import Transaction
from services.refunds.domain import Refund, State

_COLUMNS = (
    "refund_id, cancellation_id, order_id, buyer_id, amount, destination, state, phone, attempts, inquiries, "
    "uncertain, doubtful_until, wallet_closed"
)


class Account(StrEnum):
    """The accounts of the ledger. `CANCELLED_ORDERS` is what buyers paid for orders that are cancelled by now."""

    CANCELLED_ORDERS = "cancelled_orders"
    LAZADA_CREDIT = "lazada_credit"
    DANA_IN_TRANSIT = "dana_in_transit"
    DANA = "dana"


class Movement(StrEnum):
    """The four ways in which money moves; each happens once for a refund at the most."""

    CREDIT = "credit"
    SEND = "send"
    SETTLE = "settle"
    RETURN = "return"


_BETWEEN = {
    Movement.CREDIT: (Account.CANCELLED_ORDERS, Account.LAZADA_CREDIT),
    Movement.SEND: (Account.CANCELLED_ORDERS, Account.DANA_IN_TRANSIT),
    Movement.SETTLE: (Account.DANA_IN_TRANSIT, Account.DANA),
    Movement.RETURN: (Account.DANA_IN_TRANSIT, Account.LAZADA_CREDIT),
}


@dataclass(frozen=True)
class Entry:
    """One movement into a buyer's Lazada Credit, in whole rupiah."""

    refund_id: UUID
    amount: int
    at: datetime


def _refund(row: asyncpg.Record) -> Refund:
    return Refund(**{**row, "destination": Destination(row["destination"]), "state": State(row["state"])})


async def open_refund(tx: Transaction, refund: Refund) -> bool:
    """Adds the refund; False if its cancellation has one already."""
    added = await tx.connection.fetchval(
        "insert into refunds (refund_id, cancellation_id, order_id, buyer_id, amount, destination, state, phone) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (cancellation_id) do nothing returning true",
        refund.refund_id,
        refund.cancellation_id,
        refund.order_id,
        refund.buyer_id,
        refund.amount,
        refund.destination,
        refund.state,
        refund.phone,
    )
    return bool(added)


async def post(tx: Transaction, refund: Refund, movement: Movement) -> None:
    """Moves the refund's amount in the ledger: one transaction, two entries that sum to zero."""
    source, target = _BETWEEN[movement]
    await tx.connection.execute(
        "with t as (insert into ledger_transactions (transaction_id, refund_id, kind) values ($1, $2, $3) "
        "returning transaction_id) "
        "insert into ledger_entries (transaction_id, account, buyer_id, amount) "
        "select transaction_id, account, $4, sign * $5::bigint from t, "
        "(values ($6, -1), ($7, 1)) as side (account, sign)",
        new_id(),
        refund.refund_id,
        movement,
        refund.buyer_id,
        refund.amount,
        source,
        target,
    )


async def lock(tx: Transaction, refund_id: UUID) -> tuple[Refund | None, bool, datetime]:
    """The refund, locked; whether the wallet that it was meant for is still linked; the time at the database."""
    row = await tx.connection.fetchrow(
        f"select {_COLUMNS} from refunds where refund_id = $1 for update",
        refund_id,
    )
    linked = row is not None and row["phone"] is not None and row["phone"] == await phone_of(tx, row["buyer_id"])
    return (_refund(row) if row else None), linked, await tx.now()


async def save(tx: Transaction, refund: Refund) -> None:
    """Writes what has become of a refund."""
    await tx.connection.execute(
        "update refunds set destination = $2, state = $3, attempts = $4, inquiries = $5, uncertain = $6, "
        "doubtful_until = $7, wallet_closed = $8 where refund_id = $1",
        refund.refund_id,
        refund.destination,
        refund.state,
        refund.attempts,
        refund.inquiries,
        refund.uncertain,
        refund.doubtful_until,
        refund.wallet_closed,
    )


async def find(tx: Transaction, refund_id: UUID) -> Refund | None:
    """One refund."""
    row = await tx.connection.fetchrow(f"select {_COLUMNS} from refunds where refund_id = $1", refund_id)
    return _refund(row) if row else None


async def page(tx: Transaction, buyer_id: UUID | None, before: UUID | None, limit: int) -> Sequence[Refund]:
    """A buyer's refunds, or everybody's, newest first, older than the refund `before`."""
    # One query for each case, and a limit that is always there: what may be null keeps PostgreSQL from the index.
    everybodys = f"select {_COLUMNS} from refunds where refund_id < $1"
    query, arguments = (f"{everybodys} and buyer_id = $3", [buyer_id]) if buyer_id else (everybodys, [])
    rows = await tx.connection.fetch(
        f"{query} order by refund_id desc limit $2", before or UUID(int=2**128 - 1), limit, *arguments
    )
    return [_refund(row) for row in rows]


async def balance(tx: Transaction, buyer_id: UUID) -> int:
    """The buyer's Lazada Credit: the sum of its entries."""
    total: int = await tx.connection.fetchval(
        "select coalesce(sum(amount), 0)::bigint from ledger_entries where account = 'lazada_credit' and buyer_id = $1",
        buyer_id,
    )
    return total


async def entries(tx: Transaction, buyer_id: UUID, limit: int) -> list[Entry]:
    """The latest movements into the buyer's Lazada Credit, newest first."""
    rows = await tx.connection.fetch(
        "select refund_id, amount, at from ledger_entries join ledger_transactions using (transaction_id) "
        "where account = 'lazada_credit' and buyer_id = $1 order by transaction_id desc limit $2",
        buyer_id,
        limit,
    )
    return [Entry(*row.values()) for row in rows]


async def phone_of(tx: Transaction, buyer_id: UUID) -> str | None:
    """The number of the buyer's linked DANA wallet."""
    phone: str | None = await tx.connection.fetchval("select phone from dana_links where buyer_id = $1", buyer_id)
    return phone


async def link(tx: Transaction, buyer_id: UUID, phone: str) -> None:
    """Links a DANA wallet, in place of another."""
    await tx.connection.execute(
        "insert into dana_links (buyer_id, phone) values ($1, $2) "
        "on conflict (buyer_id) do update set phone = excluded.phone, linked_at = clock_now()",
        buyer_id,
        phone,
    )


async def unlink(tx: Transaction, buyer_id: UUID) -> str | None:
    """Removes the link and returns the number that it was to."""
    phone: str | None = await tx.connection.fetchval(
        "delete from dana_links where buyer_id = $1 returning phone", buyer_id
    )
    return phone
