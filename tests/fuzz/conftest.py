"""The system, accounts of every role, and their orders, cases and threads, whose ids requests use."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any
from unittest.mock import patch

import httpx
import pytest
import schemathesis
from hypothesis import strategies as st

from batalkan import system
from batalkan.system import Where
from services.accounts.demonstration import ACCOUNTS, PASSWORD
from tests.conftest import Databases
from tests.harness.accounts import QUICK
from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.customer_service import says, thread_of
from tests.harness.serving import served

KNOWN: list[str] = [str(one.account_id) for one in ACCOUNTS]
"""Ids of things that there are; half of the ids that are tried are among them."""

schemathesis.openapi.format(
    "uuid", st.uuids().map(str) | st.integers(0, 10**6).map(lambda number: KNOWN[number % len(KNOWN)])
)


@pytest.fixture(scope="package")
def origin(embedded_databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the system listens, in a thread with an event loop: schemathesis calls it from outside, without one."""
    listening: Future[Any] = Future()
    over = threading.Event()
    folder = tmp_path_factory.mktemp("fuzz")

    async def serve() -> None:
        async with (
            embedded_databases.of_a_system() as database_url,
            system.running(Where(folder, database_url, dana_timeout=0.5)) as running,
            served(running.app) as url,
        ):
            listening.set_result(url)
            await asyncio.to_thread(over.wait)

    with patch("services.accounts.passwords.PasswordHasher", lambda: QUICK), ThreadPoolExecutor(1) as thread:
        serving: Future[Any] = thread.submit(asyncio.run, serve())
        wait([listening, serving], return_when=FIRST_COMPLETED)
        try:
            yield listening.result(timeout=0)
        finally:
            over.set()
            serving.result()


@pytest.fixture(scope="package")
def tokens(origin: str) -> dict[str, str]:
    """An access token for each role; the buyer and the seller have orders in several states, and a refund.

    The test is no coroutine: an asynchronous fixture here would change the event loop, and with it end the database.
    """
    return asyncio.run(_tokens(origin))


async def _tokens(origin: str) -> dict[str, str]:
    async with httpx.AsyncClient(base_url=origin) as http:
        buyer = await Buyer.sign_in(http, "buyer@example.com", PASSWORD)
        seller = await Seller.sign_in(http, "seller@example.com", PASSWORD)
        agent = await Agent.sign_in(http, "agent@example.com", PASSWORD)
        products = [product["product_id"] for product in (await buyer.get("/orders/products"))["items"]]
        unpaid, paid = await buyer.place(products[0], method="dana"), await buyer.buy(products[0])
        cancelled, packed, shipped = [await buyer.buy(products[0]) for _ in range(3)]
        await buyer.cancel(cancelled)
        await seller.done(packed, "pack")
        await seller.done(shipped, "pack", "ship")
        refund = await buyer.refund(cancelled)
        thread_id = await thread_of(buyer, shipped)
        await says(buyer, thread_id, "Halo, Kak")
        await agent.duty()
        case = await buyer.send("/cs/cases", text="Penjual tidak membalas.")
    KNOWN.extend([*products, unpaid, paid, cancelled, packed, shipped, refund["refund_id"], thread_id, case["case_id"]])
    return {"buyer": buyer.token, "seller": seller.token, "agent": agent.token}


@pytest.fixture(scope="package")
def strangers(origin: str) -> dict[str, str]:
    """Access tokens of further accounts: their sessions are ended, and their passwords changed."""
    return asyncio.run(_strangers(origin))


async def _strangers(origin: str) -> dict[str, str]:
    async with httpx.AsyncClient(base_url=origin) as http:
        return {role: (await Buyer.register(http, role)).token for role in ("buyer", "seller")}
