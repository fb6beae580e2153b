"""The SQL about vouchers and their uses. A row is locked after those of orders and products."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from runtime.errors import Refusal
from runtime.messaging.unit_of_work import Transaction
from services.orders.pricing import Voucher
from services.orders.products import FIRST_ID

_VOUCHERS_OF = 0x0B0A7A9
"""The first half of the locks under which the vouchers of one seller are counted."""


class VoucherExists(Refusal):
    """The seller has a voucher of this code."""

    code, title = "voucher_exists", "There is a voucher of this code"


class VoucherNotUsable(Refusal):
    """The seller of the products has no such voucher, it is used up, or the products cost too little for it."""

    code, title = "voucher_not_usable", "The voucher cannot be used"


@dataclass(frozen=True)
class Offered:
    """A seller's voucher: how often it can be used, and is used in orders of which something is left."""

    voucher_id: UUID
    voucher: Voucher
    uses: int
    used: int = 0


async def count(tx: Transaction, seller_id: UUID) -> int:
    """How many vouchers the seller has. No other transaction can add one until this one ends."""
    await tx.connection.execute("select pg_advisory_xact_lock($1, hashtext($2))", _VOUCHERS_OF, str(seller_id))
    made: int = await tx.connection.fetchval("select count(*) from vouchers where seller_id = $1", seller_id)
    return made


async def add(tx: Transaction, seller_id: UUID, offered: Offered) -> None:
    """Adds a voucher. Raises `VoucherExists`."""
    added = await tx.connection.fetchval(
        "insert into vouchers (voucher_id, seller_id, uses, code, minimum, amount, percent, cap) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing returning true",
        offered.voucher_id,
        seller_id,
        offered.uses,
        *vars(offered.voucher).values(),
    )
    if not added:
        raise VoucherExists(f"You have a voucher {offered.voucher.code} already.")


async def of_seller(tx: Transaction, seller_id: UUID, after: UUID | None, limit: int) -> list[Offered]:
    """The seller's vouchers, oldest first, after the voucher `after`."""
    rows = await tx.connection.fetch(
        "select * from vouchers where seller_id = $1 and voucher_id > $2 order by voucher_id limit $3",
        seller_id,
        after or FIRST_ID,
        limit,
    )
    return [
        Offered(
            row["voucher_id"],
            Voucher(row["code"], row["minimum"], row["amount"], row["percent"], row["cap"]),
            row["uses"],
            row["used"],
        )
        for row in rows
    ]


async def use(tx: Transaction, seller_id: UUID, code: str, price: int) -> Voucher:
    """Uses the voucher once, for products of this price before any discount. Raises `VoucherNotUsable`."""
    row = await tx.connection.fetchrow(
        "update vouchers set used = used + 1 where seller_id = $1 and code = $2 and used < uses and minimum <= $3 "
        "returning code, minimum, amount, percent, cap",
        seller_id,
        code,
        price,
    )
    if row is None:
        raise VoucherNotUsable("The seller has no such voucher, it is used up, or it needs products for more money.")
    return Voucher(*row.values())


async def lock_all(tx: Transaction, order_ids: Sequence[UUID]) -> None:
    """Locks the vouchers of many orders."""
    await tx.connection.execute(
        "select from vouchers where (seller_id, code) in (select seller_id, voucher from orders "
        "where order_id = any($1)) order by voucher_id for no key update",
        order_ids,
    )
