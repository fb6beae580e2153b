"""The refunds: one for each cancelled paid order, of the full amount, and at its destination."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from batalkan.invariants.stores import Stores

_PAID = """
select c.cancellation_id, c.order_id, o.buyer_id, o.paid_amount as amount
from cancellations c join orders o using (order_id) where o.paid_amount > 0
"""
_MOVEMENTS = """
select refund_id, account, sum(amount)::bigint as amount from ledger_entries
join ledger_transactions using (transaction_id) where account in ('lazada_credit', 'dana') group by refund_id, account
"""

Rows = Sequence[asyncpg.Record]


async def paid_and_cancelled(stores: Stores) -> Rows:
    """The cancelled paid orders, which need a refund."""
    return await stores.rows("orders", _PAID)


async def opened(stores: Stores) -> Rows:
    """All refunds."""
    return await stores.rows("refunds", "select * from refunds")


async def broken(stores: Stores, paid: Rows, refunds: Rows) -> list[str]:
    """Refunds that are missing, double, unfounded, of another amount, or different in the ledger."""
    return _refunds_match(paid, refunds) + _movements_match(refunds, await stores.rows("refunds", _MOVEMENTS))


def _refunds_match(paid: Rows, refunds: Rows) -> list[str]:
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


def _movements_match(refunds: Rows, movements: Rows) -> list[str]:
    """Issued: exactly the amount arrived at the destination; otherwise nothing arrived anywhere."""
    arrived: dict[Any, dict[str, int]] = {}
    for movement in movements:
        arrived.setdefault(movement["refund_id"], {})[movement["account"]] = movement["amount"]
    broken = []
    for refund in refunds:
        due = {refund["destination"]: refund["amount"]} if refund["state"] == "issued" else {}
        if arrived.get(refund["refund_id"], {}) != due:
            broken.append(f"refund {refund['refund_id']} is {refund['state']}, but the ledger disagrees")
    return broken


def journal_matches(refunds: Rows, payments: Sequence[Mapping[str, Any]]) -> list[str]:
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
    return [f"DANA did not pay {reference} ({amount}), but should have" for reference, amount in (due - made)] + [
        f"DANA paid {reference} ({amount}), but should not have" for reference, amount in (made - due)
    ]
