"""The read models: at rest, each service's copy agrees with the service that owns the data."""

from collections.abc import Callable, Hashable, Mapping
from uuid import UUID

import asyncpg

from batalkan.invariants.stores import Stores

RANKS = ("unpaid", "processing", "packed", "shipped", "delivered", "cancelled")
"""How chat numbers the statuses of orders."""

_ORDERS = "select order_id, status, buyer_id from orders"
_ORDERS_AT_CHAT = "select order_id, status_rank, buyer_id from orders_known"
_REFUNDS = "select order_id, refund_id, amount, destination from refunds where state = 'issued'"
_REFUNDS_AT_ORDERS = "select order_id, refund_id, amount, destination from order_refunds where state = 'issued'"
_REFUNDS_AT_CHAT = "select order_id, refund_id, amount, destination from refunds_known where amount is not null"
Key = Callable[[asyncpg.Record], tuple[UUID, Hashable]]


async def broken(stores: Stores) -> list[str]:
    """Differences between a read model and the owner's data."""
    if not stores.have("accounts", "orders", "refunds", "chat", "cs"):
        return []
    orders = await _table(stores, "orders", _ORDERS, lambda row: (row["order_id"], (row["status"], row["buyer_id"])))
    at_cs = await _table(stores, "cs", _ORDERS, lambda row: (row["order_id"], (row["status"], row["buyer_id"])))
    at_chat = await _table(
        stores, "chat", _ORDERS_AT_CHAT, lambda row: (row["order_id"], (RANKS[row["status_rank"]], row["buyer_id"]))
    )
    refunds = await _table(stores, "refunds", _REFUNDS, _refund)
    at_orders = await _table(stores, "orders", _REFUNDS_AT_ORDERS, _refund)
    refunds_at_chat = await _table(stores, "chat", _REFUNDS_AT_CHAT, _refund)
    accounts = await _table(stores, "accounts", "select account_id, name from accounts", _person)
    names = await _table(stores, "chat", "select account_id, name from people", _person)
    known = await _table(stores, "cs", "select account_id, name from accounts", _person)
    return [
        *_compare("chat", "order", orders, at_chat),
        *_compare("cs", "order", orders, at_cs),
        *_compare("orders", "the refund of order", refunds, at_orders),
        *_compare("chat", "the refund of order", refunds, refunds_at_chat),
        *_compare("chat", "account", accounts, names),
        *_compare("cs", "account", accounts, known),
    ]


def _refund(row: asyncpg.Record) -> tuple[UUID, Hashable]:
    return row["order_id"], (row["refund_id"], row["amount"], row["destination"])


def _person(row: asyncpg.Record) -> tuple[UUID, Hashable]:
    return row["account_id"], row["name"]


async def _table(stores: Stores, service: str, query: str, key: Key) -> dict[UUID, Hashable]:
    return dict(key(row) for row in await stores.rows(service, query))


def _compare(who: str, what: str, real: Mapping[UUID, Hashable], known: Mapping[UUID, Hashable]) -> list[str]:
    return [f"{who} does not know {what} {one}" for one in real.keys() - known.keys()] + [
        f"{who} has {what} {one} as {has}, but it is {real.get(one)}"
        for one, has in known.items()
        if real.get(one, has) != has
    ]
