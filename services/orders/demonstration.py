"""The routes of `orders` in demonstration mode, besides those of every service."""

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from runtime.demo.routes import own_site
from runtime.http.app import UnitOfWorkDep
from services.orders import refund_status

router = APIRouter(prefix="/orders/demonstration", tags=["demonstration"], dependencies=[Depends(own_site)])


class Owed(BaseModel):
    """`orders`: how many cancellations, of orders or parts, have a refund; `amount`: all refunds, in whole rupiah."""

    orders: int
    amount: int


@router.get("/money")
async def money(uow: UnitOfWorkDep) -> Owed:
    """What has to be refunded in full."""
    async with uow.begin() as tx:
        orders, amount = await refund_status.owed(tx)
    return Owed(orders=orders, amount=amount)
