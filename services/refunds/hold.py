"""The hold: a restored `refunds` pays nothing until `batalkan reconcile` has compared it with `orders` and DANA.

`paying_database` has the identity of the database that may pay. A copy made by `pg_restore` or `create database` has
another one, so it is on hold by itself; a replica that was promoted has the same. After files were restored, which
PostgreSQL cannot tell, `batalkan reconcile --hold` removes the identity.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic_core import from_json

from runtime.messaging import outbox
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.storage.database_errors import is_transient
from services.refunds.domain import DOUBT, AtOrders
from services.refunds.store import PAY_DANA

log = logging.getLogger(__name__)

_IDENTITY = """
(select system_identifier from pg_control_system()), (select oid from pg_database where datname = current_database())
"""
_UNSETTLED = "state <> 'issued' and at_orders is not null"


@dataclass(frozen=True)
class Reconciled:
    """How many refunds were restored: those paid by DANA, those in Lazada Credit, those whose payment continues, and
    the references of those that DANA does not know (yet), and `orders` knows as paid or was not heard about; and the
    cancellations that are parked.
    """

    paid: int
    credited: int
    open: int
    disputed: Sequence[str]
    parked: Sequence[UUID] = ()


async def is_on(tx: Transaction) -> bool:
    """Whether nothing may be paid."""
    held: bool = await tx.connection.fetchval(
        f"select exists(select from paying_database where (system_identifier, oid) is distinct from ({_IDENTITY}))"
    )
    return held


async def adopt(uow: UnitOfWork) -> None:
    """Notes the identity of a database that has none yet."""
    async with uow.begin() as tx:
        await tx.connection.execute(
            f"insert into paying_database (system_identifier, oid) select {_IDENTITY} on conflict do nothing"
        )
        if await is_on(tx):
            log.warning("the database was restored: nothing is paid until `batalkan reconcile` has run")


async def may_pay(uow: UnitOfWork) -> bool:
    """Whether payments are made: the database is there, and not on hold."""
    try:
        if await uow.database.writes():
            async with uow.begin() as tx:
                return not await is_on(tx)
    except Exception as error:
        if not is_transient(error):
            raise
    return False


async def begin(tx: Transaction) -> None:
    """Stops payments. Every refund that has not arrived waits for the word of `orders`, and for DANA's answer."""
    await tx.connection.execute(
        "insert into paying_database (system_identifier, oid) values (0, 0) "
        "on conflict (one) do update set system_identifier = 0, oid = 0"
    )
    await tx.connection.execute(
        "update refunds set state = 'sending', uncertain = true, inquiries = 0, at_orders = $1, "
        "doubtful_until = clock_now() + $2::interval where refund_id = any(array("
        "select refund_id from refunds where state <> 'issued' order by refund_id for no key update)) "
        "and state <> 'issued'",
        AtOrders.UNHEARD,
        DOUBT,
    )


async def note_at_orders(tx: Transaction, known: Mapping[UUID, AtOrders], subjects: Collection[str]) -> None:
    """Notes what `orders` knows of the refunds of these cancellations that have not arrived: DANA is asked about them
    again. Events about the subjects continue with numbers that no consumer has seen."""
    await tx.connection.execute(
        "with known as (select * from unnest($1::uuid[], $2::text[]) as one (cancellation_id, at_orders)), "
        "locked as (select refund_id, known.at_orders from refunds join known using (cancellation_id) "
        "where state <> 'issued' order by refund_id for no key update of refunds) "
        "update refunds r set uncertain = true, inquiries = 0, at_orders = locked.at_orders "
        "from locked where r.refund_id = locked.refund_id and state <> 'issued'",
        list(known),
        list(known.values()),
    )
    await outbox.skip_ahead(tx.connection, subjects)


async def unheard(tx: Transaction, cancellation_ids: Collection[UUID]) -> set[UUID]:
    """These cancellations without those whose refund has arrived, or of which the word of `orders` was noted."""
    heard = await tx.connection.fetch(
        "select cancellation_id from refunds where cancellation_id = any($1) and (state = 'issued' or at_orders <> $2)",
        cancellation_ids,
        AtOrders.UNHEARD,
    )
    return set(cancellation_ids) - {row["cancellation_id"] for row in heard}


async def parked_since(tx: Transaction, moment: datetime) -> set[UUID | None]:
    """The cancellations whose messages were parked since then, and not replayed."""
    bodies = await tx.connection.fetch(
        "select body from parked where parked_at >= $1 and event_id is not null and state <> 'replayed'", moment
    )
    return {_cancellation_in(row["body"]) for row in bodies}


def _cancellation_in(body: bytes) -> UUID | None:
    try:
        return UUID(from_json(body)["data"]["cancellation_id"])
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None


async def hurry(tx: Transaction) -> list[UUID]:
    """Has the next step of every refund that has not arrived taken now; returns their ids."""
    rows = await tx.connection.fetch(f"select refund_id from refunds where {_UNSETTLED} order by refund_id")
    for row in rows:
        await tx.schedule(PAY_DANA, str(row["refund_id"]), timedelta(0))
    return [row["refund_id"] for row in rows]


async def count_unasked(tx: Transaction, refund_ids: Sequence[UUID]) -> int:
    """About how many of these refunds DANA has not been asked, or whose lost credit is not booked again yet."""
    left: int = await tx.connection.fetchval(
        f"select count(*) from refunds where refund_id = any($1) and {_UNSETTLED} "
        "and ((uncertain and inquiries = 0) or (at_orders = $2 and not uncertain))",
        refund_ids,
        AtOrders.CREDITED,
    )
    return left


async def end(tx: Transaction, given_up: Collection[UUID] = ()) -> Reconciled:
    """Lets this database pay, and continues with what is left. Of these cancellations, those that are still unheard are
    parked: their refunds may have arrived, so that DANA is only asked about them."""
    parked = await unheard(tx, given_up)
    await tx.connection.execute(f"update paying_database set (system_identifier, oid) = (select {_IDENTITY})")
    await hurry(tx)  # the deadlines before the refunds, as when they fire
    await tx.connection.execute(
        "update refunds set state = 'sending', uncertain = true, inquiries = 0, at_orders = $2 "
        "where cancellation_id = any($1) and state <> 'issued' and coalesce(at_orders, $3) = $3",
        parked,
        AtOrders.PAID,
        AtOrders.UNHEARD,
    )
    return await outcome(tx, parked)


async def outcome(tx: Transaction, parked: Collection[UUID] = ()) -> Reconciled:
    """What has become of the restored refunds, and of the cancellations that were parked."""
    row = await tx.connection.fetchrow(
        "select count(*) filter (where state = 'issued' and destination = 'dana') as paid, "
        "count(*) filter (where state = 'issued' and destination <> 'dana') as credited, "
        "count(*) filter (where state <> 'issued') as open, "
        "array_agg(replace(refund_id::text, '-', '')) filter (where state <> 'issued' and at_orders = $1) as disputed "
        "from refunds where at_orders is not null",
        AtOrders.PAID,
    )
    assert row is not None
    return Reconciled(row["paid"], row["credited"], row["open"], row["disputed"] or [], tuple(sorted(parked)))
