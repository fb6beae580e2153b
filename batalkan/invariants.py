"""What must be true of the money, looked up in the stores of a running system."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx


@dataclass(frozen=True)
class Books:
    """The figures that the invariants speak of, in whole rupiah."""

    accounts: Mapping[str, int]
    """The balance of each account of the ledger."""
    cancelled_paid_orders: int
    refunds: int
    refunded: int
    open_refunds: int
    broken: Sequence[str]
    """One sentence for every invariant that does not hold."""

    @property
    def ledger_sum(self) -> int:
        """Zero, or money came from nowhere."""
        return sum(self.accounts.values())


async def check(database_urls: Mapping[str, str], dana: httpx.AsyncClient | None = None) -> Books:
    """Holds the stores of orders and refunds, and DANA's journal if its control interface is given, against each other.

    A refund that is still on its way is no fault. The stores are read one after the other: ask when nothing moves.
    """
    cancelled = await _fetch(
        database_urls["orders"],
        "select c.cancellation_id, c.order_id, o.buyer_id, o.paid_amount as amount "
        "from cancellations c join orders o using (order_id)",
    )
    wrong_paths = await _fetch(database_urls["orders"], _WRONG_HISTORIES)
    refunds = await _fetch(database_urls["refunds"], "select * from refunds")
    unbalanced = await _fetch(
        database_urls["refunds"],
        "select transaction_id from ledger_entries group by transaction_id having sum(amount) <> 0",
    )
    accounts = await _fetch(
        database_urls["refunds"], "select account, sum(amount)::bigint as balance from ledger_entries group by account"
    )
    movements = await _fetch(
        database_urls["refunds"],
        "select refund_id, account, sum(amount)::bigint as amount from ledger_entries "
        "join ledger_transactions using (transaction_id) where account in ('lazada_credit', 'dana') "
        "group by refund_id, account",
    )
    # Last, so that what the refunds say is paid is in it.
    payments = None if dana is None else (await dana.get("journal")).raise_for_status().json()["items"]
    paid = [row for row in cancelled if row["amount"]]
    broken = [f"the ledger transaction {row['transaction_id']} does not sum to zero" for row in unbalanced]
    broken += [f"the history of order {row['order_id']} is no path that an order can take" for row in wrong_paths]
    broken += _refunds_match(paid, refunds)
    broken += _movements_match(refunds, movements)
    if payments is not None:
        broken += _journal_matches(refunds, payments)
    return Books(
        accounts={row["account"]: row["balance"] for row in accounts},
        cancelled_paid_orders=len(paid),
        refunds=len(refunds),
        refunded=sum(row["amount"] for row in refunds if row["state"] == "issued"),
        open_refunds=sum(row["state"] != "issued" for row in refunds),
        broken=broken,
    )


_WRONG_HISTORIES = """
with steps as (
    select order_id, version, status, lag(status) over (partition by order_id order by version) as before,
           row_number() over (partition by order_id order by version) as n
    from order_history
), wrong as (
    select order_id from steps where version <> n or (coalesce(before, ''), status) not in (
        ('', 'unpaid'), ('', 'processing'), ('unpaid', 'processing'), ('processing', 'packed'), ('packed', 'shipped'),
        ('shipped', 'delivered'), ('unpaid', 'cancelled'), ('processing', 'cancelled'), ('packed', 'cancelled')
    )
    union
    select o.order_id from orders o left join lateral (
        select status, version from order_history h where h.order_id = o.order_id order by version desc limit 1
    ) last on true where last.status is distinct from o.status or last.version is distinct from o.version
    union
    select o.order_id from orders o left join cancellations c using (order_id)
    where (o.status = 'cancelled') <> (c.order_id is not null)
)
select order_id from wrong
"""


async def _fetch(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


def _refunds_match(paid: Sequence[asyncpg.Record], refunds: Sequence[asyncpg.Record]) -> list[str]:
    """Cancelled and paid: exactly one refund of exactly the paid amount to the buyer; otherwise none."""
    by_cancellation: dict[Any, list[asyncpg.Record]] = {}
    for refund in refunds:
        by_cancellation.setdefault(refund["cancellation_id"], []).append(refund)
    broken = []
    for order in paid:
        found = by_cancellation.pop(order["cancellation_id"], [])
        same = [one for one in found if one["amount"] == order["amount"] and one["buyer_id"] == order["buyer_id"]]
        if len(found) != 1 or len(same) != 1:
            broken.append(f"order {order['order_id']} has {len(found)} refunds, {len(same)} of its full amount")
    broken += [
        f"cancellation {cancellation_id} has a refund, but nothing was paid" for cancellation_id in by_cancellation
    ]
    return broken


def _movements_match(refunds: Sequence[asyncpg.Record], movements: Sequence[asyncpg.Record]) -> list[str]:
    """Issued: exactly the amount went to exactly the destination; otherwise nothing has arrived anywhere."""
    arrived: dict[Any, dict[str, int]] = {}
    for movement in movements:
        arrived.setdefault(movement["refund_id"], {})[movement["account"]] = movement["amount"]
    broken = []
    for refund in refunds:
        due = {refund["destination"]: refund["amount"]} if refund["state"] == "issued" else {}
        if arrived.get(refund["refund_id"], {}) != due:
            broken.append(f"refund {refund['refund_id']} is {refund['state']}, and the ledger does not say the same")
    return broken


def _journal_matches(refunds: Sequence[asyncpg.Record], payments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Settled to DANA: exactly one payment of that reference and amount in DANA's journal; otherwise none."""
    due = Counter(
        (refund["refund_id"].hex, refund["amount"])
        for refund in refunds
        if refund["state"] == "issued" and refund["destination"] == "dana"
    )
    on_the_way = {refund["refund_id"].hex for refund in refunds if refund["state"] != "issued"}
    made = Counter(
        (payment["reference"], int(payment["amount"])) for payment in payments if payment["reference"] not in on_the_way
    )
    return [f"DANA did not pay {reference} ({amount}), and was to" for reference, amount in (due - made)] + [
        f"DANA paid {reference} ({amount}), and was not to" for reference, amount in (made - due)
    ]
