"""The refunds: one for each cancelled paid order, of the full amount, and at its destination."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from batalkan.invariants.stores import Stores

_PAID = """
select c.cancellation_id, c.order_id, o.buyer_id, c.refund_amount as amount
from cancellations c join orders o using (order_id) where c.refund_amount > 0
"""
# Issued: exactly the amount arrived at the destination; otherwise nothing arrived anywhere.
_UNLIKE_LEDGER = """
select refund_id, state from refunds left join (
    select refund_id, jsonb_object_agg(account, moved) as arrived from (
        select refund_id, account, sum(amount) as moved from ledger_entries
        join ledger_transactions using (transaction_id)
        where account in ('lazada_credit', 'dana') group by refund_id, account
    ) as movements group by refund_id
) as arrivals using (refund_id)
where coalesce(arrived, '{}') <> case state when 'issued' then jsonb_build_object(destination, amount) else '{}' end
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
    text = "refund {refund_id} is {state}, but the ledger disagrees"
    return _refunds_match(paid, refunds) + await stores.found("refunds", (_UNLIKE_LEDGER, text))


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
