"""With `hold` and `records` the only SQL of `refunds`. Every function takes the open transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from operator import attrgetter
from typing import Any
from uuid import UUID

import asyncpg

from contracts.words import Destination
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.refunds.domain import AtOrders, Refund, State

PAY_DANA = "pay_dana"
"""The deadline of the next step of a refund to DANA."""
_DUE = ("refund_id", "cancellation_id", "order_id", "buyer_id", "amount", "destination", "state", "phone", "part")
_OPENED = (*_DUE, "uncertain", "doubtful_until", "at_orders")
_COLUMNS = f"{', '.join(_OPENED)}, attempts, inquiries, wallet_closed"


class Account(StrEnum):
    """The accounts of the ledger. `CANCELLED_ORDERS` is what buyers paid for what is cancelled by now."""

    CANCELLED_ORDERS = "cancelled_orders"
    LAZADA_CREDIT = "lazada_credit"
    DANA_IN_TRANSIT = "dana_in_transit"
    DANA = "dana"


class Movement(StrEnum):
    """The four ways in which money moves; each happens at most once for a refund."""

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
    order_id: UUID
    amount: int
    at: datetime


def refund_of(row: asyncpg.Record | Mapping[str, Any]) -> Refund:
    """The refund in a row."""
    known = row["at_orders"] and AtOrders(row["at_orders"])
    words = {"destination": Destination(row["destination"]), "state": State(row["state"]), "at_orders": known}
    return Refund(**{**row, **words})


async def insert_new(tx: Transaction, refunds: Sequence[Refund]) -> list[Refund]:
    """Adds the refunds, and returns them without those whose cancellation has one already."""
    if not refunds:
        return []
    rows = await tx.connection.fetch(
        f"insert into refunds ({', '.join(_OPENED)}) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], "
        "$8::text[], $9::boolean[], $10::boolean[], $11::timestamptz[], $12::text[]) "
        "on conflict (cancellation_id) do nothing returning refund_id",
        *_columns(map(attrgetter(*_OPENED), refunds)),
    )
    added = {row["refund_id"] for row in rows}
    return [refund for refund in refunds if refund.refund_id in added]


async def issued_for(tx: Transaction, cancellation_ids: Sequence[UUID]) -> list[Refund]:
    """The refunds of these cancellations that have arrived."""
    if not cancellation_ids:
        return []
    rows = await tx.connection.fetch(
        f"select {_COLUMNS} from refunds where cancellation_id = any($1) and state = 'issued'", cancellation_ids
    )
    return [refund_of(row) for row in rows]


def _columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    """Rows as PostgreSQL's `unnest` takes them: one statement for any number."""
    return [list(column) for column in zip(*rows, strict=True)]


async def post(tx: Transaction, refunds: Sequence[Refund], movement: Movement) -> None:
    """Moves the amount of each refund in the ledger: one transaction, two entries that sum to zero."""
    if not refunds:
        return
    source, target = _BETWEEN[movement]
    await tx.connection.execute(
        "with moved as (select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[]) "
        "as one (transaction_id, refund_id, buyer_id, amount)), "
        "t as (insert into ledger_transactions (transaction_id, refund_id, kind) "
        "select transaction_id, refund_id, $5 from moved) "
        "insert into ledger_entries (transaction_id, account, buyer_id, amount) "
        "select transaction_id, account, buyer_id, sign * amount from moved, "
        "(values ($6, -1), ($7, 1)) as side (account, sign)",
        *_columns((new_id(), refund.refund_id, refund.buyer_id, refund.amount) for refund in refunds),
        movement,
        source,
        target,
    )


async def lock(tx: Transaction, refund_id: UUID) -> tuple[Refund | None, bool, datetime]:
    """The refund, locked; whether the wallet that it was meant for is still linked; the time at the database."""
    return await read(tx, refund_id, "for update")


async def read(tx: Transaction, refund_id: UUID, locking: str = "") -> tuple[Refund | None, bool, datetime]:
    """As `lock`, without locking."""
    row = await tx.connection.fetchrow(f"select {_COLUMNS} from refunds where refund_id = $1 {locking}", refund_id)
    linked = row is not None and row["phone"] is not None and row["phone"] == await phone_of(tx, row["buyer_id"])
    return (refund_of(row) if row else None), linked, await tx.now()


async def save(tx: Transaction, refund: Refund) -> None:
    """Saves a refund."""
    await tx.connection.execute(
        "update refunds set destination = $2, state = $3, attempts = $4, inquiries = $5, uncertain = $6, "
        "doubtful_until = $7, wallet_closed = $8 where refund_id = $1",
        *attrgetter("refund_id", "destination", "state", "attempts", "inquiries", "uncertain")(refund),
        *attrgetter("doubtful_until", "wallet_closed")(refund),
    )


async def find(tx: Transaction, refund_id: UUID) -> Refund | None:
    """One refund."""
    row = await tx.connection.fetchrow(f"select {_COLUMNS} from refunds where refund_id = $1", refund_id)
    return refund_of(row) if row else None


async def page(
    tx: Transaction, buyer_id: UUID | None, before: UUID | None, limit: int, order_id: UUID | None = None
) -> Sequence[Refund]:
    """A buyer's refunds, or all, of one order or of all, newest first, older than the refund `before`."""
    # One query for each case: a parameter that may be null keeps PostgreSQL from using the index.
    given = [(name, owner) for name, owner in (("buyer_id", buyer_id), ("order_id", order_id)) if owner]
    where = "".join(f" and {name} = ${number}" for number, (name, _) in enumerate(given, start=3))
    rows = await tx.connection.fetch(
        f"select {_COLUMNS} from refunds where refund_id < $1{where} order by refund_id desc limit $2",
        before or UUID(int=2**128 - 1),
        limit,
        *(owner for _, owner in given),
    )
    return [refund_of(row) for row in rows]


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
        "select refund_id, order_id, entry.amount, at from ledger_entries as entry "
        "join ledger_transactions using (transaction_id) join refunds using (refund_id) "
        "where account = 'lazada_credit' and entry.buyer_id = $1 order by transaction_id desc limit $2",
        buyer_id,
        limit,
    )
    return [Entry(*row.values()) for row in rows]


async def phones_of(tx: Transaction, buyer_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The numbers of the linked DANA wallets of those of the buyers who have one."""
    rows = await tx.connection.fetch("select buyer_id, phone from dana_links where buyer_id = any($1)", buyer_ids)
    return {row["buyer_id"]: row["phone"] for row in rows}


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


async def take_inquiry(tx: Transaction, buyer_id: UUID, limit: int, within: timedelta) -> int:
    """Counts an account inquiry of a buyer and returns 0; beyond `limit` within that time, counts nothing and
    returns the seconds until the next one is allowed."""
    taken = await tx.connection.fetchval(
        "insert into dana_inquiries as i (buyer_id, at) values ($1, array[clock_now()]) "
        "on conflict (buyer_id) do update "
        "set at = array(select one from unnest(i.at) as one where one > clock_now() - $3::interval) || clock_now() "
        "where (select count(*) from unnest(i.at) as one where one > clock_now() - $3::interval) < $2 returning true",
        buyer_id,
        limit,
        within,
    )
    if taken:
        return 0
    left = await tx.connection.fetchval(
        "select extract(epoch from min(one) + $2::interval - clock_now())::float8 "
        "from dana_inquiries, unnest(at) as one where buyer_id = $1 and one > clock_now() - $2::interval",
        buyer_id,
        within,
    )
    return max(1, ceil(left or 0))


async def return_inquiry(tx: Transaction, buyer_id: UUID) -> None:
    """Takes back a buyer's newest account inquiry, which DANA has not answered."""
    await tx.connection.execute(
        "update dana_inquiries set at = trim_array(at, 1) where buyer_id = $1 and cardinality(at) > 0", buyer_id
    )


async def balances(tx: Transaction) -> dict[str, int]:
    """The sum of each account of the ledger."""
    rows = await tx.connection.fetch(
        "select account, sum(amount)::bigint as balance from ledger_entries group by account"
    )
    return {row["account"]: row["balance"] for row in rows}


async def totals(tx: Transaction) -> dict[str, tuple[int, int]]:
    """How many refunds there are in each state, and of how many rupiah."""
    rows = await tx.connection.fetch(
        "select state, count(*) as refunds, sum(amount)::bigint as amount from refunds group by state"
    )
    return {row["state"]: (row["refunds"], row["amount"]) for row in rows}
