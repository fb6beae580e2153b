"""The read models: at rest, each service's copy agrees with the service that owns the data."""

from typing import Any

from batalkan.invariants.stores import Stores

_ORDERS = "select order_id, status, buyer_id from orders"
# Chat numbers the statuses of orders.
_ORDERS_AT_CHAT = """
select order_id, (array['unpaid', 'processing', 'packed', 'shipped', 'delivered', 'cancelled'])[status_rank + 1],
       buyer_id from orders_known
"""
_REFUNDS = "select refund_id, order_id, amount, destination from refunds where state = 'issued'"
_REFUNDS_AT_ORDERS = (
    "select refund_id, order_id, refund_amount, destination from cancellations where refund_state = 'issued'"
)
_REFUNDS_AT_CHAT = "select refund_id, order_id, amount, destination from refunds_known where amount is not null"
_ACCOUNTS = "select account_id, name from accounts"

_COPIES = (
    ("order", "orders", _ORDERS, {"chat": _ORDERS_AT_CHAT, "cs": _ORDERS}),
    ("issued refund", "refunds", _REFUNDS, {"orders": _REFUNDS_AT_ORDERS, "chat": _REFUNDS_AT_CHAT}),
    ("account", "accounts", _ACCOUNTS, {"chat": "select account_id, name from people", "cs": _ACCOUNTS}),
)
"""What is copied, its owner and the owner's rows, and the rows of each service with a copy; the first column is the
key."""


async def broken(stores: Stores) -> list[str]:
    """Differences between a read model and the owner's data."""
    if not stores.have("accounts", "orders", "refunds", "chat", "cs"):
        return []
    found = []
    for what, owner, query, copies in _COPIES:
        real = {row[0]: tuple(row)[1:] for row in await stores.rows(owner, query)}
        for service, copied in copies.items():
            known = {row[0]: tuple(row)[1:] for row in await stores.rows(service, copied)}
            found += [f"{service} does not know {what} {one}" for one in real.keys() - known.keys()]
            found += [
                f"{service} has {what} {one} as {_text(has)}, but it is {_text(real[one])}"
                for one, has in known.items()
                if real.get(one, has) != has
            ]
    return found


def _text(row: tuple[Any, ...]) -> str:
    return ", ".join(map(str, row))
