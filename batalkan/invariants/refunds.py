"""The refunds: one for each cancellation of something paid, of the full amount, and at its destination; those of an
order are what was paid for its cancelled pieces, or once it is cancelled all that was paid."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from batalkan.invariants.stores import Stores

_PAID = """
select c.cancellation_id, c.order_id, o.buyer_id, c.refund_amount as amount
from cancellations c join orders o using (order_id) where c.refund_amount > 0
"""
# The pieces of a line have one price. The discount of a line is spread over them, in whole rupiah, the rest of the
# division over the first ones; and the first ones are cancelled first.
_NOT_DUE = """
select order_id, refunded, due from (
    select order_id, sum(refund_amount)::bigint as refunded from cancellations group by order_id
) as c join orders o using (order_id), lateral (
    select sum(gone * (unit_price - discount / quantity) - least(gone, discount % quantity)) as net from (
        select coalesce(cancelled, 0) as gone, quantity, unit_price,
               coalesce(quantity * unit_price - net, 0) as discount
        from jsonb_to_recordset(o.lines) as one (quantity bigint, unit_price bigint, net bigint, cancelled bigint)
    ) as line
) as pieces, lateral (
    select case when paid_amount = 0 then 0 when status = 'cancelled' then paid_amount else pieces.net end as due
) as owed
where refunded <> due
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
    """The cancellations of something paid, which need a refund."""
    return await stores.rows("orders", _PAID)


async def opened(stores: Stores) -> Rows:
    """All refunds."""
    return await stores.rows("refunds", "select * from refunds")


async def broken(stores: Stores, paid: Rows, refunds: Rows) -> list[str]:
    """Refunds that are missing, double, unfounded, of another amount, or different in the ledger; orders whose
    cancellations refund something else than is due."""
    text = "refund {refund_id} is {state}, but the ledger disagrees"
    broken = _refunds_match(paid, refunds) + await stores.found("refunds", (_UNLIKE_LEDGER, text))
    text = "the cancellations of order {order_id} refund {refunded}, but {due} is due"
    return broken + await stores.found("orders", (_NOT_DUE, text))


def _refunds_match(paid: Rows, refunds: Rows) -> list[str]:
    """Cancelled and paid: exactly one refund of exactly that amount to the buyer; otherwise none."""
    by_cancellation: dict[Any, list[asyncpg.Record]] = {}
    for refund in refunds:
        by_cancellation.setdefault(refund["cancellation_id"], []).append(refund)
    broken = []
    for one in paid:
        found = by_cancellation.pop(one["cancellation_id"], [])
        same = [refund for refund in found if all(refund[name] == one[name] for name in ("amount", "buyer_id"))]
        if len(found) != 1 or len(same) != 1:
            what = f"cancellation {one['cancellation_id']} of order {one['order_id']}"
            broken.append(f"{what} {_instead(len(found))}")
    broken += [
        f"cancellation {cancellation_id} has a refund, but nothing was paid" for cancellation_id in by_cancellation
    ]
    return broken


def _instead(count: int) -> str:
    """What a cancellation has that has not exactly one refund of its full amount to its buyer."""
    if count == 0:
        return "has no refund"
    if count == 1:
        return "has a refund of another amount, or to another buyer"
    return f"has {count} refunds instead of one"


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
