"""The SQL of webhooks and their deliveries. `store` has the order of locks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

import asyncpg

from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.notifications.domain import Delivery, State

SEND = "send_webhook"
"""The deadline of the next call to a webhook's receiver."""
_DELIVERY = ", ".join(field.name for field in fields(Delivery))


@dataclass(frozen=True)
class Webhook:
    """Where a seller wants messages, and how that goes: `failures` in a row, and no call before `not_before`."""

    webhook_id: UUID
    seller_id: UUID
    url: str
    kinds: list[str]
    secret: bytes
    made_at: datetime
    disabled_at: datetime | None = None
    failures: int = 0
    not_before: datetime | None = None


@dataclass(frozen=True)
class Message:
    """What a seller's webhooks of one kind are sent."""

    seller_id: UUID
    message_id: UUID
    kind: str
    order_id: UUID | None
    body: str
    at: datetime


async def make(tx: Transaction, webhook: Webhook) -> None:
    """Saves a new webhook."""
    await tx.connection.execute(
        "insert into webhooks (webhook_id, seller_id, url, kinds, secret, made_at) values ($1, $2, $3, $4, $5, $6)",
        *list(vars(webhook).values())[:6],
    )


async def of_seller(tx: Transaction, seller_id: UUID) -> list[Webhook]:
    """The webhooks of a seller, oldest first."""
    rows = await tx.connection.fetch("select * from webhooks where seller_id = $1 order by webhook_id", seller_id)
    return [Webhook(**row) for row in rows]


async def lock(tx: Transaction, webhook_ids: Sequence[UUID]) -> list[Webhook]:
    """Those of the webhooks that there are, locked."""
    rows = await tx.connection.fetch(
        "select * from webhooks where webhook_id = any($1) order by webhook_id for update", webhook_ids
    )
    return [Webhook(**row) for row in rows]


async def lock_of(tx: Transaction, accounts: Sequence[UUID], order_ids: Sequence[UUID]) -> None:
    """Locks the webhooks of these accounts and of those of the orders, who are locked; disabled ones, too, since a
    success enables them. Who calls off the deadline of one, since nothing is left to send, sees what this adds."""
    await tx.connection.execute(
        "select from webhooks where seller_id = any(array(select unnest($1::uuid[]) "
        "union select seller_id from orders_known where order_id = any($2))) order by webhook_id for share",
        *(accounts, order_ids),
    )


async def lock_one(tx: Transaction, webhook_id: UUID) -> Webhook | None:
    """The webhook, locked, if there is one."""
    return next(iter(await lock(tx, [webhook_id])), None)


async def delete(tx: Transaction, webhook_id: UUID, seller_id: UUID) -> bool:
    """Deletes a webhook of the seller; whether there was one."""
    sql = "delete from webhooks where webhook_id = $1 and seller_id = $2 returning true"
    return bool(await tx.connection.fetchval(sql, webhook_id, seller_id))


async def save(tx: Transaction, webhook: Webhook) -> None:
    """Saves how it goes."""
    await tx.connection.execute(
        "update webhooks set disabled_at = $2, failures = $3, not_before = $4 where webhook_id = $1",
        *(webhook.webhook_id, webhook.disabled_at, webhook.failures, webhook.not_before),
    )


async def add_deliveries(tx: Transaction, messages: Sequence[Message]) -> list[UUID]:
    """Adds a delivery for each webhook that wants a message. Returns these webhooks, sorted. All of the sellers'
    webhooks are locked (`lock_of`)."""
    wanted = await tx.connection.fetch(
        "select w.webhook_id, m.position from unnest($1::uuid[], $2::text[]) with ordinality "
        "as m (seller_id, kind, position) join webhooks w on w.seller_id = m.seller_id and m.kind = any(w.kinds) "
        "where w.disabled_at is null order by m.position",
        *([one.seller_id for one in messages], [one.kind for one in messages]),
    )
    rows = [(row["webhook_id"], messages[row["position"] - 1]) for row in wanted]
    if rows:
        await tx.connection.executemany(
            "insert into deliveries (delivery_id, webhook_id, message_id, kind, order_id, body, at, next_attempt_at) "
            "values ($1, $2, $3, $4, $5, $6, $7, $7)",
            [
                (new_id(), webhook_id, one.message_id, one.kind, one.order_id, one.body, one.at)
                for webhook_id, one in rows
            ],
        )
    return sorted({webhook_id for webhook_id, _ in rows})


async def next_delivery(tx: Transaction, webhook_id: UUID) -> tuple[Delivery, str] | None:
    """The delivery of the webhook that has to be tried first, and its body."""
    row = await tx.connection.fetchrow(
        f"select {_DELIVERY}, body from deliveries where webhook_id = $1 and state = 'pending' "
        "order by next_attempt_at, delivery_id limit 1",
        webhook_id,
    )
    return (_delivery(row), row["body"]) if row else None


async def delivery(tx: Transaction, webhook_id: UUID, delivery_id: UUID) -> Delivery | None:
    """A delivery of this webhook, which is locked."""
    row = await tx.connection.fetchrow(
        f"select {_DELIVERY} from deliveries where delivery_id = $1 and webhook_id = $2", delivery_id, webhook_id
    )
    return _delivery(row) if row else None


async def save_delivery(tx: Transaction, delivery: Delivery) -> None:
    """Saves how a delivery goes."""
    await tx.connection.execute(
        "update deliveries set state = $2, attempts = $3, first_tried_at = $4, next_attempt_at = $5, "
        "status_code = $6, error = $7 where delivery_id = $1",
        *(delivery.delivery_id, delivery.state, delivery.attempts, delivery.first_tried_at, delivery.next_attempt_at),
        *(delivery.status_code, delivery.error),
    )


async def give_up(tx: Transaction, webhook_id: UUID) -> None:
    """Fails all deliveries of the webhook that are pending."""
    await tx.connection.execute(
        "update deliveries set state = 'failed', next_attempt_at = null where webhook_id = $1 and state = 'pending'",
        webhook_id,
    )


async def deliveries(
    tx: Transaction, webhook_id: UUID, seller_id: UUID, before: UUID | None, limit: int
) -> list[Delivery] | None:
    """The deliveries of a webhook of the seller, newest first; None if there is no such webhook."""
    owned = "select true from webhooks where webhook_id = $1 and seller_id = $2"
    if not await tx.connection.fetchval(owned, webhook_id, seller_id):
        return None
    rows = await tx.connection.fetch(
        f"select {_DELIVERY} from deliveries where webhook_id = $1 and delivery_id < $2 "
        "order by delivery_id desc limit $3",
        *(webhook_id, before or UUID(int=2**128 - 1), limit),
    )
    return [_delivery(row) for row in rows]


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(**{field.name: row[field.name] for field in fields(Delivery)} | {"state": State(row["state"])})
