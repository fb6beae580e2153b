"""What people outside say: which cancellations were accepted, and which bad messages were put on the bus on purpose."""

from collections.abc import Collection, Mapping
from uuid import UUID

from batalkan.invariants.stores import Stores

_PARKED = "select parked_id, routing_key, error, digest from parked where state <> 'replayed'"


async def forgotten(stores: Stores, accepted: Mapping[UUID, UUID]) -> list[str]:
    """Cancellations (order: cancellation) that a client was told of and that are not, or not so, in the store."""
    rows = await stores.rows(
        "orders", "select order_id, cancellation_id from cancellations where order_id = any($1)", list(accepted)
    )
    kept = {row["order_id"]: row["cancellation_id"] for row in rows}
    return [
        f"order {order_id} was said to be cancelled by {cancellation_id}, and the store has {kept.get(order_id)}"
        for order_id, cancellation_id in accepted.items()
        if kept.get(order_id) != cancellation_id
    ]


async def count_parked(stores: Stores) -> int:
    """How many messages are set aside."""
    return sum([len(await stores.rows(service, _PARKED)) for service in stores.names])


async def wrongly_parked(stores: Stores, injected: Collection[bytes]) -> list[str]:
    """Messages set aside that are none of those injected, which are known by the SHA-256 of their bodies."""
    return [
        f"{service} has parked {row['routing_key']}: {row['error'][:200]}"
        for service in stores.names
        for row in await stores.rows(service, _PARKED)
        if row["digest"] not in injected
    ]
