"""The routes of `refunds` in demonstration mode, besides those of every service; and DANA's faults.

Only `refunds` reaches the DANA simulator, so its faults are switched here.
"""

from typing import Any, Literal

import httpx
from fastapi import APIRouter, Depends
from pydantic import BaseModel

from runtime.demo.routes import own_site
from runtime.http.app import Body, UnitOfWorkDep
from runtime.http.client import http_client
from services.refunds import store
from services.refunds.snap import DanaUnreachable

Weather = Literal["well", "slow", "failing", "timing_out", "down"]

_MODES: dict[Weather, str] = {
    "well": "none",
    "slow": "slow",
    "failing": "fail",
    "timing_out": "timeout_after",
    "down": "down",
}
_WEATHER = {mode: weather for weather, mode in _MODES.items()}
_PART_OF_TIMEOUT = {"slow": 0.5, "timing_out": 1.5}
"""How long DANA takes, as a part of the timeout of `refunds`."""


class Refunds(BaseModel):
    """Refunds of one state, `amount` in whole rupiah."""

    refunds: int
    amount: int


class Money(BaseModel):
    """Ledger and refunds, in whole rupiah."""

    ledger: int
    """The sum of all entries: always zero."""
    accounts: dict[str, int]
    refunds: dict[str, Refunds]


class DanaState(BaseModel):
    """DANA's fault mode, and what it has paid, in whole rupiah."""

    weather: Weather | None
    """Null for a fault that was set in another way."""
    payments: int
    amount: int


class Change(Body):
    """The fault mode to set."""

    weather: Weather


def control_of(base_url: str, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    """A client of the DANA simulator's control interface."""
    return http_client(base_url=f"{base_url}/control", transport=transport, timeout=2)


def routes(control: httpx.AsyncClient, timeout: float) -> APIRouter:
    """`/refunds/demonstration/…`; `timeout` is how many seconds `refunds` waits for DANA."""
    router = APIRouter(prefix="/refunds/demonstration", tags=["demonstration"], dependencies=[Depends(own_site)])

    async def ask(method: str, path: str, body: object = None) -> Any:
        try:
            return (await control.request(method, path, json=body)).raise_for_status().json()
        except httpx.HTTPError as error:
            raise DanaUnreachable from error

    @router.get("/money")
    async def money(uow: UnitOfWorkDep) -> Money:
        """The ledger, account by account, and the refunds, state by state."""
        async with uow.begin() as tx:
            accounts = await store.balances(tx)
            totals = await store.totals(tx)
        refunds = {state: Refunds(refunds=count, amount=amount) for state, (count, amount) in totals.items()}
        return Money(ledger=sum(accounts.values()), accounts=accounts, refunds=refunds)

    @router.get("/dana")
    async def dana() -> DanaState:
        """DANA's fault mode, and what it has paid."""
        fault, journal = await ask("GET", "/faults"), await ask("GET", "/journal")
        weather = _WEATHER.get(fault["mode"])
        return DanaState(weather=weather, payments=journal["count"], amount=journal["total"])

    @router.put("/dana")
    async def change(wanted: Change) -> DanaState:
        """Makes DANA slow, refuse payments, pay without answering, be down, or work normally."""
        part = _PART_OF_TIMEOUT.get(wanted.weather)
        seconds = None if part is None else min(part * timeout, 60)
        await ask("PUT", "/faults", {"mode": _MODES[wanted.weather], "seconds": seconds})
        return await dana()

    return router
