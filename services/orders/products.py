"""The SQL about products and their stock."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from runtime.errors import Refusal
from runtime.messaging.unit_of_work import Transaction

FIRST_ID = UUID(int=0)
"""Before every id: a condition that is always there can use the index, one that may be missing cannot."""
_COLUMNS = "product_id, seller_id, title, price, stock, listed"
_PRODUCTS_OF = 0x0B0A7A5
"""The first half of the locks under which the products of one seller are counted."""


class OutOfStock(Refusal):
    """More pieces were ordered than are in stock."""

    code, title = "out_of_stock", "Not enough left of a product"


@dataclass(frozen=True)
class Product:
    """What a seller sells; `price` in whole rupiah, `stock` in pieces that are not ordered yet."""

    product_id: UUID
    seller_id: UUID
    title: str
    price: int
    stock: int
    listed: bool = True
    """Whether it is in the catalogue of all sellers."""


async def reserve(tx: Transaction, wanted: Mapping[UUID, int]) -> list[Product]:
    """Takes `wanted` (product: pieces) out of the stock and returns the products that exist.

    Raises `OutOfStock`. Products are locked in the order of their ids, so that two orders cannot wait for each other.
    """
    reserved = []
    for product_id in sorted(wanted):
        row = await tx.connection.fetchrow(
            "update products set stock = stock - $2 where product_id = $1 and stock >= $2 "
            "returning product_id, seller_id, title, price, stock",
            product_id,
            wanted[product_id],
        )
        if row is not None:
            reserved.append(Product(*row.values()))
        elif left := await tx.connection.fetchrow(
            "select title, stock from products where product_id = $1", product_id
        ):
            raise OutOfStock(f"Only {left['stock']} left of {left['title']}.", product_id=str(product_id))
    return reserved


async def count_products(tx: Transaction, seller_id: UUID) -> int:
    """How many products the seller has. No other transaction can add one until this one ends."""
    await tx.connection.execute("select pg_advisory_xact_lock($1, hashtext($2))", _PRODUCTS_OF, str(seller_id))
    count: int = await tx.connection.fetchval("select count(*) from products where seller_id = $1", seller_id)
    return count


async def add_product(tx: Transaction, product: Product) -> bool:
    """Adds a product; False if its id exists already."""
    added = await tx.connection.fetchval(
        "insert into products (product_id, seller_id, title, price, stock, offered, listed) "
        "values ($1, $2, $3, $4, $5, $5, $6) "
        "on conflict do nothing returning true",
        *vars(product).values(),
    )
    return bool(added)


@dataclass(frozen=True)
class Wish:
    """What products must have: a part of the title, in any case, at most this price, and perhaps stock."""

    title: str = ""
    max_price: int | None = None
    in_stock: bool = False


async def find(tx: Transaction, product_id: UUID) -> Product | None:
    """One product, listed or not."""
    row = await tx.connection.fetchrow(f"select {_COLUMNS} from products where product_id = $1", product_id)
    return Product(*row.values()) if row else None


async def products(
    tx: Transaction, seller_id: UUID | None, after: UUID | None, limit: int, wish: Wish
) -> list[Product]:
    """The catalogue, or all products of one seller, listed or not; oldest first, after the product `after`."""
    conditions = {
        "seller_id = ${}": seller_id,
        "strpos(lower(title), lower(${})) > 0": wish.title or None,
        "price <= ${}": wish.max_price,
    }
    given = {condition: value for condition, value in conditions.items() if value is not None}
    where = ["product_id > $1", *(one.format(number) for number, one in enumerate(given, start=3))]
    where += ["listed"] * (seller_id is None) + ["stock > 0"] * wish.in_stock
    rows = await tx.connection.fetch(
        f"select {_COLUMNS} from products where {' and '.join(where)} order by product_id limit $2",
        after or FIRST_ID,
        limit,
        *given.values(),
    )
    return [Product(*row.values()) for row in rows]
