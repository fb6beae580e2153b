"""The route of `refunds` for operators, besides those of every service."""

from runtime.http.app import Limit, UnitOfWorkDep
from runtime.http.operator import operator_router
from services.refunds import records
from services.refunds.records import OpenRefund

router = operator_router("refunds")


@router.get("/open")
async def list_open(uow: UnitOfWorkDep, limit: Limit = 50) -> list[OpenRefund]:
    """The refunds that have not arrived, the oldest first."""
    async with uow.begin() as tx:
        return await records.open_refunds(tx, limit)
