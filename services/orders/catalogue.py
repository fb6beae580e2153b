"""The small catalogue of the demonstration."""

from uuid import UUID

from runtime.messaging.unit_of_work import UnitOfWork
from services.orders import products

SELLER = UUID("0190d3a0-0000-7000-8000-000000000002")
STOCK = 1000
CATALOGUE = (
    ("Kemeja batik pria lengan panjang", 189_000),
    ("Sepatu lari ringan", 325_000),
    ("Blender 2 liter", 449_000),
    ("Headset nirkabel", 279_000),
    ("Kopi Gayo arabika 1 kg", 145_000),
    ("Tas ransel laptop 15 inci", 259_000),
)
"""Titles and prices in whole rupiah."""


def offered() -> list[products.Product]:
    """The products, with fixed ids."""
    return [
        products.Product(UUID(f"0190d3a0-0000-7000-8000-0000000001{number:02d}"), SELLER, title, price, STOCK)
        for number, (title, price) in enumerate(CATALOGUE, start=1)
    ]


async def seed(uow: UnitOfWork) -> None:
    """Adds the catalogue, once."""
    async with uow.begin() as tx:
        for product in offered():
            await products.add_product(tx, product)
