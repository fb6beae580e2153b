"""The control interface, for demonstrations and tests. A real DANA has none, so it must never be published."""

from typing import Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict

from runtime.http.hosts import is_foreign
from simulators.dana.checks import is_mobile_number
from simulators.dana.faults import Fault, Faults
from simulators.dana.journal import AccountState, Journal, JournalTransaction, masked

PAYMENTS = """
select reference, number as phone, amount, state, at,
    (select count(*) from requests where requests.reference = payments.reference and service = '38') as calls
from payments where ? in (state, 'all') order by at, reference
"""

REQUESTS = "select at, service, external_id, reference, phone, fault, code from requests order by id desc limit ?"


class Account(BaseModel):
    """The new state of an account; `phone` in the form 628xxx."""

    model_config = ConfigDict(extra="forbid")

    phone: str
    state: AccountState


class Settlement(BaseModel):
    """The final state of pending payments: of one reference, or of all."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["paid", "failed"] = "paid"
    reference: str | None = None


async def _own_site(request: Request) -> None:
    if is_foreign(request.headers):
        raise HTTPException(403, "not from a page of another site")


def router(faults: Faults, journal: Journal) -> APIRouter:
    """The routes under `/control`."""
    control = APIRouter(prefix="/control", dependencies=[Depends(_own_site)])

    @control.get("/faults")
    async def fault() -> Fault:
        return faults.current

    @control.put("/faults")
    async def set_fault(wanted: Fault) -> Fault:
        faults.current = wanted
        return wanted

    @control.get("/journal")
    async def payments(state: Literal["paid", "pending", "failed", "all"] = "paid") -> dict[str, Any]:
        items = await journal.within(lambda tx: tx.rows(PAYMENTS, state))
        for item in items:
            item["phone"] = masked(item["phone"])
        return {"items": items, "count": len(items), "total": sum(item["amount"] for item in items)}

    @control.get("/requests")
    async def requests(limit: int = Query(default=100, ge=1, le=10_000)) -> dict[str, Any]:
        return {"items": await journal.within(lambda tx: tx.rows(REQUESTS, limit))}

    @control.post("/accounts")
    async def account(wanted: Account) -> dict[str, str]:
        if not is_mobile_number(wanted.phone):
            raise HTTPException(422, "phone must be an Indonesian mobile number in the form 628xxx")
        await journal.within(lambda tx: tx.set_account(wanted.phone, wanted.state))
        return {"phone": masked(wanted.phone), "state": wanted.state}

    @control.post("/settle")
    async def settle(wanted: Settlement) -> dict[str, int]:
        return {"settled": await journal.within(lambda tx: tx.settle(wanted.state, wanted.reference))}

    @control.post("/reset")
    async def reset() -> Fault:
        faults.current = Fault()
        await journal.within(JournalTransaction.open_accounts)
        return faults.current

    return control
