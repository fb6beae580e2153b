"""`check`: all invariants, and the figures that belong to them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from batalkan.invariants import (
    accepted_requests,
    deadlines,
    events,
    in_flight,
    ledger,
    orders,
    read_models,
    refunds,
    stock,
    threads,
)
from batalkan.invariants.stores import Stores, opened


class JournalUnreadable(Exception):
    """DANA does not give its journal; the text says why."""


@dataclass(frozen=True)
class Evidence:
    """Evidence from outside the stores."""

    accepted: Mapping[UUID, UUID] | None = None
    """The cancellations of orders that clients saw accepted (order: cancellation); the store must have them."""
    injected: Collection[bytes] | None = None
    """The SHA-256 of each injected bad message; other parked messages are violations. None: unknown."""
    outsiders: bool = False
    """Whether other clients have published valid events; then events cannot be counted."""
    parts: Mapping[UUID, UUID] = field(default_factory=dict)
    """As `accepted`, for parts of orders (cancellation: order)."""


@dataclass(frozen=True)
class Snapshot:
    """The result of a check; amounts in whole rupiah."""

    accounts: Mapping[str, int]
    """The balance of each account of the ledger."""
    cancelled_paid_orders: int
    """The cancellations of something paid, whole orders or parts."""
    refunds: int
    refunded: int
    open_refunds: int
    parked: int
    """The number of parked messages."""
    pending: Sequence[str]
    """A sentence for each kind of unfinished work; empty when the system is at rest."""
    broken: Sequence[str]
    """A sentence for each violation."""

    @property
    def ledger_sum(self) -> int:
        """Zero in a balanced ledger."""
        return sum(self.accounts.values())


async def check(
    database_urls: Mapping[str, str], dana: httpx.AsyncClient | None = None, evidence: Evidence | None = None
) -> Snapshot:
    """Compares the services' stores, DANA's journal (if its control interface is given) and the evidence. Needs the
    stores of orders and refunds; with the stores of all services it checks everything.

    Unfinished work is `pending`, not a violation. The stores are read one after the other: check a system at rest.
    """
    evidence = evidence or Evidence()
    calls = await _payments(dana)  # first: the stores already contain the decisions for these calls
    async with opened(database_urls) as stores:
        paid, known = await refunds.paid_and_cancelled(stores), await refunds.opened(stores)
        broken = [*await ledger.broken(stores), *await refunds.broken(stores, paid, known)]
        broken += await deadlines.unasked_calls(stores, calls)
        if dana is not None:  # last: the journal contains every payment of these refunds
            broken += refunds.journal_matches(known, await _payments(dana))
        for topic in (orders, stock, threads, deadlines):
            broken += await topic.broken(stores)
        pending, found = await _events(stores, evidence)
        broken += found
        if evidence.accepted is not None:
            broken += await accepted_requests.forgotten(stores, evidence.accepted, evidence.parts)
        if evidence.injected is not None:
            broken += await accepted_requests.wrongly_parked(stores, evidence.injected)
        balances = await stores.rows(
            "refunds", "select account, sum(amount)::bigint as balance from ledger_entries group by account"
        )
        return Snapshot(
            accounts={row["account"]: row["balance"] for row in balances},
            cancelled_paid_orders=len(paid),
            refunds=len(known),
            refunded=sum(row["amount"] for row in known if row["state"] == "issued"),
            open_refunds=sum(row["state"] != "issued" for row in known),
            parked=await accepted_requests.count_parked(stores),
            pending=pending,
            broken=broken,
        )


async def _payments(dana: httpx.AsyncClient | None) -> list[dict[str, Any]]:
    if dana is None:
        return []
    try:
        items: list[dict[str, Any]] = (await dana.get("journal")).raise_for_status().json()["items"]
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise JournalUnreadable(f"DANA's journal, which it shows in demonstration mode only: {why}") from error
    return items


async def _events(stores: Stores, evidence: Evidence) -> tuple[list[str], list[str]]:
    """Unfinished work and violations. Read models are compared only when nothing is pending."""
    pending = await in_flight.pending(stores)
    if evidence.outsiders:
        return pending, []
    broken, in_between = await events.look(stores)
    pending += in_between
    if not pending and not await accepted_requests.count_parked(stores):
        broken += await read_models.broken(stores)
    return pending, broken
