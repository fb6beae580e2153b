"""Notifications, and what is known of orders: with `webhooks` and `records` the only SQL of `notifications`. Every
function works in the transaction, or on the connection, that it is given.

Locks are taken in one order: orders by their ids, people by theirs, webhooks by theirs, deadlines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

import asyncpg

from runtime.live.conversations import Change
from runtime.messaging.unit_of_work import Transaction
from runtime.storage.database import Connection
from services.notifications.domain import Facts, Notice, Order, Side

KEPT = ("notifications", "90 days"), ("early", "90 days"), ("deliveries", "30 days")
"""How long rows are kept."""

_LEARN = """
insert into orders_known as o (order_id, buyer_id, seller_id, title)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[]) as one (order_id, buyer_id, seller_id, title)
order by order_id
on conflict (order_id) do update
set buyer_id = excluded.buyer_id, seller_id = excluded.seller_id, title = excluded.title
where o.title is null and excluded.title is not null
"""
"""Locks the rows that are there, also those that do not change."""

_LOCK_PEOPLE = """
insert into people as p (account_id)
select account_id from (
    select unnest($1::uuid[]) as account_id
    union select unnest(array[buyer_id, seller_id]) from orders_known where order_id = any($2)
) as one where account_id is not null order by account_id
on conflict (account_id) do update set account_id = excluded.account_id where false
"""
"""Adds those that are missing, and locks the others."""

# How many notifications after the last read one there are still: old ones are deleted, the oldest first.
_UNREAD = """
p.last_seq - greatest(p.read_seq, coalesce(
    (select min(seq) from notifications n where n.account_id = p.account_id), p.last_seq + 1
) - 1)
"""

# `before` and `first` are of the rows before this statement.
_ADD = """
with new as (
    select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[]) with ordinality
        as n (account_id, kind, about, order_id, case_id, data, position)
    where not exists (
        select from notifications o where (o.account_id, o.about, o.kind, o.order_id)
        = (n.account_id, n.about, n.kind, n.order_id)
    )
), counted as (
    update people p set last_seq = p.last_seq + c.many, active_at = greatest(p.active_at, clock_now())
    from (select account_id, count(*)::integer as many from new group by account_id order by account_id) c
    where p.account_id = c.account_id
    returning p.account_id, p.last_seq - c.many as before, p.last_seq, p.active_at, p.read_seq, coalesce(
        (select min(seq) from notifications n where n.account_id = p.account_id), p.last_seq - c.many + 1
    ) as first
), added as (
    insert into notifications (account_id, seq, kind, about, order_id, case_id, data, at)
    select n.account_id, c.before + row_number() over (partition by n.account_id order by n.position), n.kind, n.about,
           n.order_id, n.case_id, n.data::jsonb, c.active_at
    from new n join counted c using (account_id)
    returning *
)
select a.account_id, a.seq, a.kind, a.about, a.order_id, a.case_id, a.data, a.at, false as read,
       a.seq - greatest(c.read_seq, c.first - 1) as unread
from added a join counted c using (account_id) order by a.account_id, a.seq
"""


@dataclass(frozen=True)
class Notification:
    """A notification, with its number among those of its account."""

    seq: int
    kind: str
    order_id: UUID | None
    case_id: UUID | None
    data: Facts
    read: bool
    at: datetime


@dataclass(frozen=True)
class Added:
    """A notification that was added, and how many its account has not read since."""

    account_id: UUID
    notification: Notification
    unread: int


async def learn(tx: Transaction, orders: Sequence[Order]) -> None:
    """Stores orders, also ones of which only the id is known; locks all of them."""
    if not orders:
        return
    known_last = sorted(orders, key=lambda order: order.title is not None)
    columns = zip(*{order.order_id: tuple(vars(order).values()) for order in known_last}.values(), strict=True)
    await tx.connection.execute(_LEARN, *map(list, columns))


async def lock_people(tx: Transaction, accounts: Sequence[UUID], order_ids: Sequence[UUID] = ()) -> None:
    """Locks these accounts and those of the orders: others add no notifications to them until this transaction ends."""
    await tx.connection.execute(_LOCK_PEOPLE, accounts, order_ids)


async def orders(tx: Transaction, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
    """These orders, as far as they are known."""
    rows = await tx.connection.fetch("select * from orders_known where order_id = any($1)", order_ids)
    return {row["order_id"]: Order(**row) for row in rows}


async def keep(tx: Transaction, early: Sequence[Notice]) -> None:
    """Keeps what cannot be told yet, because it is not known to whom."""
    if early:
        await tx.connection.executemany(
            "insert into early (order_id, side, kind, about, case_id, data) values ($1, $2, $3, $4, $5, $6) "
            "on conflict do nothing",
            [(one.order_id, one.side, one.kind, one.about, one.case_id, one.data) for one in early],
        )


async def take_early(tx: Transaction, order_ids: Sequence[UUID]) -> list[Notice]:
    """What was kept about these orders, which are known by now; it is not kept any longer."""
    rows = await tx.connection.fetch(
        "with taken as (delete from early where order_id = any($1) returning *) select * from taken order by at",
        order_ids,
    )
    names = ("kind", "about", "order_id", "data", "case_id")
    return [Notice(Side(row["side"]), *(row[name] for name in names)) for row in rows]


async def add(tx: Transaction, told: Sequence[tuple[UUID, Notice, str]]) -> list[Added]:
    """Adds notifications (account, notice, its facts as JSON), without those that are there already. Returns them with
    their numbers, which are without gaps: the accounts are locked."""
    if not told:
        return []
    once = {(account_id, one.kind, one.about, one.order_id): (one.case_id, facts) for account_id, one, facts in told}
    columns = zip(*((*key, *content) for key, content in once.items()), strict=True)
    rows = await tx.connection.fetch(_ADD, *map(list, columns))
    return [Added(row["account_id"], _notification(row), row["unread"]) for row in rows]


def _notification(row: asyncpg.Record) -> Notification:
    return Notification(**{field.name: row[field.name] for field in fields(Notification)})


async def page(connection: Connection, account_id: UUID, before: int | None, limit: int) -> list[Notification]:
    """The notifications of an account, newest first, older than the number `before`."""
    rows = await connection.fetch(
        "select n.*, n.seq <= p.read_seq as read from notifications n join people p using (account_id) "
        "where n.account_id = $1 and n.seq < $2 order by n.seq desc limit $3",
        *(account_id, before if before is not None else 2**31 - 1, limit),
    )
    return [_notification(row) for row in rows]


async def count_unread(connection: Connection, account_id: UUID) -> int:
    """How many notifications the account has not read."""
    unread = await connection.fetchval(f"select {_UNREAD} from people p where account_id = $1", account_id)
    return unread or 0


async def mark_read(tx: Transaction, account_id: UUID, seq: int) -> tuple[int, int]:
    """Marks what there is up to `seq` as read; what was read stays read. Returns the last number, and how many are
    unread."""
    row = await tx.connection.fetchrow(
        "update people p set read_seq = least(greatest(read_seq, $2), last_seq) where account_id = $1 "
        f"returning last_seq, {_UNREAD} as unread",
        *(account_id, seq),
    )
    return (row["last_seq"], row["unread"]) if row else (0, 0)


async def watched(connection: Connection, account_id: UUID) -> list[UUID]:
    """No account's presence is shown."""
    return []


async def readable(connection: Connection, reader: UUID | None, ids: Sequence[UUID]) -> dict[UUID, int]:
    """The last number of the reader's own notifications. They are the conversation with the reader's id."""
    if reader is None or reader not in ids:
        return {}
    last = await connection.fetchval("select last_seq from people where account_id = $1", reader)
    return {} if last is None else {reader: last}


async def changed(
    connection: Connection, accounts: Sequence[UUID], ids: Sequence[UUID], since: datetime
) -> list[Change]:
    """Those of the accounts that have got a notification since then."""
    rows = await connection.fetch(
        "select account_id, last_seq from people where account_id = any($1) and active_at >= $2 and last_seq > 0",
        *(accounts, since),
    )
    return [Change(row["account_id"], row["last_seq"], (row["account_id"],)) for row in rows]
