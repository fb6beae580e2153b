"""Evidence from clients: the accepted cancellations, and the bad messages that a test injected."""

from collections.abc import Collection, Mapping
from uuid import UUID

from batalkan.invariants.stores import Stores

_PARTS = """
select * from unnest($1::uuid[], $2::uuid[]) as one (cancellation_id, order_id)
except select cancellation_id, order_id from cancellations where lines is not null
"""
_PARKED = "select parked_id, routing_key, error, digest from parked where state in ('parked', 'replay')"


async def forgotten(stores: Stores, accepted: Mapping[UUID, UUID], parts: Mapping[UUID, UUID]) -> list[str]:
    """Accepted cancellations (order: cancellation) and parts (cancellation: order) that the store does not have, or has
    under another id."""
    ended = "select order_id, cancellation_id from cancellations where order_id = any($1) and lines is null"
    kept = {row["order_id"]: row["cancellation_id"] for row in await stores.rows("orders", ended, list(accepted))}
    rows = await stores.rows("orders", _PARTS, list(parts), list(parts.values()))
    return [
        f"of order {row['order_id']} a part was cancelled by {row['cancellation_id']} for the client, not in the store"
        for row in rows
    ] + [
        f"order {order_id} was cancelled by {cancellation_id} for the client, but by {kept.get(order_id)} in the store"
        for order_id, cancellation_id in accepted.items()
        if kept.get(order_id) != cancellation_id
    ]


async def count_parked(stores: Stores) -> int:
    """The number of parked messages."""
    return sum([len(await stores.rows(service, _PARKED)) for service in stores.names])


async def wrongly_parked(stores: Stores, injected: Collection[bytes]) -> list[str]:
    """Parked messages that were not injected; injected ones are known by the SHA-256 of their bodies."""
    return [
        f"{service} has parked {row['routing_key']}: {row['error'][:200]}"
        for service in stores.names
        for row in await stores.rows(service, _PARKED)
        if row["digest"] not in injected
    ]
