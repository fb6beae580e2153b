"""The deadlines: each fires at most once, never early, never after it was called off, and none is lost.

A fired deadline is deleted from its table, so its effects are checked: for the seller's 24 hours the messages of the
case and the cancellation that customer service requested, for a payment to DANA the journal of DANA.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from batalkan.invariants.stores import Stores

CALLED_OFF = frozenset({"seller_replied", "order_packed", "order_shipped", "order_cancelled", "case_closed"})
"""The messages that end the seller's 24 hours early."""

_MESSAGES = """
select case_id, code, at, (data ->> 'respond_by')::timestamptz as respond_by from messages
where code = any($1) order by case_id, seq
"""
_BY_SILENCE = """
select cancellation_id, case_id, respond_by from cases where outcome = 'order_cancelled' and cancellation_id is not null
"""
_NEVER_SILENT = """
select case_id from cases where state = 'awaiting_seller' and not exists (
    select from deadlines where kind = 'seller_silent' and subject = case_id::text
)
"""
_AT_ORDERS = "select cancellation_id, at from cancellations where channel = 'cs' and role = 'system'"
# Null: not known, since the refund was restored.
_ATTEMPTS = """
select refund_id, case when at_orders is null then attempts end as attempts from refunds
where attempts > 0 or at_orders is not null
"""


async def broken(stores: Stores) -> list[str]:
    """Sellers that count as silent too early, twice, after an answer, or never; orders cancelled before the
    deadline."""
    if not stores.have("cs"):
        return []
    codes = ["seller_contacted", "seller_silent", *CALLED_OFF]
    found = wrong_fires(await stores.rows("cs", _MESSAGES, codes))
    found += await stores.found("cs", (_NEVER_SILENT, "case {case_id} waits for its seller, and nothing ends the wait"))
    if stores.have("orders"):
        cancelled = {row["cancellation_id"]: row["at"] for row in await stores.rows("orders", _AT_ORDERS)}
        for case in await stores.rows("cs", _BY_SILENCE):
            at = cancelled.get(case["cancellation_id"])
            if at is not None and at < case["respond_by"]:
                found.append(f"the order of case {case['case_id']} was cancelled at {at}, due {case['respond_by']}")
    return found


def wrong_fires(messages: Iterable[asyncpg.Record]) -> list[str]:
    """Violations in the 24 hours of the cases. The messages are sorted by case and number."""
    found: list[str] = []
    runs: dict[UUID, datetime] = {}
    for said in messages:
        case_id, due = said["case_id"], runs.pop(said["case_id"], None)
        if said["code"] == "seller_contacted":
            runs[case_id] = said["respond_by"]
        elif said["code"] not in CALLED_OFF:
            if due is None:
                found.append(f"case {case_id} counts its seller as silent twice, or after the call-off")
            elif said["at"] < due:
                found.append(f"case {case_id} counts its seller as silent at {said['at']}, due {due}")
    return found


async def unasked_calls(stores: Stores, payments: Iterable[Mapping[str, Any]]) -> list[str]:
    """Payments for which DANA received more calls than the refund decided on."""
    attempts = {row["refund_id"].hex: row["attempts"] for row in await stores.rows("refunds", _ATTEMPTS)}
    return [
        f"DANA got {one['calls']} × payment {one['reference']}, but refunds decided on {decided}"
        for one in payments
        if (decided := attempts.get(one["reference"], 0)) is not None and one["calls"] > decided
    ]
